package image

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/org/secure-build/internal/held"
	"github.com/org/secure-build/internal/hint"
)

// Extract unpacks the archive into a folder, beside and over what is there.
// Nothing is written outside of it, wherever a link in it leads. Files belong to
// who runs this, as buildx has it.
//
// The archive is read twice: nothing of one that has changed since the scan is
// written over a file that was there. What changes while it is unpacked is
// noticed at its end, and then, as after every error, what was written is
// removed.
func (f *Files) Extract(dir string) error {
	r, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := verified(r, f.digest.Digest()); err != nil {
		return err
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return f.extract(dir, r)
}

func (f *Files) extract(dir string, r io.Reader) error {
	made := absent(dir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return errors.Join(err, unmake(made))
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return errors.Join(err, unmake(made))
	}
	defer root.Close()
	x := extraction{root: root}
	seen := f.digest.Digest().Verifier()
	err = x.all(io.TeeReader(r, seen))
	if _, rerr := io.Copy(seen, r); rerr == nil && !seen.Verified() { // also what an archive has behind its end
		err = held.Changed("the files")
	}
	if err == nil {
		err = x.stamp()
	}
	if err != nil {
		return errors.Join(err, x.unmake(), unmake(made))
	}
	return nil
}

// An extraction is what was written so far.
type extraction struct {
	root *os.Root
	made []string      // names, in the order in which they were made
	dirs []*tar.Header // their modes and times come last: a file in them changes those
}

func (x *extraction) all(r io.Reader) error {
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Name = path.Clean(h.Name); h.Name == "." {
			continue
		}
		if err := x.one(h, tr); err != nil {
			return fmt.Errorf("writing %s: %w", h.Name, err)
		}
		if h.Typeflag == tar.TypeDir {
			x.dirs = append(x.dirs, h)
		}
	}
}

func (x *extraction) one(h *tar.Header, r io.Reader) error {
	if !filepath.IsLocal(h.Name) {
		return errors.New("it leads out of the folder")
	}
	old, err := x.root.Lstat(h.Name)
	if isDir := h.Typeflag == tar.TypeDir; err == nil && !(isDir && old.IsDir()) {
		if err := x.root.RemoveAll(h.Name); err != nil {
			return err
		}
	}
	fresh := x.absent(h.Name)
	if err := x.root.MkdirAll(path.Dir(h.Name), 0o755); err != nil {
		return err
	}
	x.made = append(x.made, fresh...)
	switch h.Typeflag {
	case tar.TypeDir:
		return x.root.MkdirAll(h.Name, 0o700)
	case tar.TypeSymlink:
		return x.root.Symlink(h.Linkname, h.Name)
	case tar.TypeLink:
		return x.root.Link(path.Clean(h.Linkname), h.Name)
	case tar.TypeReg:
	default:
		return hint.Wrap(errors.New("it is a device or a pipe"), "use --output type=tar, or leave it out of the image")
	}
	w, err := x.root.OpenFile(h.Name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Close(), stamp(x.root, h))
}

// absent is the func of this name, in the folder.
func (x *extraction) absent(name string) []string {
	if _, err := x.root.Lstat(name); err == nil || name == "." {
		return nil
	}
	return append(x.absent(path.Dir(name)), name)
}

func (x *extraction) stamp() error {
	for i := len(x.dirs) - 1; i >= 0; i-- {
		if err := stamp(x.root, x.dirs[i]); err != nil {
			return fmt.Errorf("writing %s: %w", x.dirs[i].Name, err)
		}
	}
	return nil
}

// unmake removes what was written. Folders that were there stay.
func (x *extraction) unmake() error {
	var errs []error
	for i := len(x.made) - 1; i >= 0; i-- {
		if err := x.root.Remove(x.made[i]); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("removing %s again: %w", x.made[i], err))
		}
	}
	return errors.Join(errs...)
}

// stamp sets mode and time.
func stamp(root *os.Root, h *tar.Header) error {
	mode := h.FileInfo().Mode()
	now := time.Now()
	return errors.Join(root.Chmod(h.Name, mode&(fs.ModePerm|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky)), root.Chtimes(h.Name, now, h.ModTime))
}
