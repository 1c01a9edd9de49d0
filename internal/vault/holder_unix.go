//go:build unix

package vault

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The supervisor is this same program, started again with these arguments:
// its name, holdCommand, a place, the name of a folder there. It inherits, from
// descriptor 3 on: a pipe that ends when the worker does, a pipe to say that it
// is ready, and the files to keep open.
const (
	holdCommand = "hold-vault"
	lifeline    = 3
	readiness   = 4
	firstHeld   = 5
)

// patience is how long a supervisor may take to start or to end.
const patience = 5 * time.Second

// mainAsked is set once main has called Hold. A program that never does must
// not be started again by us: it would do its whole work a second time.
var mainAsked atomic.Bool

// Hold must be the first thing that main does. In a process that was started as
// a vault's supervisor it does that work until it is over and returns true;
// main then ends with the error. In any other it returns false at once.
func Hold() (held bool, err error) {
	mainAsked.Store(true)
	if len(os.Args) != 4 || os.Args[1] != holdCommand {
		return false, nil
	}
	// Whoever ends the job signals us as well, and the worker needs time to
	// clean up: only its end is ours.
	signal.Ignore(unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGPIPE, unix.SIGUSR1, unix.SIGUSR2)
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	ready := os.NewFile(readiness, "readiness")
	life := os.NewFile(lifeline, "lifeline")
	if ready == nil || life == nil {
		return true, errors.New("supervising a vault: started without its pipes")
	}
	_, _ = ready.Write([]byte{1})
	_ = ready.Close()
	_, _ = io.Copy(io.Discard, life)
	if err := eraseAt(os.Args[2], os.Args[3]); err != nil {
		return true, fmt.Errorf("supervising a vault: %w", err)
	}
	return true, nil
}

// eraseAt erases a folder whose worker is gone, or is about to be. It does not
// ask for the lock: the kernel may close our lifeline before the worker's lock.
func eraseAt(dir, name string) error {
	if !folderName.MatchString(name) {
		return fmt.Errorf("%q is not the name of a vault", name)
	}
	parent, err := openParent(place{dir: dir}, anyFilesystem)
	if err != nil {
		return err
	}
	defer parent.Close()
	root, err := openOwn(parent, name)
	if err != nil {
		return gone(err)
	}
	defer root.Close()
	return errors.Join(empty(root), gone(parent.Remove(name)))
}

// A holder is a running supervisor, as the worker sees it.
type holder struct {
	process *os.Process
	life    *os.File // its end is the supervisor's sign to erase and go
	done    chan struct{}
}

func startHolder(f *folder, held []*os.File) (*holder, error) {
	if !mainAsked.Load() {
		return nil, errors.New("this program does not offer one")
	}
	theirs, life, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	ready, started, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, life.Close())
	}
	defer ready.Close()
	defer started.Close()

	cmd := exec.Command(self(), holdCommand, f.dir, f.name)
	cmd.Args[0] = os.Args[0]
	cmd.Env = []string{} // nothing of ours: it may hold secrets
	cmd.Dir = "/"
	cmd.ExtraFiles = append([]*os.File{theirs, started}, held...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, life.Close())
	}
	h := &holder{cmd.Process, life, make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended does not matter: Close looks for itself
		close(h.done)
	}()
	_ = started.Close()
	_ = ready.SetReadDeadline(time.Now().Add(patience))
	if _, err := ready.Read(make([]byte, 1)); err != nil {
		h.kill()
		return nil, fmt.Errorf("waiting for it: %w", err)
	}
	return h, nil
}

// self is this program, also when its file was moved or replaced meanwhile.
func self() string {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe"
	}
	path, _ := os.Executable() // "" fails to start
	return path
}

func (h *holder) pid() int { return h.process.Pid }

// stop lets the supervisor erase what is left, and waits until it is gone.
func (h *holder) stop() {
	_ = h.life.Close()
	select {
	case <-h.done:
	case <-time.After(patience):
		h.kill()
	}
}

// kill ends a supervisor that is of no use, and leaves the folder as it is.
func (h *holder) kill() {
	_ = h.process.Kill()
	<-h.done
	_ = h.life.Close()
}
