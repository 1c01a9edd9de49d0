package nested

import "encoding/binary"

// Behind goes on from the end of data of this format to what comes after it, past
// what belongs to that end and past zeros, which pad. It returns the format that
// begins there, None if that is none, and whether anything is there at all.
func Behind(f Format, r *Reader) (next Format, more bool) {
	switch f {
	case Zip:
		skipDirectory(r)
	case Gzip, Bzip2, Xz, Lzma, Zstd, Tar, Cpio:
	default: // a checksum or less is all that may follow, or nobody knows its end
		return None, false
	}
	if !skipZeros(r) {
		return None, false
	}
	start, _ := r.Peek(min(Sniff, r.Size()))
	if next = Detect(start, ""); !next.Certain() {
		next = None
	}
	return next, true
}

// skipDirectory skips the directory at the end of a zip (APPNOTE.TXT 4.3.12 to
// 4.3.16).
func skipDirectory(r *Reader) {
	for {
		b, _ := r.Peek(46)
		if !isZipEnd(b) {
			return
		}
		u16 := func(i int) int64 {
			if i+2 > len(b) {
				return 1 << 16 // it is cut, and so is what follows
			}
			return int64(binary.LittleEndian.Uint16(b[i:]))
		}
		var n int64
		switch string(b[2:4]) {
		case "\x01\x02":
			n = 46 + u16(28) + u16(30) + u16(32)
		case "\x05\x05":
			n = 6 + u16(4)
		case "\x05\x06":
			n = 22 + u16(20)
		case "\x06\x06":
			n = 12 + u16(4) + u16(6)<<16
		case "\x06\x07":
			n = 20
		case "\x06\x08":
			n = 8 + u16(4) + u16(6)<<16
		}
		if r.skip(n) != nil {
			return
		}
	}
}

// skipZeros skips zeros, and says whether anything follows them.
func skipZeros(r *Reader) bool {
	for {
		if _, err := r.Peek(1); err != nil {
			return false // whoever reads the stream to its end says why it ended
		}
		b, _ := r.Peek(r.Buffered())
		n := 0
		for n+8 <= len(b) && binary.LittleEndian.Uint64(b[n:]) == 0 {
			n += 8
		}
		for n < len(b) && b[n] == 0 {
			n++
		}
		_, _ = r.Discard(n)
		if n < len(b) {
			return true
		}
	}
}
