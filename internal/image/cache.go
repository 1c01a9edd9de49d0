package image

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// A Cache keeps the blobs of clean images between runs, so that BuildKit need
// not send again what has not changed. It decides nothing: a blob from it is
// scanned like one that has just come, and a registry takes no blob under a
// digest that it does not have.
type Cache struct {
	dir string
	max int64 // bytes
}

// OpenCache returns the cache below dir, which holds at most max bytes.
func OpenCache(dir string, max int64) Cache { return Cache{filepath.Join(dir, "blobs"), max} }

func (c Cache) path(d digest.Digest) string {
	return filepath.Join(c.dir, d.Algorithm().String(), d.Encoded())
}

// Use lets the layout take blobs from the cache as they are asked for.
func (l *Layout) Use(c Cache) { l.cache = c }

// fetch links a blob from the cache into the layout, if it is there.
func (l *Layout) fetch(d digest.Digest) bool {
	if l.cache.dir == "" || d.Validate() != nil {
		return false
	}
	from, to := l.cache.path(d), l.path(d)
	if fi, err := os.Lstat(from); err != nil || !fi.Mode().IsRegular() {
		return false
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return false
	}
	if err := os.Link(from, to); err != nil {
		return errors.Is(err, fs.ErrExist)
	}
	now := time.Now()
	_ = os.Chtimes(from, now, now) // used last is thrown out last
	return true
}

// Keep puts the layout's blobs into its cache, and throws out what was used
// longest ago until the cache is small enough. It is for clean images.
func (l *Layout) Keep() error {
	if l.cache.dir == "" {
		return nil
	}
	blobs, err := files(filepath.Join(l.dir, ocispecs.ImageBlobsDir))
	if err != nil {
		return fmt.Errorf("keeping the layout's blobs: %w", err)
	}
	for _, b := range blobs {
		to := filepath.Join(l.cache.dir, filepath.Base(filepath.Dir(b.path)), filepath.Base(b.path))
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return fmt.Errorf("keeping the layout's blobs: %w", err)
		}
		if err := os.Link(b.path, to); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("keeping the layout's blobs: %w", err)
		}
	}
	return l.cache.trim()
}

// trim throws out the oldest blobs.
func (c Cache) trim() error {
	blobs, err := files(c.dir)
	if err != nil {
		return fmt.Errorf("trimming the blob cache: %w", err)
	}
	slices.SortFunc(blobs, func(a, b file) int { return cmp.Or(b.used.Compare(a.used), cmp.Compare(a.path, b.path)) })
	var total int64
	for _, b := range blobs {
		if total += b.size; total > c.max {
			if err := os.Remove(b.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("trimming the blob cache: %w", err)
			}
		}
	}
	return nil
}

type file struct {
	path string
	size int64
	used time.Time
}

// files lists the regular files below dir, which need not exist.
func files(dir string) ([]file, error) {
	var all []file
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		fi, err := d.Info()
		if err == nil {
			all = append(all, file{path, fi.Size(), fi.ModTime()})
		} else if errors.Is(err, fs.ErrNotExist) { // another run has thrown it out
			err = nil
		}
		return err
	})
	return all, err
}
