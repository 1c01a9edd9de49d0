package buildkit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ShimCommand is the hidden first argument under which our binary becomes the
// private daemon: see [Shim].
const ShimCommand = "__buildkitd"

// start runs the daemon in a PID and a mount namespace of its own, so that the
// kernel ends every process of it (the containers of the running steps too)
// and every mount when it ends, however we end: the first process of a PID
// namespace takes all others with it, and it is sent SIGKILL when we die.
func (d *daemon) start(env []string) (stop func(time.Duration), died <-chan error, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	shim := append([]string{self, ShimCommand, d.root, d.buildkitd}, d.args()...)
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if d.rootlesskit != "" {
		kit := []string{d.rootlesskit, "--net=host", "--copy-up=/etc", "--copy-up=/run"}
		if mounts, err := os.ReadFile("/proc/self/mountinfo"); err == nil && !masksProc(string(mounts)) {
			kit = append(kit, "--pidns")
		}
		shim = append(append(kit, "--"), shim...)
		shim = append(shim, "--rootless", "--oci-worker-no-process-sandbox")
	} else {
		attr.Cloneflags = syscall.CLONE_NEWPID | syscall.CLONE_NEWNS
	}
	cmd := exec.Command(shim[0], shim[1:]...)
	cmd.Env, cmd.SysProcAttr = env, attr
	cmd.Stdout, cmd.Stderr = d.log, d.log
	cmd.WaitDelay = time.Second
	alive, ours, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	if d.rootlesskit == "" {
		cmd.ExtraFiles = []*os.File{alive}
	}

	started, ended := make(chan error), make(chan error, 1)
	go inThread(func() {
		err := cmd.Start()
		_ = alive.Close()
		started <- err
		if err == nil {
			err := cmd.Wait()
			_ = ours.Close()
			ended <- cmp.Or(err, errors.New("exit status 0"))
			close(ended)
		}
	})
	if err := <-started; err != nil {
		return nil, nil, errors.Join(err, ours.Close())
	}
	return func(grace time.Duration) { d.stop(cmd.Process, ended, grace) }, ended, nil
}

// privileged says whether this process may mount, which is what makes root of
// use to a daemon. Root in a container has not got this, unless the container is
// privileged; he is an ordinary user then.
func privileged() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	return unix.Capget(&header, &sets[0]) == nil && sets[0].Effective&(1<<unix.CAP_SYS_ADMIN) != 0
}

// advice says what to do where a private daemon can not be started.
func (d *daemon) advice() string {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if d.rootlesskit != "" && err == nil && masksProc(string(mounts)) {
		return "this container may not make user namespaces: a runner needs security_opt seccomp=unconfined and apparmor=unconfined, " +
			"and no no-new-privileges (docs/gitlab.md); otherwise set BUILDKIT_HOST"
	}
	return "a private daemon needs root, or user namespaces with rootlesskit and uidmap; otherwise set BUILDKIT_HOST"
}

// ownSession is for a command that is to end when we do, however we end, and not
// by the terminal's signals. It has to be started by inThread.
func ownSession() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}

// inThread runs f in a thread that stays for as long as it runs: the death
// signal is sent when the *thread* that started the child ends (prctl(2)).
func inThread(f func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	f()
}

// masksProc says whether something is mounted over parts of /proc, as Docker
// and Kubernetes do in containers. There the kernel lets nobody without
// privileges mount a /proc of his own (mount_too_revealing in fs/namespace.c),
// and runc finds nothing in one of another PID namespace. So the daemon gets
// none: what it leaves behind when it is killed ends with the container.
func masksProc(mountinfo string) bool {
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line) // proc_pid_mountinfo(5): the fifth is the mount point
		if len(fields) > 4 && strings.HasPrefix(fields[4], "/proc/") && !strings.HasPrefix(fields[4], "/proc/sys/fs/binfmt_misc") {
			return true
		}
	}
	return false
}

// stop asks, waits for as long as grace says, and kills. It returns when the
// daemon is gone. (One that was stopped by SIGSTOP is not in the way of SIGKILL.)
func (d *daemon) stop(p *os.Process, ended <-chan error, grace time.Duration) {
	select {
	case <-ended:
	default:
		// The whole group: without a PID namespace, rootlesskit keeps the signal to itself.
		_ = syscall.Kill(-p.Pid, syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(grace):
			_ = syscall.Kill(-p.Pid, syscall.SIGKILL)
			<-ended
		}
	}
	_ = os.Remove(d.socket)
}

// Shim runs as the first process of the daemon's namespaces. It puts what the
// daemon writes about a step that runs (the OCI bundle, whose config.json has
// the values of secrets mounted with env=, and the container's own state) on a
// tmpfs that only these namespaces see, and becomes the daemon. args are the
// state folder, the daemon's binary and the daemon's arguments.
func Shim(args []string) error {
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
	for _, snapshotter := range snapshotters {
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

// lock takes an exclusive lock on a file, which the kernel gives back when we
// end, however we end. busy is called once if somebody else has it.
func lock(ctx context.Context, name string, busy func()) (unlock func() error, err error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	for first := true; ; first = false {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return f.Close, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errors.Join(err, f.Close())
		}
		if first {
			busy()
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-time.After(100 * time.Millisecond):
		}
	}
}
