package image

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
)

// WriteDir writes what WriteOCI writes into a folder. A blob that is there
// already stays if it is the one that its name says. After an error, what was
// written is gone again, so that no folder is half a layout.
func (l *Layout) WriteDir(dir string, names []string) (err error) {
	all, err := l.oci(names)
	if err != nil {
		return err
	}
	var made []string
	defer func() {
		if err != nil {
			err = errors.Join(err, unmake(made))
		}
	}()
	for _, m := range all {
		to := filepath.Join(dir, filepath.FromSlash(m.name))
		made = append(made, absent(filepath.Dir(to))...)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if m.blob != "" && holds(to, m.blob) {
			continue
		}
		if len(absent(to)) > 0 {
			made = append(made, to)
		}
		write := func(w io.Writer) error { _, err := w.Write(m.data); return err }
		if m.blob != "" {
			write = func(w io.Writer) error { return l.copyBlob(w, m.blob) }
		}
		if err := replace(to, write); err != nil {
			return fmt.Errorf("writing %s: %w", m.name, err)
		}
	}
	return nil
}

// holds says whether a file is the blob.
func holds(name string, d digest.Digest) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	return verified(f, d) == nil
}

// replace writes a file in one go: it is there whole or as it was before.
func replace(name string, write func(io.Writer) error) error {
	tmp, err := os.CreateTemp(filepath.Dir(name), ".blob-")
	if err != nil {
		return err
	}
	if err = errors.Join(write(tmp), tmp.Chmod(0o644), tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}

// absent lists what is not there of a path and of the folders above it, the
// uppermost first.
func absent(path string) []string {
	if _, err := os.Lstat(path); err == nil || path == filepath.Dir(path) {
		return nil
	}
	return append(absent(filepath.Dir(path)), path)
}

// unmake removes files and folders, which are in the order in which they were
// made. A folder that somebody else has put something into stays.
func unmake(made []string) error {
	var errs []error
	for i := len(made) - 1; i >= 0; i-- {
		err := os.Remove(made[i])
		if fi, serr := os.Lstat(made[i]); serr == nil && fi.IsDir() || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
