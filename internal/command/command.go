// Package command runs a user's command between redacted streams: its output
// goes through writers that mask, its exit code and the signals that we are
// sent are passed on, and where we have a terminal, it has one too.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/org/secure-build/internal/hint"
)

// outputDelay bounds the wait for output after the command has ended: a child
// of it that lives on may keep the pipes open.
const outputDelay = 2 * time.Second

// Options say what to run and where its output goes.
type Options struct {
	Args    []string // the command and its arguments
	Env     []string
	Stdin   *os.File // handed on as it is; with Screen it has to be a terminal
	Stdout  io.Writer
	Stderr  io.Writer
	Screen  io.Writer        // where a terminal's frames go; nil without a terminal
	Signals <-chan os.Signal // passed on to the command until it has ended
}

// Run runs the command to its end and returns its exit code: 128 and the
// signal's number if a signal ended it, as a shell has it. The error is for a
// command that could not be started, or output that could not be written.
//
// The command is told to end (SIGTERM) if we are killed.
func Run(ctx context.Context, o Options) (code int, err error) {
	if len(o.Args) == 0 {
		return 0, errors.New("running a command: there is none")
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	// Not CommandContext: a signal to us is passed on, and the command decides.
	cmd := exec.Command(o.Args[0], o.Args[1:]...)
	cmd.Env = o.Env
	cmd.WaitDelay = outputDelay
	ended := make(chan error, 1)
	started := make(chan error)
	go func() {
		// The signal of our death comes when the thread that started the command
		// ends (prctl(2)), so it stays until the command has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		finish, err := start(cmd, o)
		started <- err
		if err == nil {
			ended <- finish()
		}
	}()
	if err := <-started; err != nil {
		return 0, explain(fmt.Errorf("running %s: %w", o.Args[0], err))
	}
	for {
		select {
		case sig := <-o.Signals:
			forward(cmd.Process, sig, o)
		case err := <-ended:
			return exitCode(cmd, err)
		}
	}
}

// exitCode separates how the command ended from what went wrong with us.
func exitCode(cmd *exec.Cmd, err error) (int, error) {
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		return 1, fmt.Errorf("running %s: %w", cmd.Args[0], err)
	}
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	return cmd.ProcessState.ExitCode(), nil
}

func explain(err error) error {
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, os.ErrNotExist):
		return hint.Wrap(err, "is it in PATH? a pipeline or a variable needs a shell: -- sh -c '…'")
	case errors.Is(err, os.ErrPermission):
		return hint.Wrap(err, "is it executable?")
	}
	return err
}
