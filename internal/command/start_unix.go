//go:build unix

package command

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// start starts cmd between pipes, or on a terminal of its own whose frames go
// to o.Screen. finish waits for its end and for the rest of its output.
func start(cmd *exec.Cmd, o Options) (finish func() error, err error) {
	if o.Screen == nil {
		cmd.Stdin, cmd.Stdout, cmd.Stderr = o.Stdin, o.Stdout, o.Stderr
		if o.Stdin == nil {
			cmd.Stdin = nil // not a nil *os.File in an interface
		}
		cmd.SysProcAttr = dieWithUs(&syscall.SysProcAttr{})
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		return cmd.Wait, nil
	}
	// The command gets a pseudo-terminal, so it colours, asks and draws as ever;
	// ours is raw meanwhile, so that ^C, ^Z and ^D reach the command's.
	tty, err := pty.StartWithAttrs(cmd, size(o.Stdin), dieWithUs(&syscall.SysProcAttr{Setsid: true, Setctty: true}))
	if err != nil {
		return nil, err
	}
	before, err := term.MakeRaw(int(o.Stdin.Fd()))
	if err != nil {
		return nil, errors.Join(err, cmd.Process.Kill(), tty.Close())
	}
	stop := resize(o.Stdin, tty)
	go func() { _, _ = io.Copy(tty, o.Stdin) }()
	copied := make(chan error, 1)
	go func() { _, err := io.Copy(o.Screen, tty); copied <- err }()
	return func() error {
		err := cmd.Wait()
		if cerr := <-copied; cerr != nil && !errors.Is(cerr, syscall.EIO) { // EIO: the last holder has closed it
			err = errors.Join(err, cerr)
		}
		stop()
		return errors.Join(err, term.Restore(int(o.Stdin.Fd()), before), tty.Close())
	}, nil
}

func size(f *os.File) *pty.Winsize {
	ws, err := pty.GetsizeFull(f)
	if err != nil {
		return nil
	}
	return ws
}

// forward passes a signal on, except what the command has been sent already: a
// ^C at our terminal goes to every process of the foreground group.
func forward(p *os.Process, sig os.Signal, o Options) {
	typed := o.Screen == nil && o.Stdin != nil && term.IsTerminal(int(o.Stdin.Fd()))
	if typed && (sig == unix.SIGINT || sig == unix.SIGQUIT) {
		return
	}
	_ = p.Signal(sig)
}
