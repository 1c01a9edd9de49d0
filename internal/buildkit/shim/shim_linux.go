package shim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// run puts what the
// daemon writes about a step that runs (the OCI bundle, whose config.json has
// the values of secrets mounted with env=, and the container's own state) on a
// tmpfs that only these namespaces see, and becomes the daemon. args are the
// state folder, the daemon's binary and the daemon's arguments.
func run(args []string) error {
	if len(args) < 2 {
		return errors.New("the state folder and the daemon's binary are missing")
	}
	root, daemon := args[0], args[1:]
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making the mounts private: %w", err)
	}
	if os.Getpid() == 1 {
		if err := parentLives(); err != nil {
			return err
		}
		// /proc has to show the new PID namespace. (rootlesskit sees to both by itself.)
		if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
			return fmt.Errorf("mounting /proc: %w", err)
		}
	}
	for _, snapshotter := range Snapshotters {
		if err := tmpfs(filepath.Join(root, "runc-"+snapshotter, "executor"), 0o711); err != nil {
			return err
		}
	}
	if err := tmpfs("/run/runc", 0o700); err != nil {
		return err
	}
	return unix.Exec(daemon[0], daemon, os.Environ())
}

// parentLives closes the gap between our start and the order to die with our
// parent: if it has died in between, its end of the pipe on descriptor 3 is
// closed. (Who is in a new PID namespace cannot see it by getppid.)
func parentLives() error {
	const pipe = 3
	unix.CloseOnExec(pipe)
	fds := []unix.PollFd{{Fd: pipe, Events: unix.POLLIN}}
	if _, err := unix.Poll(fds, 0); err != nil {
		return fmt.Errorf("asking for the parent: %w", err)
	}
	if fds[0].Revents != 0 {
		return errors.New("the parent has ended")
	}
	return nil
}

// tmpfs mounts one on dir, not to be swapped where the kernel can (Linux 6.4,
// as root).
func tmpfs(dir string, mode os.FileMode) error {
	if err := os.MkdirAll(dir, mode); err != nil {
		return fmt.Errorf("making %s: %w", dir, err)
	}
	data := fmt.Sprintf("mode=%o,size=256m", mode)
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, data+",noswap"); err == nil {
		return nil
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, data); err != nil {
		return fmt.Errorf("mounting a tmpfs on %s: %w", dir, err)
	}
	return nil
}
