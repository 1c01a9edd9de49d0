package nested

import (
	"encoding/binary"
	"math/bits"

	"github.com/ulikunitz/xz/lzma"
)

// openLzma opens the format that came before xz: a header of 13 bytes, which
// says how large the dictionary is, and the data (LZMA specification, "lzma file
// format").
func openLzma(r *Reader, b *Budget) (*lzma.Reader, error) {
	h, err := r.Peek(lzma.HeaderLen)
	if err != nil {
		return nil, unexpected(err)
	}
	window := uint64(binary.LittleEndian.Uint32(h[1:]))
	window = min(window, binary.LittleEndian.Uint64(h[5:])) // all ones if it is not known
	if window > maxWindow {
		return nil, tooLarge("a dictionary", window)
	}
	if err := b.Spend(price(int64(window))); err != nil {
		return nil, err
	}
	if err := b.reserve(int64(window)); err != nil {
		return nil, err
	}
	return lzma.ReaderConfig{DictCap: lzma.MaxDictCap}.NewReader(r)
}

// isLzma goes by what xz(1) goes by, since there is no magic number: the usual
// properties, a dictionary of 2^n or 2^n+2^(n-1) bytes, a size that is not known
// or below 256 GiB; and by the first byte of the data, which is always 0.
func isLzma(b []byte) bool {
	if len(b) <= lzma.HeaderLen || b[0] != 0x5d || b[lzma.HeaderLen] != 0 {
		return false
	}
	dict, size := binary.LittleEndian.Uint32(b[1:]), binary.LittleEndian.Uint64(b[5:])
	top := dict >> max(bits.Len32(dict)-2, 0) // its two highest bits
	isRound := dict >= 1<<12 && bits.OnesCount32(dict) <= 2 && (top == 2 && bits.OnesCount32(dict) == 1 || top == 3)
	return isRound && (size == 1<<64-1 || size < 1<<38)
}
