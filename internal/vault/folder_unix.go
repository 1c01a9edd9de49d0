//go:build unix

package vault

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

const canLock = true

func ours(fi fs.FileInfo) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}

func private(fi fs.FileInfo) bool { return fi.Mode().Perm() == 0o700 }

// othersMayRename says that somebody else could put another directory in the
// place of ours. They could not read ours, but could make a command read theirs.
func othersMayRename(fi fs.FileInfo) bool {
	return fi.Mode().Perm()&0o022 != 0 && fi.Mode()&fs.ModeSticky == 0
}

// lockFolder takes the lock of a folder for as long as the handle, or a copy of
// it, is open. It does not wait.
func lockFolder(dir *os.File) error {
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return errTaken
	} else if err != nil {
		return fmt.Errorf("locking %s: %w", dir.Name(), err)
	}
	return nil
}
