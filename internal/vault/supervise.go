package vault

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// An anonymous store's values are files without a name, in the order in which
// they were put.
type anonymous interface {
	store
	files() []*os.File
}

// maxRestarts is how often a supervisor that was killed is started again. A
// machine that keeps killing it would otherwise be kept busy by us.
const maxRestarts = 8

// newFolder makes the vault's folder in a place. The supervisor, which outlives
// us by the moment that it takes to erase the folder, runs before there is one.
// It is called under the lock.
func (v *Vault) newFolder(p place, check fsCheck) error {
	var err error
	for range 16 { // as often as Sweep of another run may be faster
		f, cause := chooseFolder(p, check)
		if cause != nil {
			return cause
		}
		h, why := v.supervise(f)
		if err = f.make(); err == nil {
			v.folder, v.holder, v.unsupervised = f, h, why
			if h != nil {
				go v.replace(h)
			}
			return nil
		}
		if h != nil {
			h.stop()
		}
		err = errors.Join(err, f.drop())
		if !errors.Is(err, errTaken) {
			break
		}
	}
	return err
}

// supervise starts a supervisor for a folder. On rung 1 it inherits the values'
// files.
func (v *Vault) supervise(f *folder) (*holder, error) {
	var held []*os.File
	if a, ok := v.store.(anonymous); ok {
		held = a.files()
	}
	h, err := startHolder(f, held)
	if err != nil {
		return nil, fmt.Errorf("starting the vault's supervisor: %w", err)
	}
	return h, nil
}

// replace waits for the end of a supervisor and, if it was not ours to end it,
// starts another: without one, a second SIGKILL would leave the folder behind,
// and the links of rung 1 would lead nowhere.
func (v *Vault) replace(h *holder) {
	<-h.done
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed || v.holder != h {
		return
	}
	h.kill()
	v.holder = nil
	if v.restarts++; v.restarts > maxRestarts {
		v.unsupervised = errors.New("the vault's supervisor was killed too often")
		return
	}
	next, err := v.supervise(v.folder)
	if v.unsupervised = err; err != nil {
		return
	}
	v.holder = next
	go v.replace(next)
	if v.kind == Memfd {
		v.unsupervised = v.relink()
	}
}

// link makes the directory of rung 1. It holds names and no plaintext, so it
// may be on a disk where there is no tmpfs.
func (v *Vault) link() error {
	var why []error
	for _, p := range v.opts.places.forLinks() {
		err := v.newFolder(p, anyFilesystem)
		if err != nil {
			why = append(why, err)
			continue
		}
		if err = v.unsupervised; err == nil {
			err = v.relink()
		}
		if err != nil {
			return errors.Join(err, v.dropFolder())
		}
		return nil
	}
	return errors.Join(why...)
}

// dropFolder ends the folder and then its supervisor. What failed is tried
// again by the next call.
func (v *Vault) dropFolder() error {
	var err error
	if v.folder != nil {
		if err = v.folder.end(); err == nil {
			v.folder = nil
		}
	}
	if v.holder != nil {
		v.holder.stop()
		v.holder = nil
	}
	return err
}

// relink points the folder's links at the supervisor's files. Each is replaced by
// a rename, so that a reader finds the old one or the new one.
func (v *Vault) relink() error {
	held := v.store.(anonymous).files()
	for i, id := range v.ids {
		target := filepath.Join("/proc", strconv.Itoa(v.holder.pid()), "fd", strconv.Itoa(firstHeld+i))
		next := "~" + id // no id has a ~
		if err := v.folder.root.Symlink(target, next); err != nil {
			return fmt.Errorf("linking the secret %q: %w", id, err)
		}
		if err := v.folder.root.Rename(next, id); err != nil {
			return fmt.Errorf("linking the secret %q: %w", id, err)
		}
		if err := leadsTo(filepath.Join(v.folder.path(), id), held[i]); err != nil {
			return fmt.Errorf("linking the secret %q: %w", id, err)
		}
	}
	return nil
}

// leadsTo proves that path can be opened and is the file held. Some sandboxes
// have no such links in /proc, or forbid to follow them.
func leadsTo(path string, held *os.File) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	got, err := f.Stat()
	if err != nil {
		return err
	}
	want, err := held.Stat()
	if err != nil {
		return err
	}
	if !os.SameFile(got, want) {
		return fmt.Errorf("%s is another file", path)
	}
	return nil
}
