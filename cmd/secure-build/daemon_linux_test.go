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
	process *os.Process
	ended   chan struct{}
}

// sharedDaemon returns the address and the state folder of the daemon, which
// the first call starts.
func sharedDaemon() (address, root string, err error) {
	shared.once.Do(func() { shared.err = startDaemon() })
	return shared.address, shared.root, shared.err
}

func startDaemon() error {
	tools, err := toolsDir()
	if err != nil {
		return err
	}
	if shared.root, err = os.MkdirTemp("", "bk"); err != nil {
		return err
	}
	socket := filepath.Join(shared.root, "bk.sock")
	shared.address = "unix://" + socket
	buildkitd := []string{
		filepath.Join(tools, "buildkitd"), "--root", filepath.Join(shared.root, "state"), "--addr", shared.address,
		"--oci-worker=true", "--containerd-worker=false", "--otel-socket-path", filepath.Join(shared.root, "otel.sock"),
	}
	args := append([]string{"unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"}, buildkitd...)
	if os.Geteuid() != 0 {
		args = append([]string{"rootlesskit", "--net=host", "--copy-up=/etc", "--copy-up=/run", "--pidns", "--"}, buildkitd...)
		args = append(args, "--rootless")
	}
	var log bytes.Buffer
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH") + ":/usr/local/sbin:/usr/sbin:/sbin", "HOME=" + shared.root, "XDG_RUNTIME_DIR=" + shared.root}
	cmd.Stdout, cmd.Stderr = &log, &log
	// The daemon is one PID namespace, and ends with its first process, which
	// ends with us, however we end.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	shared.ended = make(chan struct{})
	go func() {
		runtime.LockOSThread() // the death signal comes when the starting thread ends (prctl(2))
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
			close(shared.ended)
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("starting the tests' buildkitd: %w", err)
	}
	shared.process = cmd.Process
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if conn, err := net.Dial("unix", socket); err == nil {
			return conn.Close()
		}
		select {
		case <-shared.ended:
			return fmt.Errorf("starting the tests' buildkitd: it ended:\n%s", &log)
		default:
		}
	}
	return errors.New("starting the tests' buildkitd: it does not answer")
}

func stopDaemon() {
	if shared.process != nil {
		_ = shared.process.Kill()
		<-shared.ended
	}
	if shared.root != "" {
		// What the namespace had mounted goes with its last process.
		for end := time.Now().Add(5 * time.Second); os.RemoveAll(shared.root) != nil && time.Now().Before(end); {
			time.Sleep(20 * time.Millisecond)
		}
	}
}
