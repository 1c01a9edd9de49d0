package vault

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/org/secure-build/internal/hint"
)

// memfds keeps each value in an anonymous file in RAM.
type memfds struct {
	fds  []*os.File
	byID map[string]*os.File
	pinned
}

// openAnonymous finds out by trying whether the kernel, and the sandbox that we
// may be in, let us have sealed anonymous files.
func openAnonymous() (anonymous, error) {
	f, err := sealed([]byte("probe"))
	if err != nil {
		return nil, fmt.Errorf("anonymous files in RAM: %w", err)
	}
	m := &memfds{byID: map[string]*os.File{}}
	m.pin(f, len("probe"))
	return m, errors.Join(m.unpin(), f.Close())
}

// allSeals forbid every change of a file, and of the seals (fcntl(2)).
const allSeals = unix.F_SEAL_WRITE | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL

// sealed returns an anonymous file in RAM that holds value and can never be
// changed, not even by root.
func sealed(value []byte) (*os.File, error) {
	f, err := newMemfd()
	if err != nil {
		return nil, err
	}
	err = f.Chmod(0o400)
	if err == nil {
		_, err = f.Write(value)
	}
	if err == nil {
		_, err = unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, allSeals)
	}
	if err != nil {
		return nil, errors.Join(plainCause(err), f.Close())
	}
	return readOnly(f), nil
}

func newMemfd() (*os.File, error) {
	// The name is only seen in /proc/PID/fd and maps. Before Linux 6.3 there is
	// no MFD_NOEXEC_SEAL; since then a sysctl may demand it.
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate("secure-build", flags|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.MemfdCreate("secure-build", flags)
	}
	switch {
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		return nil, hint.Wrap(fmt.Errorf("memfd_create: %w", err), "each secret takes one open file: raise the limit with ulimit -n")
	case err != nil:
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	return os.NewFile(uintptr(fd), "memfd:secure-build"), nil
}

// readOnly exchanges a handle that was used for writing for one that never was,
// so that this is what the supervisor inherits. Without /proc the seals alone
// have to do.
func readOnly(f *os.File) *os.File {
	r, err := os.Open("/proc/self/fd/" + strconv.Itoa(int(f.Fd())))
	if err != nil {
		return f
	}
	got, err1 := r.Stat()
	want, err2 := f.Stat()
	if errors.Join(err1, err2) != nil || !os.SameFile(got, want) {
		r.Close()
		return f
	}
	f.Close()
	return r
}

func (m *memfds) put(id string, value []byte) error {
	f, err := sealed(value)
	if err != nil {
		return err
	}
	m.pin(f, len(value))
	m.fds = append(m.fds, f)
	m.byID[id] = f
	return nil
}

func (m *memfds) get(id string) ([]byte, error) {
	f, ok := m.byID[id]
	if !ok {
		return nil, os.ErrNotExist
	}
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	value := make([]byte, fi.Size())
	_, err = io.ReadFull(io.NewSectionReader(f, 0, fi.Size()), value)
	return value, err
}

func (m *memfds) files() []*os.File { return m.fds }

func (m *memfds) close() error {
	errs := []error{m.unpin()}
	for _, f := range m.fds {
		errs = append(errs, f.Close())
	}
	m.fds, m.byID = nil, nil
	return errors.Join(errs...)
}
