package vault

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/secret"
)

// Options say how far down the ladder Open may go.
type Options struct {
	RequireRAM bool // the disk is an error; with AllowDisk it is a contradiction, and an error too
	AllowDisk  bool // the last rung may be taken
	PlainFiles bool // start at rung 2: regular files, for commands that the links of rung 1 do not suit

	places places // where to look; tests set it
}

// A Vault holds secrets until Close. Its methods may be called at the same time.
type Vault struct {
	mu     sync.Mutex
	opts   Options
	kind   Kind
	ids    []string // in the order of Put
	known  map[string]bool
	store  store
	folder *folder // the directory with paths: always there on rungs 2 and 3, after Expose on rung 1
	closed bool

	holder       *holder
	restarts     int
	unsupervised error // why there is a folder but no holder
}

// A store keeps values by id. It is used under the vault's lock.
type store interface {
	put(id string, value []byte) error
	get(id string) ([]byte, error)
	locked() bool // every page is kept from being swapped
	close() error
}

// Open takes the first rung of the ladder that works here. It leaves no error
// unsaid: when none does, each rung's reason is in the error.
func Open(opts Options) (*Vault, error) {
	if opts.RequireRAM && opts.AllowDisk {
		return nil, hint.Wrap(errors.New("opening the vault: RAM is required and the disk is allowed"),
			"use one of --require-ram and --allow-disk")
	}
	v := &Vault{opts: opts, known: map[string]bool{}}
	var why error
	if !opts.PlainFiles {
		m, err := openAnonymous()
		if err == nil {
			v.kind, v.store = Memfd, m
			return v, nil
		}
		why = err
	}
	if err := v.openPlain(); err != nil {
		return nil, fmt.Errorf("opening the vault: %w", errors.Join(why, err))
	}
	return v, nil
}

// openPlain puts the vault on rung 2 or 3.
func (v *Vault) openPlain() error {
	places, last := v.opts.places, v.opts.places.lastResort()
	old := v.store
	v.store = nil // a supervisor of files has nothing to hold
	var why []error
	for _, p := range append(places.ram(), last) { // the temporary folder is a tmpfs on some machines
		err := v.newFolder(p, onTmpfs)
		if err == nil {
			v.kind, v.store = Tmpfs, &plain{folder: v.folder}
			return nil
		}
		why = append(why, err)
	}
	if v.opts.AllowDisk {
		err := v.newFolder(last, anyFilesystem)
		if err == nil {
			v.kind, v.store = Disk, &plain{folder: v.folder}
			return nil
		}
		why = append(why, err)
	}
	v.store = old
	return noPlace(v.opts, errors.Join(why...))
}

func noPlace(opts Options, why error) error {
	err := fmt.Errorf("no place for secrets: %w", why)
	const shm = "give the job a writable /dev/shm (docker run --shm-size=64m)"
	switch {
	case opts.RequireRAM:
		return hint.Wrap(err, shm+", or drop --require-ram and allow the disk with --allow-disk")
	case opts.AllowDisk:
		return hint.Wrap(err, shm+", or let TMPDIR name a folder that you can write")
	}
	return hint.Wrap(err, shm+", or allow the disk with --allow-disk")
}

// Put stores a secret. Its id becomes a file name, so it must pass
// secret.CheckID and be new.
func (v *Vault) Put(s secret.Secret) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	id := s.ID()
	if err := secret.CheckID(id); err != nil {
		return fmt.Errorf("storing a secret: %w", err)
	}
	switch {
	case v.closed:
		return fmt.Errorf("storing the secret %q: the vault is closed", id)
	case v.known[id]:
		return fmt.Errorf("storing the secret %q: there is one with that id: %w", id, os.ErrExist)
	case v.kind == Memfd && v.folder != nil:
		return fmt.Errorf("storing the secret %q: the vault's paths are already given out", id)
	}
	if err := v.store.put(id, s.Reveal()); err != nil {
		return fmt.Errorf("storing the secret %q: %w", id, err)
	}
	v.ids = append(v.ids, id)
	v.known[id] = true
	return nil
}

// Get reads a value back. An unknown id gives an error that is os.ErrNotExist.
func (v *Vault) Get(id string) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.closed:
		return nil, fmt.Errorf("reading the secret %q: the vault is closed: %w", id, os.ErrClosed)
	case !v.known[id]:
		return nil, fmt.Errorf("reading the secret %q: %w", id, os.ErrNotExist)
	}
	value, err := v.store.get(id)
	if err != nil {
		return nil, fmt.Errorf("reading the secret %q: %w", id, err)
	}
	return value, nil
}

// Expose returns a directory with one file per secret, named by its id, for
// commands that want paths. It is made by the first call; later ones return the
// same. Where the links of rung 1 cannot be read, the vault moves to rung 2.
func (v *Vault) Expose() (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return "", errors.New("exposing the vault: it is closed")
	}
	if v.folder == nil {
		if why := v.link(); why != nil {
			if err := v.move(); err != nil {
				return "", fmt.Errorf("exposing the vault: %w", errors.Join(why, err))
			}
		}
	}
	return v.folder.path(), nil
}

// move copies everything from rung 1 to rung 2 or 3.
func (v *Vault) move() error {
	old := v.store
	if err := v.openPlain(); err != nil {
		return err
	}
	for _, id := range v.ids {
		value, err := old.get(id)
		if err == nil {
			err = v.store.put(id, value)
		}
		if err != nil {
			return errors.Join(err, old.close())
		}
	}
	return old.close()
}

// Close ends the vault: when it returns nil, no file, directory or process of
// it is left. It may be called more than once and at any time; what failed is
// tried again.
func (v *Vault) Close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	var errs []error
	if !v.closed {
		v.closed = true
		errs = append(errs, v.store.close())
	}
	errs = append(errs, v.dropFolder())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("erasing the vault: %w", err)
	}
	return nil
}
