package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/org/secure-build/internal/hint"
)

// Files are what an output of type local or tar is to get, as one tar archive
// that waits beside the layout. For the scanner they look like an image of one
// layer, which is not part of the image that is pushed.
type Files struct {
	path   string
	file   *os.File
	digest digest.Digester
	size   int64
	open   map[string]func() (io.ReadCloser, error)
}

// Files makes the archive, empty.
func (l *Layout) Files() (*Files, error) {
	name := filepath.Join(filepath.Dir(l.dir), "files.tar")
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("staging the files: %w", err)
	}
	return &Files{path: name, file: f, digest: digest.Canonical.Digester()}, nil
}

func (f *Files) Write(p []byte) (int, error) {
	n, err := f.file.Write(p)
	f.size += int64(n)
	_, _ = f.digest.Hash().Write(p[:n]) // never fails
	return n, err
}

// Close ends the writing.
func (f *Files) Close() error { return f.file.Close() }

// Root makes the image of one layer around the archive.
func (f *Files) Root() (ocispecs.Descriptor, error) {
	f.open = map[string]func() (io.ReadCloser, error){
		f.digest.Digest().String(): func() (io.ReadCloser, error) { return os.Open(f.path) },
	}
	layer := ocispecs.Descriptor{MediaType: ocispecs.MediaTypeImageLayer, Digest: f.digest.Digest(), Size: f.size}
	config, err := f.add(ocispecs.MediaTypeImageConfig, ocispecs.Image{
		RootFS:  ocispecs.RootFS{Type: "layers", DiffIDs: []digest.Digest{layer.Digest}},
		History: []ocispecs.History{{CreatedBy: "the files of --output"}},
	})
	if err != nil {
		return config, err
	}
	return f.add(ocispecs.MediaTypeImageManifest, ocispecs.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispecs.MediaTypeImageManifest,
		Config: config, Layers: []ocispecs.Descriptor{layer},
	})
}

func (f *Files) add(mediaType string, v any) (ocispecs.Descriptor, error) {
	b, err := json.Marshal(v)
	d := digest.FromBytes(b)
	f.open[d.String()] = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
	return ocispecs.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(b))}, err
}

// Open reads a blob of that image.
func (f *Files) Open(dgst string) (io.ReadCloser, error) {
	if open := f.open[dgst]; open != nil {
		return open()
	}
	return nil, fmt.Errorf("reading the blob %s: %w", dgst, fs.ErrNotExist)
}

// Copy writes the archive to w.
func (f *Files) Copy(w io.Writer) error {
	r, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(w, r)
	return err
}

// Extract unpacks the archive into a folder, beside and over what is there.
// Nothing is written outside of it, wherever a link in it leads. Files belong to
// who runs this, as buildx has it.
func (f *Files) Extract(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	r, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer r.Close()
	var dirs []*tar.Header // their times last: a file in them changes those
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if h.Name = path.Clean(h.Name); h.Name == "." {
			continue
		}
		if err := extract(root, h, tr); err != nil {
			return fmt.Errorf("writing %s: %w", h.Name, err)
		}
		if h.Typeflag == tar.TypeDir {
			dirs = append(dirs, h)
		}
	}
	for i := len(dirs) - 1; i >= 0; i-- {
		if err := stamp(root, dirs[i]); err != nil {
			return fmt.Errorf("writing %s: %w", dirs[i].Name, err)
		}
	}
	return nil
}

func extract(root *os.Root, h *tar.Header, r io.Reader) error {
	old, err := root.Lstat(h.Name)
	if isDir := h.Typeflag == tar.TypeDir; err == nil && !(isDir && old.IsDir()) {
		if err := root.RemoveAll(h.Name); err != nil {
			return err
		}
	}
	if err := root.MkdirAll(path.Dir(h.Name), 0o755); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(h.Name, 0o700)
	case tar.TypeSymlink:
		return root.Symlink(h.Linkname, h.Name)
	case tar.TypeLink:
		return root.Link(path.Clean(h.Linkname), h.Name)
	case tar.TypeReg:
	default:
		return hint.Wrap(errors.New("it is a device or a pipe"), "use --output type=tar, or leave it out of the image")
	}
	w, err := root.OpenFile(h.Name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Close(), stamp(root, h))
}

// stamp sets mode and time.
func stamp(root *os.Root, h *tar.Header) error {
	mode := h.FileInfo().Mode()
	now := time.Now()
	return errors.Join(root.Chmod(h.Name, mode&(fs.ModePerm|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky)), root.Chtimes(h.Name, now, h.ModTime))
}
