package main_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// The daemon that most scripts share is started as any stranger's would be,
// and not by our own code for a private one.
var shared struct {
	once    sync.Once
	root    string
	address string
	err     error
	process *background
}

// sharedDaemon returns the address and the state folder of the daemon, which
// the first call starts.
func sharedDaemon() (address, root string, err error) {
	shared.once.Do(func() { shared.err = startDaemon() })
	return shared.address, shared.root, shared.err
}

func startDaemon() (err error) {
	if shared.root, err = os.MkdirTemp("", "bk"); err != nil {
		return err
	}
	shared.address, shared.process, err = daemonIn(shared.root)
	return err
}

// daemonIn starts a daemon with all that it has in a folder, whose name is short:
// it is a part of its socket's.
func daemonIn(root string) (address string, process *background, err error) {
	tools, err := toolsDir()
	if err != nil {
		return "", nil, err
	}
	socket := filepath.Join(root, "bk.sock")
	address = "unix://" + socket
	buildkitd := []string{
		filepath.Join(tools, "buildkitd"), "--root", filepath.Join(root, "state"), "--addr", address,
		"--oci-worker=true", "--containerd-worker=false", "--otel-socket-path", filepath.Join(root, "otel.sock"),
	}
	args := inNamespaces(buildkitd...)
	if os.Geteuid() != 0 {
		args = append(args, "--rootless")
	}
	process, err = startBackground(args, root, socket)
	return address, process, err
}

// inNamespaces is the command with namespaces of its own, of which it becomes the
// first process.
func inNamespaces(command ...string) []string {
	if os.Geteuid() != 0 {
		return append([]string{"rootlesskit", "--net=host", "--copy-up=/etc", "--copy-up=/run", "--pidns", "--"}, command...)
	}
	return append([]string{"unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"}, command...)
}

// A background is a daemon in namespaces of its own: it ends with its first
// process, which ends with us, however we end.
type background struct {
	*os.Process
	ended chan struct{}
}

// startBackground starts a daemon, and waits until it answers on its socket.
func startBackground(args []string, home, socket string) (*background, error) {
	var log bytes.Buffer
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH") + ":/usr/local/sbin:/usr/sbin:/sbin", "HOME=" + home, "XDG_RUNTIME_DIR=" + home}
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	p := &background{ended: make(chan struct{})}
	go func() {
		runtime.LockOSThread() // the death signal comes when the starting thread ends (prctl(2))
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
			close(p.ended)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting the tests' buildkitd: %w", err)
	}
	p.Process = cmd.Process
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if conn, err := net.Dial("unix", socket); err == nil {
			return p, conn.Close()
		}
		select {
		case <-p.ended:
			return nil, fmt.Errorf("starting the tests' buildkitd: it ended:\n%s", &log)
		default:
		}
	}
	p.stop()
	return nil, errors.New("starting the tests' buildkitd: it does not answer")
}

// stop ends a daemon, and all that it has started.
func (p *background) stop() {
	_ = p.Kill()
	<-p.ended
}

func stopDaemon() { removeDaemon(shared.process, shared.root) }

func removeDaemon(process *background, root string) {
	if process != nil {
		process.stop()
	}
	if root != "" {
		// What the namespace had mounted goes with its last process.
		for end := time.Now().Add(5 * time.Second); os.RemoveAll(root) != nil && time.Now().Before(end); {
			time.Sleep(20 * time.Millisecond)
		}
	}
}
