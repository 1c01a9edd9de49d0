package vault

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A sealed value cannot be changed by anybody: root passes the mode, not the seal.
func TestSealed(t *testing.T) {
	f, err := sealed([]byte("s3cret"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write([]byte("x")); err == nil {
		t.Error("our own handle can write")
	}
	w, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), os.O_RDWR, 0)
	if err != nil {
		if os.Geteuid() == 0 {
			t.Fatal(err)
		}
		return // the mode keeps an ordinary user out
	}
	defer w.Close()
	if _, err := w.WriteAt([]byte("x"), 0); !errors.Is(err, unix.EPERM) {
		t.Errorf("writing: %v", err)
	}
	if _, err := w.WriteAt([]byte("x"), 100); !errors.Is(err, unix.EPERM) {
		t.Errorf("appending: %v", err)
	}
	for _, size := range []int64{0, 100} {
		if err := w.Truncate(size); !errors.Is(err, unix.EPERM) {
			t.Errorf("truncating to %d: %v", size, err)
		}
	}
	if _, err := unix.Mmap(int(w.Fd()), 0, 6, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err == nil {
		t.Error("it can be mapped for writing")
	}
	if _, err := unix.FcntlInt(w.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_FUTURE_WRITE); !errors.Is(err, unix.EPERM) {
		t.Errorf("adding a seal: %v", err)
	}
	if err := w.Chmod(0o500); err == nil && kernelSealsExec() {
		t.Error("it can be made executable")
	}
}

// kernelSealsExec says whether the kernel has MFD_NOEXEC_SEAL.
func kernelSealsExec() bool {
	_, err := os.Stat("/proc/sys/vm/memfd_noexec")
	return err == nil
}

// The pages of every value are locked, and a build gives it no name anywhere.
func TestMemfdIsLockedAndNameless(t *testing.T) {
	opts := rungs(t)[Memfd]
	v := mustOpen(t, opts)
	before := lockedKiB(t)
	mustPut(t, v, "token", make([]byte, 128<<10))
	m := v.Memory()
	if got := lockedKiB(t) - before; m.Locked != (got >= 128) {
		t.Errorf("%d KiB more are locked, and Locked is %v", got, m.Locked)
	}
	if m.Path != "" {
		t.Errorf("the path is %q", m.Path)
	}
	for _, p := range opts.places.forLinks() {
		if left := entries(t, p.dir); left != nil {
			t.Errorf("in %s there is %q", p.dir, left)
		}
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	if got := lockedKiB(t); got != before {
		t.Errorf("after Close %d KiB are locked, want %d", got, before)
	}
	fds, _ := filepath.Glob("/proc/self/fd/*")
	for _, fd := range fds {
		if to, _ := os.Readlink(fd); strings.Contains(to, "memfd:secure-build") {
			t.Errorf("%s is still open", fd)
		}
	}
}

func lockedKiB(t *testing.T) (n int) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmLck:")
	if _, err := fmt.Sscan(rest, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// A machine that swaps and does not let us lock is said to swap.
func TestMemoryOfUnlockedPages(t *testing.T) {
	opts := rungs(t)[Memfd]
	opts.places.swaps = filepath.Join(t.TempDir(), "swaps")
	if err := os.WriteFile(opts.places.swaps, []byte("Filename Type\n/swapfile file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	v := mustOpen(t, opts)
	mustPut(t, v, "token", []byte("s3cret"))
	if m := v.Memory(); m.Swap == m.Locked {
		t.Errorf("Memory() = %+v", m)
	}
	v.store.(*memfds).partly = true
	if m := v.Memory(); !m.Swap || m.Locked {
		t.Errorf("Memory() = %+v", m)
	}
}
