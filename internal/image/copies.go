package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/org/secure-build/internal/held"
)

// Verify holds an image of the layout to its digests, for a way out on which
// somebody else writes what he has of the same blobs. His copies are looked at
// too where we can see them, with those who lend.
func (l *Layout) Verify(root ocispecs.Descriptor) error {
	var m ocispecs.Manifest
	if err := l.decode(root, &m); err != nil {
		return err
	}
	for _, desc := range append(m.Layers, m.Config) {
		d := desc.Digest
		if err := d.Validate(); err != nil {
			return fmt.Errorf("reading the blob %q: %w", d, err)
		}
		if _, err := os.Stat(l.path(d)); err != nil {
			return fmt.Errorf("reading the blob %s: %w", d, err)
		}
		if len(damaged(d, append(l.lent(d), l.path(d))...)) > 0 {
			return held.Changed(d.String())
		}
	}
	return nil
}

// lent is where lenders keep a blob, if they have it.
func (l *Layout) lent(d digest.Digest) []string {
	var paths []string
	if l.lenders != nil {
		for _, dir := range l.lenders() {
			paths = append(paths, Cache{dir: dir}.path(d))
		}
	}
	return paths
}

// damaged lists which of these files are there and are not what the digest says.
// Links to one file are read once.
func damaged(d digest.Digest, paths ...string) []string {
	type seen struct {
		fs.FileInfo
		holds bool
	}
	var bad []string
	var files []seen
	for _, path := range paths {
		fi, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			bad = append(bad, path)
			continue
		}
		i := slices.IndexFunc(files, func(s seen) bool { return os.SameFile(s.FileInfo, fi) })
		if i < 0 {
			i, files = len(files), append(files, seen{fi, holds(path, d)})
		}
		if !files[i].holds {
			bad = append(bad, path)
		}
	}
	return bad
}
