// Package dockertest gives tests a real Docker engine of their own, apart from
// one that the machine may have.
package dockertest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// patience is how long an engine may take to answer.
const patience = 60 * time.Second

// An Engine is a dockerd with no network of its own: a container has the host's
// (--network host), one that it was given, or none.
type Engine struct {
	Host string // for DOCKER_HOST

	apart bool // from the host's network
	dir   string
	cmd   *exec.Cmd
	input io.Closer
	ended chan struct{}
}

// Start starts dockerd, from PATH, as root. It ends with this process, however
// that ends, and what it has mounted and started ends with it.
func Start() (*Engine, error) { return start(false) }

// StartApart starts one in a network namespace of its own, where it has Docker's
// usual networks: a container has an address, and finds others by their names.
// What is at [Gateway] is a container's with --network host. Nothing of it is in
// the machine's network, where rules of another Docker may be.
func StartApart() (*Engine, error) { return start(true) }

// Gateway is the address of an engine of [StartApart], for its containers.
const Gateway = "172.31.255.1"

func start(apart bool) (*Engine, error) {
	dir, err := os.MkdirTemp("", "dk")
	if err != nil {
		return nil, err
	}
	e := &Engine{Host: "unix://" + filepath.Join(dir, "d.sock"), apart: apart, dir: dir, ended: make(chan struct{})}
	if err := e.start(); err != nil {
		return nil, errors.Join(fmt.Errorf("starting the tests' dockerd: %w", err), e.Stop())
	}
	return e, nil
}

func (e *Engine) start() error {
	data := filepath.Join(e.dir, "data")
	namespaces := []string{"unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"}
	// Nothing of the machine's own network is touched.
	network := []string{"--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--userland-proxy=false"}
	const mount = `mount -t tmpfs -o mode=711 tmpfs "$0"`
	// What is in no registry of this machine is in none, with a network or without:
	// nothing listens on port 9.
	prepare := mount + " && export HTTP_PROXY=http://127.0.0.1:9 HTTPS_PROXY=http://127.0.0.1:9"
	if e.apart {
		namespaces = append(namespaces, "--net") // from where there is no way out
		network = []string{"--bip", Gateway + "/24"}
		prepare = mount + " && busybox ip link set lo up"
	}
	args := append(namespaces,
		// The engine waits for the disk at every step; on a tmpfs it has nothing to wait for.
		"sh", "-c", prepare+` && exec "$@"`, data,
		"dockerd", "--host", e.Host, "--data-root", data, "--exec-root", filepath.Join(e.dir, "exec"),
		"--pidfile", filepath.Join(e.dir, "pid"), "--config-file", filepath.Join(e.dir, "none.json"),
	)
	args = append(args, network...)
	runtime, err := e.runtime()
	if err != nil {
		return err
	}
	args = append(args, "--add-runtime", "tests="+runtime, "--default-runtime", "tests")
	if os.Geteuid() != 0 {
		// What sudo starts is not ours to kill, and is not told when we die: it ends
		// with its input.
		const attached = `exec 3<&0; "$@" & engine=$!; (cat <&3 >/dev/null; kill -KILL $engine) & wait $engine`
		args = append([]string{"sudo", "-n", "sh", "-c", attached, "sh"}, append(args, "--group", fmt.Sprint(os.Getegid()))...)
	}
	if err := errors.Join(os.Mkdir(data, 0o711), os.WriteFile(filepath.Join(e.dir, "none.json"), []byte("{}"), 0o600)); err != nil {
		return err
	}
	return e.run(args)
}

// run starts the engine's process, and waits until it answers.
func (e *Engine) run(args []string) error {
	var log bytes.Buffer
	e.cmd = exec.Command(args[0], args[1:]...)
	e.cmd.Env = []string{"PATH=" + os.Getenv("PATH") + ":/usr/local/sbin:/usr/sbin:/sbin", "HOME=" + e.dir, "DOCKER_TMPDIR=" + e.dir}
	e.cmd.Stdout, e.cmd.Stderr = &log, &log
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	input, err := e.cmd.StdinPipe()
	if err != nil {
		return err
	}
	e.input = input
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the death signal comes when the starting thread ends (prctl(2))
		defer runtime.UnlockOSThread()
		defer close(e.ended)
		err := e.cmd.Start()
		started <- err
		if err == nil {
			_ = e.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		e.cmd = nil
		return err
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if conn, err := net.Dial("unix", strings.TrimPrefix(e.Host, "unix://")); err == nil {
			return errors.Join(conn.Close(), e.answers())
		}
		select {
		case <-e.ended:
			return fmt.Errorf("it ended:\n%s", &log)
		default:
		}
	}
	return errors.New("it does not answer")
}

func (e *Engine) answers() error {
	_, err := e.Docker("version")
	return err
}

// Docker runs the docker command on this engine, and returns what it says.
func (e *Engine) Docker(args ...string) (string, error) {
	cmd := exec.Command("docker", args...)
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+e.Host, "DOCKER_CONTEXT=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("docker %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// State is the folder in which the engine keeps everything, images, volumes
// and containers: seen through one of its processes, since it is mounted where
// only they are. "" if it has ended.
func (e *Engine) State() string {
	names, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range names {
		cmdline, _ := os.ReadFile(name)
		if strings.HasPrefix(string(cmdline), "dockerd\x00") && strings.Contains(string(cmdline), "\x00"+e.Host+"\x00") {
			return filepath.Join(filepath.Dir(name), "root", e.dir, "data")
		}
	}
	return ""
}

// Stop ends the engine and removes all that it kept.
func (e *Engine) Stop() error {
	if e.cmd != nil {
		_, _ = e.input.Close(), e.cmd.Process.Kill()
		<-e.ended
	}
	var err error
	// What the namespace had mounted goes with its last process.
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if os.Geteuid() != 0 {
			err = exec.Command("sudo", "-n", "rm", "-rf", e.dir).Run()
		} else {
			err = os.RemoveAll(e.dir)
		}
		if err == nil {
			return nil
		}
	}
	return fmt.Errorf("removing the tests' dockerd: %w", err)
}
