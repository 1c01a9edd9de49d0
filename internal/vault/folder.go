package vault

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
)

// A folder is a directory of mode 0700 that only we use. It is reached through
// handles (os.Root), never by its path again, so that nobody can exchange it or
// a part of it for a symbolic link.
type folder struct {
	dir, name string
	parent    *os.Root
	root      *os.Root // nil until it is made
	lock      *os.File // holds the flock that tells Sweep we live
}

// folderName is the form of a folder's name: the prefix and 128 random bits.
var folderName = regexp.MustCompile(`^secure-build-[0-9a-f]{32}$`)

func randomName() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return "secure-build-" + hex.EncodeToString(b[:])
}

// A fsCheck says whether the file system of an open directory will do.
type fsCheck func(dir *os.File) error

func anyFilesystem(*os.File) error { return nil }

// errTaken says that somebody else has a folder, or took it away just now.
var errTaken = errors.New("in use by another run")

// chooseFolder finds the name for a new folder in a place, and makes nothing
// yet: the supervisor is told first, so that no moment is without one.
func chooseFolder(p place, check fsCheck) (*folder, error) {
	parent, err := openParent(p, check)
	if err != nil {
		return nil, err
	}
	return &folder{dir: p.dir, name: randomName(), parent: parent}, nil
}

// make makes the folder, exclusively, and locks it.
//
// Sweep of another run may see it before it is locked, and take it for a dead
// one. It is still empty then; the error is errTaken, and the next will do.
func (f *folder) make() error {
	if err := f.parent.Mkdir(f.name, 0o700); err != nil {
		return fmt.Errorf("making a directory in %s: %w", f.dir, plainCause(err))
	}
	if err := f.open(); err != nil {
		_ = f.parent.Remove(f.name)
		return fmt.Errorf("making a directory in %s: %w", f.dir, err)
	}
	return nil
}

// openParent opens a place without following a symbolic link at its end.
func openParent(p place, check fsCheck) (*os.Root, error) {
	before, err := os.Lstat(p.dir)
	if err != nil {
		return nil, err
	}
	if !before.IsDir() {
		return nil, fmt.Errorf("%s is not a directory", p.dir)
	}
	parent, err := os.OpenRoot(p.dir)
	if err != nil {
		return nil, err
	}
	if err := checkParent(parent, p, before, check); err != nil {
		parent.Close()
		return nil, err
	}
	return parent, nil
}

func checkParent(parent *os.Root, p place, before fs.FileInfo, check fsCheck) error {
	dir, err := parent.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	fi, err := dir.Stat()
	if err != nil {
		return err
	}
	switch {
	case !os.SameFile(before, fi):
		return fmt.Errorf("%s was exchanged while it was opened", p.dir)
	case p.owned && !ours(fi):
		return fmt.Errorf("%s belongs to somebody else", p.dir)
	case othersMayRename(fi):
		return fmt.Errorf("%s can be written by others and is not sticky", p.dir)
	}
	if err := check(dir); err != nil {
		return fmt.Errorf("%s: %w", p.dir, err)
	}
	return nil
}

// open opens and locks a folder of ours that exists. One that a living run uses,
// or that was erased before we had the lock, gives errTaken.
func (f *folder) open() error {
	root, err := openOwn(f.parent, f.name)
	if err != nil {
		return err
	}
	lock, err := root.Open(".")
	if err != nil {
		return errors.Join(err, root.Close())
	}
	f.root, f.lock = root, lock
	if err := f.take(); err != nil {
		f.root, f.lock = nil, nil
		return errors.Join(err, lock.Close(), root.Close())
	}
	return nil
}

// take locks the folder and makes sure that it is still the one of its name.
func (f *folder) take() error {
	if err := lockFolder(f.lock); err != nil {
		return err
	}
	opened, err := f.lock.Stat()
	if err != nil {
		return err
	}
	named, err := f.parent.Lstat(f.name)
	if err != nil || !os.SameFile(named, opened) {
		return errTaken
	}
	return nil
}

// openOwn opens a folder if it is one of ours: a real directory, of our own, of
// mode 0700.
func openOwn(parent *os.Root, name string) (*os.Root, error) {
	before, err := parent.Lstat(name)
	if err != nil {
		return nil, vanished(err)
	}
	if !before.IsDir() || !ours(before) || !private(before) {
		return nil, fmt.Errorf("%s is not a directory of ours", name)
	}
	root, err := parent.OpenRoot(name)
	if err != nil {
		return nil, vanished(err)
	}
	opened, err := root.Lstat(".")
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	if !os.SameFile(before, opened) {
		return nil, errors.Join(errTaken, root.Close())
	}
	return root, nil
}

// vanished adds errTaken to the error for what is no longer there.
func vanished(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return errors.Join(errTaken, err)
	}
	return err
}

func (f *folder) path() string { return filepath.Join(f.dir, f.name) }

// end erases the folder and lets go of it. If that fails the folder stays
// locked, and end may be called again.
func (f *folder) end() error {
	if err := empty(f.root); err != nil {
		return fmt.Errorf("emptying %s: %w", f.path(), err)
	}
	if err := f.parent.Remove(f.name); gone(err) != nil {
		return fmt.Errorf("removing %s: %w", f.path(), plainCause(err))
	}
	return f.drop()
}

// drop lets go of the folder and leaves it as it is.
func (f *folder) drop() error {
	err := f.parent.Close()
	if f.root != nil {
		err = errors.Join(err, f.root.Close(), f.lock.Close())
	}
	return err
}

// plainCause cuts what os.Root puts before the cause: its name for the call and
// a name that is random.
func plainCause(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}
