package main_test

import (
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// soon is how long a run may go on after its daemon has died.
const soon = 10 * time.Second

// TestKilledDaemon kills the daemon under whole builds, at random moments
// between its start and the end of the build: each run ends soon and with an
// error, nothing was written to the registry, and no secret is left anywhere.
func TestKilledDaemon(t *testing.T) {
	const folders = 2
	kills := 25
	if testing.Short() {
		kills = 3
	}
	var wait sync.WaitGroup
	for i := range folders {
		wait.Go(func() {
			k, err := newKillScene(t.TempDir())
			if err != nil {
				t.Error(err)
				return
			}
			k.registry = newRecorder()
			defer k.registry.Close()
			var whole time.Duration
			for range 2 { // the first one warms the cache
				r, err := k.push(-1, syscall.SIGKILL)
				if err != nil || r.code != 0 {
					t.Errorf("a run whose daemon lives: exit code %d, %v\n%s", r.code, err, r.output)
					return
				}
				whole = r.daemon
			}
			for counted, tries := 0, 0; counted < kills; tries++ {
				if tries == 3*kills {
					t.Errorf("folder %d: the daemon was killed in time in %d runs only", i, counted)
					return
				}
				after := time.Duration(rand.Int63n(int64(whole)))
				r, err := k.push(after, syscall.SIGKILL)
				if err == nil {
					err = k.clean(counted == kills-1)
				}
				if err == nil && r.tooLate() {
					whole = after // it had done all by then: the machine was slower at first
					continue
				}
				counted++
				t.Logf("daemon killed after %v of %v: ended %v later, exit code %d", after, whole, r.lasted, r.code)
				if wrong := r.wrong(); err != nil || wrong != "" {
					t.Errorf("folder %d, daemon killed after %v of %v: %s %v\n%s", i, after, whole, wrong, err, r.output)
				}
			}
		})
	}
	wait.Wait()
}

// TestHangingDaemon stops the daemon by SIGSTOP before it can be done: the run
// gives it up after its 30 s, with an error, and leaves nothing behind. (On a
// machine under load the daemon has not even started by then: that is 60 s.)
func TestHangingDaemon(t *testing.T) {
	t.Parallel()
	k, err := newKillScene(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	k.registry = newRecorder()
	defer k.registry.Close()
	r, err := k.push(700*time.Millisecond, syscall.SIGSTOP) // on an empty cache: no build is that fast
	if err == nil {
		err = k.clean(true)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, r.output)
	}
	said := strings.Contains(r.output, "does not answer any more") || strings.Contains(r.output, "error: starting buildkitd: ")
	if r.code != 1 || !said || len(r.writes) > 0 {
		t.Errorf("exit code %d, writes %q; want 1, none, and that it does not answer:\n%s", r.code, r.writes, r.output)
	}
	if r.lasted < 25*time.Second || r.lasted > 90*time.Second {
		t.Errorf("it ended %v after the daemon was stopped, want some 35 s", r.lasted)
	}
}

// A pushed run is one with what matters of its end.
type pushedRun struct {
	code   int
	daemon time.Duration // from its start to the first request to the registry
	lasted time.Duration // from the kill to the end
	writes []string
	output string
}

// tooLate says that the image was whole and read before the daemon died, so
// that the run could go on without it.
func (r pushedRun) tooLate() bool { return r.code == 0 && strings.Contains(r.output, "pushed ") }

func (r pushedRun) wrong() string {
	switch {
	case r.code != 1 || !strings.Contains(r.output, "secure-build: error: "):
		return fmt.Sprintf("exit code %d, want 1 and an error", r.code)
	case r.lasted > soon:
		return fmt.Sprintf("it ended %v later", r.lasted)
	case len(r.writes) > 0:
		return "the registry was written to: " + strings.Join(r.writes, ", ")
	}
	return ""
}

// push builds and pushes, and sends the daemon a signal some time after its
// start, or none.
func (k *killScene) push(after time.Duration, sig syscall.Signal) (r pushedRun, err error) {
	dockerfile := fmt.Sprintf(killDockerfile, 4_000_000_000+time.Now().UnixNano()%1_000_000_000)
	if err := os.WriteFile(filepath.Join(k.work, "ctx", "Dockerfile"), []byte(dockerfile), 0o600); err != nil {
		return r, err
	}
	path, err := exec.LookPath("secure-build")
	if err != nil {
		return r, err
	}
	seen := len(k.registry.log())
	cmd := exec.Command(path, "build", "--progress", "plain", "--sops", filepath.Join(k.work, "secrets.yaml"),
		"-t", fmt.Sprintf("%s/app:%d", k.registry.host(), time.Now().UnixNano()), "--push", filepath.Join(k.work, "ctx"))
	cmd.Env, cmd.SysProcAttr = k.env, &syscall.SysProcAttr{Setpgid: true}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return r, err
	}
	stop := k.sampler.watch(cmd.Process.Pid, k.canaries)
	ended := make(chan struct{})
	killed := make(chan time.Time, 1)
	go func() {
		defer close(killed)
		daemon := k.waitForDaemon(ended)
		began := time.Now()
		if daemon == 0 {
			return
		}
		if after < 0 {
			for len(k.registry.log()) == seen && !isClosed(ended) {
				time.Sleep(2 * time.Millisecond)
			}
			r.daemon = time.Since(began)
			return
		}
		time.Sleep(after)
		if !isClosed(ended) && syscall.Kill(daemon, sig) == nil {
			killed <- time.Now()
		}
	}()
	timer := time.AfterFunc(patience, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	_ = cmd.Wait()
	timer.Stop()
	close(ended)
	stop()
	if at, ok := <-killed; ok {
		r.lasted = time.Since(at)
	}
	for _, req := range k.registry.log()[seen:] {
		if req.write() {
			r.writes = append(r.writes, req.line)
		}
	}
	r.code, r.output = cmd.ProcessState.ExitCode(), out.String()
	return r, nil
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// waitForDaemon returns the process of the private daemon, 0 if the run ends
// before there is one. It is the first of its PID namespace, so its containers
// end with it.
func (k *killScene) waitForDaemon(ended <-chan struct{}) int {
	state := filepath.Join(k.work, "cache", "buildkit")
	for ; !isClosed(ended); time.Sleep(2 * time.Millisecond) {
		for _, pid := range pids() {
			cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			if name, args, _ := strings.Cut(string(cmdline), "\x00"); filepath.Base(name) == "buildkitd" && strings.Contains(args, "\x00"+state+"\x00") {
				return pid
			}
		}
	}
	return 0
}
