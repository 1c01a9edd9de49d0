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
// read by the scan, or, if an earlier one has found its digest clean, by nobody
// until it leaves, when every way out holds it to that digest.
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

// Borrow lets the layout take blobs from other folders too, as they are asked
// for: those of a daemon on this machine, which then need not be sent. Like
// those from the cache, they are what their digests say once the scan or a way
// out has read them, and not before.
func (l *Layout) Borrow(dirs func() []string) { l.lenders = dirs }

// fetch links a blob into the layout from the cache or from whoever lends it.
func (l *Layout) fetch(d digest.Digest) bool {
	if d.Validate() != nil {
		return false
	}
	if l.cache.dir != "" && l.link(l.cache.path(d), d) {
		now := time.Now()
		_ = os.Chtimes(l.cache.path(d), now, now) // used last is thrown out last
		return true
	}
	if l.lenders != nil {
		for _, dir := range l.lenders() {
			if l.link(Cache{dir: dir}.path(d), d) {
				return true
			}
		}
	}
	return false
}

// link puts a file into the layout as the blob d.
func (l *Layout) link(from string, d digest.Digest) bool {
	to := l.path(d)
	if fi, err := os.Lstat(from); err != nil || !fi.Mode().IsRegular() {
		return false
	}
	err := l.write(func() error {
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		return os.Link(from, to)
	})
	return err == nil || errors.Is(err, fs.ErrExist)
}

// Keep puts the layout's blobs into its cache, and throws out what was used
// longest ago until the cache is small enough. It is for clean images, in which
// nothing was seen to have changed. A blob that nobody has read goes in as it is:
// the first run that reads it has Doubt.
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

// Disown throws blobs out of the cache in which a run has found something. They
// may be of an image that was clean by what an earlier one looked for.
func (l *Layout) Disown(blobs []string) error {
	var errs []error
	for _, b := range blobs {
		d := digest.Digest(b)
		if l.cache.dir == "" || d.Validate() != nil {
			continue
		}
		if err := os.Remove(l.cache.path(d)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("removing a blob with a finding from the cache: %w", err))
		}
	}
	return errors.Join(errs...)
}

// Doubt throws out of the cache what the layout has from it and is not what its
// digest says, after a run that came upon such a blob: the next one would take
// it again, and end as this one did. So it does where a lender has it as well,
// often as another name of the same file: lent are those, which stay, since they
// are not ours to remove.
func (l *Layout) Doubt() (lent []string, err error) {
	if l.cache.dir == "" {
		return nil, nil
	}
	blobs, err := files(filepath.Join(l.dir, ocispecs.ImageBlobsDir))
	if err != nil {
		return nil, fmt.Errorf("looking through the blob cache: %w", err)
	}
	for _, b := range blobs {
		d := digest.NewDigestFromEncoded(digest.Algorithm(filepath.Base(filepath.Dir(b.path))), filepath.Base(b.path))
		if d.Validate() != nil {
			continue
		}
		kept := l.cache.path(d)
		for _, path := range damaged(d, append(l.lent(d), kept)...) {
			if path != kept {
				lent = append(lent, path)
			} else if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return lent, fmt.Errorf("removing a damaged blob from the cache: %w", err)
			}
		}
	}
	return lent, nil
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
