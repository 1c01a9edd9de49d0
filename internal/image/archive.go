package image

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/org/secure-build/internal/hint"
)

// Bounds of an archive. A plain one cannot unpack to more than itself, since a
// sparse file, which could, is refused. One that is gzipped may unpack to as
// much as nested data in a layer may (package nested): real ones rarely pass
// 20:1.
const (
	unpackRatio = 200
	unpackFree  = 64 << 20 // bytes, at any ratio
	unpackTotal = 64 << 30 // bytes
	maxEntries  = 100_000
	maxName     = 4 << 10 // bytes
)

// fromArchive unpacks a tar archive, gzipped or not, into a layout below dir.
// Names in it are not trusted: every file is stored by its own digest.
func fromArchive(ctx context.Context, file, dir string) (_ *Source, err error) {
	l, err := Temp(dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("opening %s: %w", file, err), l.Remove())
		}
	}()
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := gunzipped(f)
	if err != nil {
		return nil, err
	}
	src, err := l.archived(ctx, file, tar.NewReader(r))
	if _, over := errors.AsType[*tooLarge](err); over {
		return nil, hint.Wrap(err, "if that is right, gunzip it and scan the tar archive: there is no such limit")
	}
	if err != nil {
		return nil, hint.Wrap(err, "an image archive is what docker save, or an exporter of type oci, writes")
	}
	src.close = l.Remove
	return src, nil
}

// gunzipped returns what is in a file that may be gzipped.
func gunzipped(f *os.File) (io.Reader, error) {
	zr, err := gzip.NewReader(f)
	if err != nil {
		_, err = f.Seek(0, io.SeekStart)
		return f, err
	}
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	most := mostUnpacked(fi.Size())
	return &bounded{zr, most, most}, nil
}

// mostUnpacked is what so many gzipped bytes may unpack to, in bytes.
func mostUnpacked(packed int64) int64 {
	return min(unpackFree+min(packed, unpackTotal/unpackRatio)*unpackRatio, unpackTotal)
}

// A bounded reader ends with an error behind so many bytes.
type bounded struct {
	r          io.Reader
	left, most int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, &tooLarge{b.most}
	}
	return n, err
}

// A tooLarge error is that of an archive that unpacks to more than its size allows.
type tooLarge struct{ most int64 }

func (e *tooLarge) Error() string {
	return fmt.Sprintf("it unpacks to more than %d bytes, which is too much for its size", e.most)
}

// unpack stores every regular file as a blob, and returns their digests by
// name. A link is the name of a blob that is there already; "" is the digest of
// what a link leads to that is not.
func (l *Layout) unpack(ctx context.Context, tr *tar.Reader) (map[string]digest.Digest, error) {
	byName := map[string]digest.Digest{}
	for entries := 1; ; entries++ {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return byName, nil
		}
		if err == nil {
			err = errors.Join(ctx.Err(), allowed(h, entries))
		}
		if err != nil {
			return nil, err
		}
		name := inArchive(h.Name)
		if _, twice := byName[name]; twice && (name == ocispecs.ImageIndexFile || name == savedFile) {
			return nil, fmt.Errorf("there is an %s twice in it", name) // one reader takes the first, another the last
		}
		switch h.Typeflag {
		case tar.TypeReg:
			d, err := l.add(tr)
			if err != nil {
				return nil, err
			}
			byName[name] = d
		case tar.TypeSymlink: // an equal layer of an older image
			to := h.Linkname
			if !path.IsAbs(to) {
				to = path.Join(path.Dir(name), to)
			}
			byName[name] = byName[inArchive(to)]
		case tar.TypeLink:
			byName[name] = byName[inArchive(h.Linkname)]
		}
	}
}

// allowed says what is wrong with an entry.
func allowed(h *tar.Header, entries int) error {
	switch {
	case entries > maxEntries:
		return fmt.Errorf("there are more than %d entries in it", maxEntries)
	case len(h.Name)+len(h.Linkname) > maxName:
		return fmt.Errorf("there is an entry with a name of more than %d bytes in it", maxName)
	case h.Typeflag == tar.TypeGNUSparse:
		return fmt.Errorf("%s is a sparse file, which may claim to have any size", h.Name)
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return fmt.Errorf("%s is a sparse file, which may claim to have any size", h.Name)
		}
	}
	return nil
}

// inArchive is the name of a file as it would be below a folder that nothing
// leads out of, which is how engines unpack an archive.
func inArchive(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

// add stores one blob under its own digest.
func (l *Layout) add(r io.Reader) (digest.Digest, error) {
	tmp, err := os.CreateTemp(l.dir, "blob-")
	if err != nil {
		return "", err
	}
	defer os.Remove(tmp.Name())
	d := digest.Canonical.Digester()
	_, err = io.Copy(io.MultiWriter(tmp, d.Hash()), r)
	if err = errors.Join(err, tmp.Close()); err != nil {
		return "", err
	}
	to := l.path(d.Digest())
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return "", err
	}
	return d.Digest(), os.Rename(tmp.Name(), to)
}

func (l *Layout) path(d digest.Digest) string {
	return filepath.Join(l.dir, ocispecs.ImageBlobsDir, d.Algorithm().String(), d.Encoded())
}
