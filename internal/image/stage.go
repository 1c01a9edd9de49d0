package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// Stage makes another layout beside this one, for what is to leave by another
// way than the image, such as a build cache. It begins with the image's blobs,
// which then need not be sent again. It is removed with the layout.
func (l *Layout) Stage(name string) (*Layout, error) {
	s := &Layout{dir: filepath.Join(filepath.Dir(l.dir), name), lenders: l.lenders}
	s.remove = func() error { return os.RemoveAll(s.dir) }
	blobs, err := files(filepath.Join(l.dir, ocispecs.ImageBlobsDir))
	if err != nil {
		return nil, fmt.Errorf("creating the layout %s: %w", name, err)
	}
	for _, b := range blobs {
		rel, err := filepath.Rel(l.dir, b.path)
		to := filepath.Join(s.dir, rel)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(to), 0o700)
		}
		if err == nil {
			err = os.Link(b.path, to)
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, errors.Join(fmt.Errorf("creating the layout %s: %w", name, err), s.Remove())
		}
	}
	return s, nil
}
