// Package image holds the image between the build and the push: an OCI layout
// in a folder of our own, written by BuildKit through a content store that
// hands every blob on while it arrives, so that a scanner reads the bytes once.
package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/containerd/containerd/v2/core/content"
	contentlocal "github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxIndexSize bounds what is read of an index.json, in bytes.
const maxIndexSize = 4 << 20

// A Layout is an OCI image layout on disk
// (https://github.com/opencontainers/image-spec/blob/main/image-layout.md).
type Layout struct {
	dir     string
	store   content.Store
	cache   Cache
	lenders func() []string // folders of blobs
	taken   taken
	remove  func() error
	root    *ocispecs.Descriptor // as SetRoot was given it: index.json is for others to read

	// A build that was cancelled may still be writing: what writes holds open for
	// reading, what removes holds it for writing.
	open    sync.RWMutex
	removed bool
}

// errRemoved is what a writer gets once the layout is gone.
var errRemoved = errors.New("the image layout was removed")

// write runs what adds files to the layout, unless it has been removed: what
// came after that would stay on the disk.
func (l *Layout) write(add func() error) error {
	l.open.RLock()
	defer l.open.RUnlock()
	if l.removed {
		return errRemoved
	}
	return add()
}

// Create makes an empty layout in dir, which must not exist yet. The folder is
// the user's own (0700): until the scan has said otherwise, what is in it may
// hold a secret.
func Create(dir string) (*Layout, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("creating the image layout: %w", err)
	}
	store, err := contentlocal.NewStore(dir)
	if err != nil {
		return nil, fmt.Errorf("creating the image layout: %w", err)
	}
	header, err := json.Marshal(ocispecs.ImageLayout{Version: ocispecs.ImageLayoutVersion})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, ocispecs.ImageLayoutFile), header, 0o600); err != nil {
		return nil, fmt.Errorf("creating the image layout: %w", err)
	}
	return &Layout{dir: dir, store: store, remove: func() error { return os.RemoveAll(dir) }}, nil
}

// Dir is the folder of the layout.
func (l *Layout) Dir() string { return l.dir }

// Remove deletes the layout with everything in it. Nothing is written to it
// afterwards. It waits for those who watch a blob, without the lock: the scan of
// one may wait for that of another, which ends when its writer gets an answer.
func (l *Layout) Remove() error {
	l.open.Lock()
	l.removed = true
	l.open.Unlock()
	l.taken.trails.drop(context.Background(), func(string) bool { return false })
	l.open.Lock()
	defer l.open.Unlock()
	if err := l.remove(); err != nil {
		return fmt.Errorf("removing the image layout: %w", err)
	}
	return nil
}

// SetRoot writes index.json with one image in it: the one that was built. The
// export is over then. It waits until the watchers have seen what Take brought,
// or until ctx ends.
func (l *Layout) SetRoot(ctx context.Context, root ocispecs.Descriptor) error {
	if err := errors.Join(l.drop(ctx), ctx.Err()); err != nil {
		return err
	}
	index := ocispecs.Index{MediaType: ocispecs.MediaTypeImageIndex, Manifests: []ocispecs.Descriptor{root}}
	index.SchemaVersion = 2
	b, err := json.Marshal(index)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(l.dir, ocispecs.ImageIndexFile), b, 0o600); err != nil {
		return fmt.Errorf("writing the layout's index: %w", err)
	}
	l.root = &root
	return nil
}

// Root is the descriptor of the one image in the layout.
func (l *Layout) Root() (ocispecs.Descriptor, error) {
	if l.root != nil {
		return *l.root, nil
	}
	f, err := os.Open(filepath.Join(l.dir, ocispecs.ImageIndexFile))
	if err != nil {
		return ocispecs.Descriptor{}, fmt.Errorf("reading the layout's index: %w", err)
	}
	defer f.Close()
	var index ocispecs.Index
	if err := json.NewDecoder(io.LimitReader(f, maxIndexSize)).Decode(&index); err != nil {
		return ocispecs.Descriptor{}, fmt.Errorf("reading the layout's index: %w", err)
	}
	if len(index.Manifests) != 1 {
		return ocispecs.Descriptor{}, fmt.Errorf("reading the layout's index: %d images in it, want one", len(index.Manifests))
	}
	return index.Manifests[0], nil
}

// Open reads a blob.
func (l *Layout) Open(dgst string) (io.ReadCloser, error) {
	d, err := digest.Parse(dgst)
	if err != nil {
		return nil, fmt.Errorf("reading the blob %q: %w", dgst, err)
	}
	f, err := os.Open(filepath.Join(l.dir, ocispecs.ImageBlobsDir, d.Algorithm().String(), d.Encoded()))
	if err != nil {
		return nil, fmt.Errorf("reading the blob %s: %w", dgst, err)
	}
	return f, nil
}
