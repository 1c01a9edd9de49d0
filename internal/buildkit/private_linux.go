package buildkit

import (
	"cmp"
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/org/secure-build/internal/buildkit/shim"
	"golang.org/x/sys/unix"
)

// start runs the daemon in a PID and a mount namespace of its own, so that the
// kernel ends every process of it (the containers of the running steps too)
// and every mount when it ends, however we end: the first process of a PID
// namespace takes all others with it, and it is sent SIGKILL when we die.
func (d *daemon) start(env []string) (stop func(time.Duration) (clean bool), died <-chan error, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	become := append([]string{self, shim.Command, d.root, d.buildkitd}, d.args()...)
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if d.rootlesskit != "" {
		kit := []string{d.rootlesskit, "--net=host", "--copy-up=/etc", "--copy-up=/run"}
		if mounts, err := os.ReadFile("/proc/self/mountinfo"); err == nil && !masksProc(string(mounts)) {
			kit = append(kit, "--pidns")
		}
		become = append(append(kit, "--"), become...)
		become = append(become, "--rootless", "--oci-worker-no-process-sandbox")
	} else {
		attr.Cloneflags = syscall.CLONE_NEWPID | syscall.CLONE_NEWNS
	}
	cmd := exec.Command(become[0], become[1:]...)
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
	return func(grace time.Duration) bool { return d.stop(cmd.Process, ended, grace) }, ended, nil
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
// daemon is gone, and says whether that was asked for only. (One that was stopped
// by SIGSTOP is not in the way of SIGKILL.)
func (d *daemon) stop(p *os.Process, ended <-chan error, grace time.Duration) (clean bool) {
	select {
	case <-ended: // by itself, or killed by somebody
	default:
		// The whole group: without a PID namespace, rootlesskit keeps the signal to itself.
		_ = syscall.Kill(-p.Pid, syscall.SIGTERM)
		select {
		case <-ended:
			clean = true
		case <-time.After(grace):
			_ = syscall.Kill(-p.Pid, syscall.SIGKILL)
			<-ended
		}
	}
	_ = os.Remove(d.socket)
	return clean
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
