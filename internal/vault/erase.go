package vault

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// empty erases everything in a folder. A file that is gone already is no error:
// the supervisor, Close and Sweep may be at it together. What we never make
// (a directory, a device) is left alone and reported.
func empty(root *os.Root) error {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return gone(err)
	}
	var errs []error
	for _, e := range entries {
		errs = append(errs, gone(eraseEntry(root, e)))
	}
	return errors.Join(errs...)
}

func eraseEntry(root *os.Root, e fs.DirEntry) error {
	switch e.Type() {
	case 0:
		// The name is taken away whether or not the bytes could be overwritten.
		return errors.Join(gone(overwrite(root, e.Name())), gone(root.Remove(e.Name())))
	case fs.ModeSymlink:
		return root.Remove(e.Name())
	}
	return fmt.Errorf("%s is neither a file nor a link", e.Name())
}

// overwrite fills a file with zeros. On a tmpfs these are the pages themselves;
// on a disk it is the best that can be done.
func overwrite(root *os.Root, name string) error {
	if err := root.Chmod(name, 0o600); err != nil {
		return err
	}
	f, err := root.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	zeros := make([]byte, 64<<10)
	for left := fi.Size(); left > 0; left -= int64(len(zeros)) {
		if _, err := f.Write(zeros[:min(left, int64(len(zeros)))]); err != nil {
			return err
		}
	}
	return f.Sync()
}

func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Sweep erases what dead runs of this user left behind, and returns their
// directories. It is called at the start of a run. It takes nothing but
// directories of our name, owner and mode whose lock nobody holds, and follows
// no link, so it may run beside any number of living runs.
func Sweep() (removed []string, err error) { return places{}.sweep() }

func (p places) sweep() (removed []string, err error) {
	if !canLock {
		return nil, nil
	}
	var errs []error
	for _, place := range p.forLinks() {
		for _, name := range foldersIn(place) {
			parent, err := openParent(place, anyFilesystem)
			if err != nil {
				break
			}
			f := &folder{dir: place.dir, name: name, parent: parent}
			if f.open() != nil {
				parent.Close() // in use, not ours, or gone
				continue
			}
			if err := f.end(); err != nil {
				errs = append(errs, fmt.Errorf("erasing a stale vault: %w", err), f.drop())
				continue
			}
			removed = append(removed, f.path())
		}
	}
	return removed, errors.Join(errs...)
}

// foldersIn lists the names in a place that may be ours. A place that is no
// good, or that we may not list, has nothing of ours.
func foldersIn(p place) []string {
	parent, err := openParent(p, anyFilesystem)
	if err != nil {
		return nil
	}
	defer parent.Close()
	entries, err := fs.ReadDir(parent.FS(), ".")
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if folderName.MatchString(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names
}
