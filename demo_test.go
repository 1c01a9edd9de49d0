//go:build linux

package securebuild_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A demo is a run of scripts/demo.sh with folders of its own.
type demo struct {
	cmd        *exec.Cmd
	out        transcript
	tmp, cache string
	ended      chan error
}

func startDemo(t *testing.T) *demo {
	t.Helper()
	// Looking at them also tells go test to run this again when they change.
	for _, name := range []string{
		"bin/secure-build", "bin/tools/buildkitd", "scripts/demo.sh",
		"examples/demo/Dockerfile", "examples/demo/leaky/Dockerfile", "examples/demo/www/index.html",
	} {
		if _, err := os.Stat(name); err != nil {
			t.Fatalf("%v (make build tools)", err)
		}
	}
	// Whoever started us may ignore SIGINT (a job in the background does), and
	// the shell would inherit that. What is caught here is not ignored there.
	c := make(chan os.Signal, 1)
	signal.Notify(c, os.Interrupt)
	t.Cleanup(func() { signal.Stop(c) })

	d := &demo{tmp: t.TempDir(), cache: t.TempDir(), ended: make(chan error, 1)}
	d.cmd = exec.Command("scripts/demo.sh")
	d.cmd.Env = append(os.Environ(), "TMPDIR="+d.tmp, "XDG_CACHE_HOME="+d.cache)
	d.cmd.Stdout, d.cmd.Stderr = &d.out, &d.out
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	d.cmd.WaitDelay = 10 * time.Second
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { d.ended <- d.cmd.Wait() }()
	t.Cleanup(func() { _ = syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL) })
	return d
}

// end waits, and returns the exit code.
func (d *demo) end(t *testing.T) int {
	t.Helper()
	if err := <-d.ended; errors.Is(err, exec.ErrWaitDelay) {
		t.Errorf("something still holds the demo's output")
	}
	return d.cmd.ProcessState.ExitCode()
}

// nothingLeft looks for files, and for processes that know the demo's folders.
func (d *demo) nothingLeft(t *testing.T) {
	t.Helper()
	if left, err := os.ReadDir(d.tmp); err != nil || len(left) > 0 {
		t.Errorf("left in the temporary folder: %v, %v", left, err)
	}
	procs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil || len(procs) == 0 {
		t.Fatalf("reading /proc: %v, %v", procs, err)
	}
	for _, proc := range procs {
		cmdline, _ := os.ReadFile(filepath.Join(proc, "cmdline"))
		environ, _ := os.ReadFile(filepath.Join(proc, "environ"))
		for _, dir := range []string{d.tmp, d.cache} {
			if bytes.Contains(append(cmdline, environ...), []byte(dir)) {
				t.Errorf("%s is left: %q", proc, cmdline)
			}
		}
	}
}

func TestDemo(t *testing.T) {
	d := startDemo(t)
	if code := d.end(t); code != 0 {
		t.Fatalf("exit code: got %d, want 0\n%s", code, &d.out)
	}
	out := d.out.String()
	for _, want := range []string{
		"checking the schema of [masked:DATABASE_URL]",
		"the key has mode 400 and owner 1000",
		"Hello from an image",
		"exit code: 2",
		"requests that write, since the first image was pushed: 0",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the demo does not say %q", want)
		}
	}
	for _, value := range []string{"demo_Zk3v", "demo-Gx7p", "demo_api_", "demo_deploy_", "c2VjdXJl"} {
		if strings.Contains(out, value) {
			t.Errorf("the demo shows the value %s…", value)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
	d.nothingLeft(t)
}

func TestDemoInterrupted(t *testing.T) {
	for _, tt := range []struct{ name, at string }{
		{"before the build", "listening on"},
		{"in the build", "load build context"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := startDemo(t)
			for !strings.Contains(d.out.String(), tt.at) {
				select {
				case err := <-d.ended:
					t.Fatalf("ended before it said %q: %v\n%s", tt.at, err, &d.out)
				case <-time.After(10 * time.Millisecond):
				}
			}
			if err := syscall.Kill(-d.cmd.Process.Pid, syscall.SIGINT); err != nil { // as Ctrl-C does
				t.Fatal(err)
			}
			if code := d.end(t); code != 130 {
				t.Errorf("exit code: got %d, want 130\n%s", code, &d.out)
			}
			d.nothingLeft(t)
		})
	}
}

// A transcript can be read while it is written.
type transcript struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (t *transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.Write(p)
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}
