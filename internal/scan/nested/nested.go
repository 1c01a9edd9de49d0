// Package nested opens what is packed inside files: archives and compressions,
// in one pass, from streams that cannot seek, within a budget.
//
// It only takes apart. What comes out, and what to do about what cannot be
// opened, is the business of whoever asks. Nothing here trusts the data: no
// declared size is allocated, no name is used as a path.
package nested

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/klauspost/compress/flate"
)

// A Format is a way in which data is packed, told by its first bytes.
type Format string

const (
	None  Format = ""
	Gzip  Format = "gzip"
	Zlib  Format = "zlib"
	Bzip2 Format = "bzip2"
	Xz    Format = "xz"
	Lzma  Format = "lzma"
	Zstd  Format = "zstd"
	Tar   Format = "tar"  // told by IsTar; read by archive/tar
	Zip   Format = "zip"  // jar, whl, apk, docx, …
	Ar    Format = "ar"   // deb, static libraries
	Cpio  Format = "cpio" // initramfs, the payload of an rpm
	Rpm   Format = "rpm"
	Pack  Format = "git pack"
)

// Errors that say why something was not opened. Neither means that the data is
// damaged.
var (
	ErrEncrypted   = errors.New("encrypted")
	ErrUnsupported = errors.New("a method that is not supported")
)

// Sniff is the number of bytes that Detect wants to see: a tar header.
const Sniff = 512

// magics are the beginnings that name a format for certain.
var magics = []struct {
	magic  string
	format Format
}{
	{"\xfd7zXZ\x00", Xz},
	{"PK\x03\x04", Zip},
	{"PK\x07\x08PK\x03\x04", Zip}, // the first part of one that was to be split
	{"PK\x05\x06", Zip},           // without a file
	{"!<arch>\n", Ar},
	{"070701", Cpio},
	{"070702", Cpio},
	{"070707", Cpio},
	{"\xed\xab\xee\xdb", Rpm},
	{"PACK\x00\x00\x00\x02", Pack},
	{"PACK\x00\x00\x00\x03", Pack},
}

// foreign lists what is recognized, and not opened.
var foreign = []struct{ name, magic string }{
	{"7z", "7z\xbc\xaf\x27\x1c"},
	{"rar", "Rar!\x1a\x07"},
	{"lz4", "\x04\x22\x4d\x18"},
	{"lzip", "LZIP\x01"},
	{"compress", "\x1f\x9d"},
	{"squashfs", "hsqs"},
	{"cab", "MSCF\x00\x00\x00\x00"},
	{"a git bundle with a long head", "# v2 git bundle\n"},
	{"a git bundle with a long head", "# v3 git bundle\n"},
}

// Detect tells the format from the first bytes, Sniff of them or all there are.
// The path helps where two bytes are all that a format begins with.
func Detect(start []byte, path string) Format {
	if len(start) < 4 {
		return None
	}
	for _, m := range magics {
		if start[0] == m.magic[0] && bytes.HasPrefix(start, []byte(m.magic)) {
			return m.format
		}
	}
	switch {
	case start[0] == 0x1f && start[1] == 0x8b && start[2] == 8 && start[3]&0xe0 == 0: // RFC 1952, 2.3.1
		return Gzip
	case isBzip2(start):
		return Bzip2
	case isZstd(start):
		return Zstd
	case isLzma(start):
		return Lzma
	case (start[0] == 0x78 || strings.Contains(path, ".git/objects/")) && isZlib(start):
		return Zlib
	case IsTar(start):
		return Tar
	}
	return None
}

// Foreign names the format that start begins with and that is not opened.
func Foreign(start []byte) string {
	for _, f := range foreign {
		if bytes.HasPrefix(start, []byte(f.magic)) {
			return f.name
		}
	}
	return ""
}

// isBzip2 looks for the magic number of a block, or of an empty stream's end,
// behind "BZh" and the level.
func isBzip2(b []byte) bool {
	return len(b) >= 10 && string(b[:3]) == "BZh" && '1' <= b[3] && b[3] <= '9' &&
		(string(b[4:10]) == "1AY&SY" || string(b[4:10]) == "\x17\x72\x45\x38\x50\x90")
}

// isZlib checks what RFC 1950, 2.2 says of the header: deflate, a window of at
// most 32 KiB, a sum divisible by 31, and no preset dictionary. Since a text may
// begin with "x^", what follows has to unpack to something.
func isZlib(b []byte) bool {
	if b[0]&0x0f != 8 || b[0]>>4 > 7 || (uint(b[0])<<8|uint(b[1]))%31 != 0 || b[1]&0x20 != 0 {
		return false
	}
	n, err := io.ReadFull(flate.NewReader(bytes.NewReader(b[2:])), make([]byte, Sniff))
	return n > 0 && (err == nil || err == io.ErrUnexpectedEOF)
}

// Compressed says whether the format packs one stream, rather than many files.
func (f Format) Compressed() bool {
	switch f {
	case Gzip, Zlib, Bzip2, Xz, Lzma, Zstd:
		return true
	}
	return false
}

// Certain says whether a file that begins like this format is meant to be one.
// Two bytes of zlib are not enough for that.
func (f Format) Certain() bool { return f != Zlib }
