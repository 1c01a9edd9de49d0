package main_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// terminalFor makes a command's stderr a terminal of 100 columns, whose screen
// is copied to w (pty(7)). The func that it returns waits for the end of that.
func terminalFor(cmd *exec.Cmd, w io.Writer) (wait func() error, err error) {
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	fd := int(ours.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, errors.Join(err, ours.Close())
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return nil, errors.Join(err, ours.Close())
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: 100}); err != nil {
		return nil, errors.Join(err, ours.Close())
	}
	theirs, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, errors.Join(err, ours.Close())
	}
	cmd.Stderr = theirs
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(w, ours) // ends with EIO when nobody has the other side
	}()
	return func() error {
		err := theirs.Close()
		<-ended
		return errors.Join(err, ours.Close())
	}, nil
}
