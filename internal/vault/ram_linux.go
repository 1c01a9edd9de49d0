package vault

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// onTmpfs is true of a directory on a tmpfs, by its magic number (statfs(2)).
func onTmpfs(dir *os.File) error {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(dir.Fd()), &st); err != nil {
		return fmt.Errorf("asking for its file system: %w", err)
	}
	if st.Type != unix.TMPFS_MAGIC {
		return errors.New("not on a tmpfs")
	}
	return nil
}

// lockPages keeps the first n bytes of a file in RAM for as long as the
// returned mapping lives. The mapping is private, because a shared one of a
// file that is sealed against writing was refused before Linux 6.7; as nothing
// is ever written to it, its pages are the file's own. It is kept out of core
// dumps. It fails where RLIMIT_MEMLOCK is too small.
func lockPages(f *os.File, n int) (pages []byte, ok bool) {
	pages, err := unix.Mmap(int(f.Fd()), 0, n, unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return nil, false
	}
	if errors.Join(unix.Madvise(pages, unix.MADV_DONTDUMP), unix.Mlock(pages)) != nil {
		_ = unix.Munmap(pages)
		return nil, false
	}
	return pages, true
}

func unlockPages(pages []byte) error { return unix.Munmap(pages) }

// swapping says whether the machine has swap space, by /proc/swaps: a heading,
// then a line for each. If that cannot be read, it may.
func swapping(list string) bool {
	b, err := os.ReadFile(list)
	return err != nil || strings.Count(strings.TrimSpace(string(b)), "\n") > 0
}
