package corpus

import (
	"archive/tar"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// layers is the number of layers of an image, and compressions is how each is
// stored.
const layers = 5

var compressions = [layers]string{"gzip", "gzip", "zstd", "", "gzip"}

// An entry is one member of a layer's archive that holds a leak.
type entry struct {
	tar.Header
	data []byte

	// Where the data has to lie in the layer's uncompressed bytes: so that cut
	// bytes of it come before a multiple of border. 0 for anywhere.
	border, cut int64
	// Put real files of so many bytes before the data, in one file with it.
	before int64
}

// layer writes an archive of real files with the entries among them.
func (l *layout) layer(compression string, files []file, entries []entry) (b Blob, diffID string, size int64, err error) {
	blob, err := l.create()
	if err != nil {
		return b, "", 0, err
	}
	packed, mediaType, err := compressor(blob, compression)
	if err != nil {
		return b, "", 0, errors.Join(err, blob.file.Close())
	}
	sum := sha256.New()
	a := &archive{out: io.MultiWriter(packed, sum)}
	a.Writer = tar.NewWriter(a)
	for i, f := range files {
		if err := a.file(f, i); err != nil {
			return b, "", 0, errors.Join(err, blob.file.Close())
		}
		from, to := len(entries)*i/len(files), len(entries)*(i+1)/len(files)
		for _, e := range entries[from:to] {
			if err := a.entry(e, files); err != nil {
				return b, "", 0, errors.Join(fmt.Errorf("writing %s: %w", e.Name, err), blob.file.Close())
			}
		}
	}
	if err := errors.Join(a.Close(), packed.Close()); err != nil {
		return b, "", 0, errors.Join(err, blob.file.Close())
	}
	b, err = l.commit(blob, mediaType)
	return b, digestOf(sum), a.pos, err
}

func compressor(w io.Writer, compression string) (io.WriteCloser, string, error) {
	switch compression {
	case "gzip":
		return gzip.NewWriter(w), typeLayer + "+gzip", nil
	case "zstd":
		z, err := zstd.NewWriter(w)
		return z, typeLayer + "+zstd", err
	}
	return nopCloser{w}, typeLayer, nil
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// An archive knows its position.
type archive struct {
	*tar.Writer
	out io.Writer
	pos int64
}

func (a *archive) Write(p []byte) (int, error) {
	n, err := a.out.Write(p)
	a.pos += int64(n)
	return n, err
}

// file writes a real file.
func (a *archive) file(f file, n int) error {
	name := fmt.Sprintf("files/%02d/%d-%s", n%97, n, filepath.Base(f.path))
	if err := a.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: f.size, Mode: 0o644}); err != nil {
		return err
	}
	return a.content(f, f.size)
}

// content writes the first n bytes of a real file. It may have become shorter,
// or unreadable, since it was listed.
func (a *archive) content(f file, n int64) error {
	in, err := os.Open(f.path)
	if err != nil {
		_, err = io.CopyN(a.Writer, zeros{}, n)
		return err
	}
	defer in.Close()
	_, err = io.CopyN(a.Writer, io.MultiReader(in, zeros{}), n)
	return err
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func (a *archive) entry(e entry, files []file) error {
	const header = 512
	if err := a.Flush(); err != nil {
		return err
	}
	pad := ""
	if e.border > 0 {
		start := a.pos + header + e.cut
		pad = strings.Repeat("#", int((e.border-start%e.border)%e.border))
	}
	if e.Typeflag == 0 {
		e.Typeflag = tar.TypeReg
	}
	if e.Mode == 0 {
		e.Mode = 0o644
	}
	var before []file
	left := e.before
	for _, f := range files {
		if f.size <= left {
			before, left = append(before, f), left-f.size
		}
	}
	e.Size = int64(len(pad)) + e.before - left + int64(len(e.data))
	if err := a.WriteHeader(&e.Header); err != nil {
		return err
	}
	for _, f := range before {
		if err := a.content(f, f.size); err != nil {
			return err
		}
	}
	_, err := io.WriteString(a.Writer, pad+string(e.data))
	return err
}
