package nested

import (
	"fmt"
	"io"
)

// maxName bounds a name in an archive, in bytes: 64 KiB is what zip can say.
const maxName = 64 << 10

// An Archive hands out its entries in the order in which they are stored.
type Archive interface {
	// Next ends the last entry, whatever was read of it, and returns the next
	// one, or io.EOF. An error other than that means that the rest of the
	// archive is damaged.
	Next() (*Entry, error)
}

// An Entry is one file in an archive. It is valid until the next one.
type Entry struct {
	Name   string
	Header int64 // offset of the header in the archive
	Data   int64 // offset of the data
	Size   int64 // of Content in bytes; -1 if the archive does not say before its end
	// Packed says that Content is unpacked from the archive's bytes. Otherwise
	// it is a range of them.
	Packed  bool
	Content io.Reader // nil if Err is set, or for no content
	Err     error     // why there is none: ErrEncrypted, ErrUnsupported, damage
}

// OpenArchive returns the entries of r, which begins an archive of this format.
// A Tar is not among them.
func (d *Decoders) OpenArchive(f Format, r *Reader, b *Budget) (Archive, error) {
	switch f {
	case Zip:
		return &zipArchive{r: r, d: d, b: b}, nil
	case Ar:
		return &arArchive{r: r}, r.skip(int64(len("!<arch>\n")))
	case Cpio:
		return &cpioArchive{r: r}, nil
	case Rpm:
		return &rpmArchive{r: r}, nil
	case Pack:
		return newPack(r, d, b), r.skip(12)
	}
	return nil, fmt.Errorf("opening %s: %w", f, ErrUnsupported)
}
