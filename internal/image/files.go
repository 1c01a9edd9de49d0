package image

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// Files are what an output of type local or tar is to get, as one tar archive
// that waits beside the layout. For the scanner they look like an image of one
// layer, which is not part of the image that is pushed. Their digest is that of
// what BuildKit sent, whatever becomes of the file.
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
	if f.size == 0 { // even one without files has its end
		return ocispecs.Descriptor{}, errors.New("staging the files: BuildKit sent none")
	}
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
	return copyVerified(w, r, f.digest.Digest())
}
