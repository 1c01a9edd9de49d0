package redact

import (
	"encoding/binary"
	"sort"
)

// maxSequence bounds a control sequence in bytes; what is longer is text.
const maxSequence = 4096

// control returns the index of the first control character that may hide a
// value, or -1. A line break, a tab, and a CR before a line break are none.
func control(p []byte) int {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	i := 0
	for ; i+8 <= len(p); i += 8 {
		w := binary.LittleEndian.Uint64(p[i:])
		// Bytes below 0x20, and 0x7f: see "Bit Twiddling Hacks", hasless.
		low := (w - ones*0x20) &^ w
		del := w ^ ones*0x7f
		if (low|(del-ones)&^del)&highs == 0 {
			continue
		}
		for j := i; j < i+8; j++ {
			if hides(p, j) {
				return j
			}
		}
	}
	for ; i < len(p); i++ {
		if hides(p, i) {
			return i
		}
	}
	return -1
}

func hides(p []byte, i int) bool {
	switch c := p[i]; {
	case c == '\n' || c == '\t':
		return false
	case c == '\r':
		return i+1 == len(p) || p[i+1] != '\n'
	default:
		return c < ' ' || c == 0x7f
	}
}

// A run is a stretch of bytes that stands in the view as in the block.
type run struct{ view, block int }

// strip fills s.view with p without control characters and control sequences
// (ECMA-48), and s.runs with where its bytes came from. The first control
// character is at index first. With strings, control strings (a window title, a
// link) go with all they contain; without, their contents stay. It says whether
// there are any. A sequence that p ends within is left out: what follows it is
// yet to come.
func (s *scratch) strip(p []byte, first int, strings bool) (some bool) {
	s.view, s.runs = append(s.view[:0], p[:first]...), append(s.runs[:0], run{})
	for i := first; i < len(p); {
		size, whole, str := 1, true, false
		if p[i] == 0x1b {
			size, whole, str = sequence(p[i:])
		}
		some = some || str
		if !whole {
			return some
		}
		if str && !strings {
			size = 2 // ESC and the opening byte
		}
		i += size
		n := control(p[i:])
		if n < 0 {
			n = len(p) - i
		}
		if n > 0 {
			s.runs = append(s.runs, run{len(s.view), i})
			s.view = append(s.view, p[i:i+n]...)
			i += n
		}
	}
	return some
}

// origin is where byte i of the view stands in the block.
func (s *scratch) origin(i int) int {
	n := sort.Search(len(s.runs), func(k int) bool { return s.runs[k].view > i }) - 1
	return s.runs[n].block + i - s.runs[n].view
}

// sequence measures the control sequence that p begins with. It is not whole if
// p may end within it, and str if it is a control string.
func sequence(p []byte) (size int, whole, str bool) {
	if len(p) < 2 {
		return len(p), false, false
	}
	end := min(len(p), maxSequence)
	switch c := p[1]; {
	case c == '[': // CSI: parameters, intermediates, one final byte
		for i := 2; i < end; i++ {
			if p[i] >= 0x40 && p[i] <= 0x7e {
				return i + 1, true, false
			}
			if p[i] < 0x20 || p[i] > 0x7e {
				return 1, true, false // no sequence: the ESC alone
			}
		}
	case c == ']' || c == 'P' || c == 'X' || c == '^' || c == '_': // up to ST, or BEL
		for i := 2; i < end; i++ {
			if p[i] == 7 {
				return i + 1, true, true
			}
			if p[i] == 0x1b && i+1 < len(p) && p[i+1] == '\\' {
				return i + 2, true, true
			}
			if p[i] == '\n' {
				return 2, true, false
			}
		}
	case c >= 0x20 && c <= 0x2f: // ESC, intermediates, a final byte
		for i := 2; i < end; i++ {
			if p[i] >= 0x30 && p[i] <= 0x7e {
				return i + 1, true, false
			}
			if p[i] < 0x20 || p[i] > 0x2f {
				return 1, true, false
			}
		}
	case c >= 0x30 && c <= 0x7e:
		return 2, true, false
	default:
		return 1, true, false
	}
	return 1, len(p) >= maxSequence, false
}
