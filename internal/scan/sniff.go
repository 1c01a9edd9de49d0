package scan

import (
	"encoding/base64"

	"github.com/org/secure-build/internal/scan/nested"
)

// Where packed data is looked for in a block of base64, in characters.
const (
	sumAt     = 196                      // the checksum of a tar header, from here
	sumEnd    = 212                      // to here
	tarHead   = (nested.Sniff/3 + 1) * 4 // a whole header
	moreTimes = 2                        // how often base64 may be encoded once more: Kubernetes does so with what Helm has encoded
	lookAhead = sumEnd + leastRow        // up to here behind any sign that may end a name
)

// A sniffer finds the beginning of packed data in a block of base64: where a row
// begins, and near the block's start also behind a sign that may join it to a
// path or a name. For most rows that is one look into a table.
type sniffer struct {
	head  []byte // characters from the block's start, or from a later row's
	at    int64  // of the first one in the stream
	next  int    // place in head to look at
	row   int    // place in head where the last row begins
	later bool   // head is that of a later row
	done  bool   // until the next row
}

func (s *sniffer) beginBlock() { *s = sniffer{head: s.head[:0]} }

func (s *sniffer) beginRow() {
	if s.done {
		*s = sniffer{head: s.head[:0], later: true}
	}
	s.row = len(s.head)
}

// more takes the next characters of a row and returns how many of them it has
// put into head. If it has found the start of packed data there, it says where.
func (s *sniffer) more(b []byte, at int64) (n, start int, found bool) {
	if s.done {
		return len(b), 0, false
	}
	if len(s.head) == 0 {
		s.at = at
	}
	want := lookAhead
	switch {
	case s.later:
		want = leastRow
	case len(s.head) >= lookAhead:
		want = tarHead
	}
	n = min(len(b), want-len(s.head))
	s.head = append(s.head, b[:n]...)
	for ; s.next+leastRow <= len(s.head); s.next++ {
		k := s.next
		if k != s.row && (s.later || k == 0 || !joinsName[s.head[k-1]]) {
			continue
		}
		if packedPairs[sixBits[s.head[k]]&63][sixBits[s.head[k+1]]&63] && beginsPacked(s.head[k:k+leastRow]) {
			return n, k, true
		}
	}
	if len(s.head) < want {
		return n, 0, false
	}
	switch {
	case want == lookAhead && mayBeSum(s.head[sumAt:sumEnd]):
		m, start, found := s.more(b[n:], at+int64(n))
		return n + m, start, found
	case want == tarHead:
		if raw, ok := decodeHead(s.head); ok && nested.IsTar(raw) {
			return n, 0, true
		}
	}
	s.done = true
	return len(b), 0, false
}

// joinsName are the characters of base64 that may end a name before it.
var joinsName = [256]bool{'/': true, '+': true, '-': true, '_': true}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// sixBits is what a character of base64 stands for, in either alphabet.
var sixBits = func() (t [256]byte) {
	for i := range len(alphabet) {
		t[alphabet[i]] = byte(i)
	}
	t['-'], t['_'] = t['+'], t['/']
	return t
}()

// packedStarts are the first two bytes of what beginsPacked knows.
var packedStarts = func() []string {
	list := []string{"\x1f\x8b", "PK", "\xfd7", "\x28\xb5", "BZ", "!<", "07", "\xed\xab", "PA", "\x78\x01", "\x78\x5e", "\x78\x9c", "\x78\xda"}
	for frame := byte(0x50); frame < 0x60; frame++ { // zstd's skippable ones
		list = append(list, string([]byte{frame, 0x2a}))
	}
	return list
}()

// packedPairs are the first two characters of all of them, encoded once and more
// often.
var packedPairs = func() (t [64][64]bool) {
	for _, start := range packedStarts {
		for range 1 + moreTimes {
			start = base64.RawStdEncoding.EncodeToString([]byte(start))[:2]
			t[sixBits[start[0]]][sixBits[start[1]]] = true
		}
	}
	return t
}()

// beginsPacked says whether base64 begins like packed data, or like base64 of it.
func beginsPacked(head []byte) bool {
	for range 1 + moreTimes {
		raw, ok := decodeHead(head)
		if !ok || len(raw) < 8 {
			return false
		}
		if isPacked(raw) {
			return true
		}
		head = raw
	}
	return false
}

// decodeHead decodes base64 of either alphabet, as far as it has whole groups.
func decodeHead(head []byte) (raw []byte, ok bool) {
	raw = make([]byte, 0, 24)
	for ; len(head) >= 4; head = head[4:] {
		if letters(head[:4]) < 4 {
			return nil, false
		}
		group := uint32(sixBits[head[0]])<<18 | uint32(sixBits[head[1]])<<12 | uint32(sixBits[head[2]])<<6 | uint32(sixBits[head[3]])
		raw = append(raw, byte(group>>16), byte(group>>8), byte(group))
	}
	return raw, true
}

// isPacked judges the first few bytes. They are too few to unpack something of
// zlib's, so its header is judged and that of its first block (RFC 1950, 2.2;
// RFC 1951, 3.2.3).
func isPacked(b []byte) bool {
	if b[0] == 0x78 {
		if (uint(b[0])<<8|uint(b[1]))%31 != 0 || b[1]&0x20 != 0 {
			return false
		}
		switch b[2] >> 1 & 3 {
		case 0:
			return b[3] == ^b[5] && b[4] == ^b[6]
		case 1:
			return true
		case 2: // so many lengths and distances there are
			return b[2]>>3 <= 29 && b[3]&31 <= 29
		}
		return false
	}
	if b[0]&0xf0 == 0x50 && b[1] == 0x2a && b[2] == 0x4d && b[3] == 0x18 {
		return true
	}
	return nested.Detect(b, "") != nested.None
}

// mayBeSum says whether base64 may hold the checksum of a tar header, which is
// in octal: all but one text of many thousands is dismissed here.
func mayBeSum(b []byte) bool {
	raw, ok := decodeHead(b)
	if !ok {
		return false
	}
	for _, c := range raw[1:9] { // 148 to 156 of the header
		if (c < '0' || c > '7') && c != ' ' && c != 0 {
			return false
		}
	}
	return true
}
