package image

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

// How often and how far apart a folder is tried to be removed that is written to.
const (
	removeTries = 40
	removePause = 50 * time.Millisecond
)

// Temp makes a layout below dir that lives as long as the run: Remove deletes
// it, and what a killed run has left there is deleted by the next call. (It may
// be the image that a scan would have stopped.) A file lock, which the kernel
// gives back when its holder ends, tells the two apart.
func Temp(dir string) (*Layout, error) {
	runs := filepath.Join(dir, "runs")
	if err := os.MkdirAll(runs, 0o700); err != nil {
		return nil, fmt.Errorf("creating the image layout: %w", err)
	}
	// One at a time: a run that has its folder and not yet its lock would be
	// taken for one that was killed.
	begin := flock.New(filepath.Join(dir, "runs.lock"))
	if err := begin.Lock(); err != nil {
		return nil, fmt.Errorf("creating the image layout: %w", err)
	}
	defer func() { _ = begin.Close() }()
	if err := sweep(runs); err != nil {
		return nil, fmt.Errorf("removing the layouts of earlier runs: %w", err)
	}
	own, err := os.MkdirTemp(runs, "run-")
	if err != nil {
		return nil, fmt.Errorf("creating the image layout: %w", err)
	}
	held := flock.New(filepath.Join(own, "lock"))
	if ok, err := held.TryLock(); err != nil || !ok {
		return nil, errors.Join(fmt.Errorf("creating the image layout: its lock is taken"), err)
	}
	l, err := Create(filepath.Join(own, "layout"))
	if err != nil {
		return nil, err
	}
	l.remove = func() error { return errors.Join(removeAll(own), held.Close()) }
	return l, nil
}

// removeAll deletes a folder that a cancelled build may still be writing to: a
// staged cache's store is BuildKit's client's own, which does not wait for its
// last writers. They end by themselves once their connection is gone.
func removeAll(dir string) error {
	var err error
	for range removeTries {
		if err = os.RemoveAll(dir); !errors.Is(err, syscall.ENOTEMPTY) {
			return err
		}
		time.Sleep(removePause)
	}
	return err
}

// sweep deletes the runs that nobody holds.
func sweep(runs string) error {
	dirs, err := os.ReadDir(runs)
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range dirs {
		run := filepath.Join(runs, d.Name())
		held := flock.New(filepath.Join(run, "lock"), flock.SetFlag(os.O_RDWR))
		// A run without a lock file is being made or being removed at this moment,
		// or was killed while it was: leave it if it is young.
		ok, err := held.TryLock()
		if errors.Is(err, os.ErrNotExist) {
			ok = old(run)
		}
		if ok {
			errs = append(errs, os.RemoveAll(run))
		}
		_ = held.Close()
	}
	return errors.Join(errs...)
}

// old says whether a folder was made more than a minute ago.
func old(dir string) bool {
	fi, err := os.Stat(dir)
	return err == nil && time.Since(fi.ModTime()) > time.Minute
}
