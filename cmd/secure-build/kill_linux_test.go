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

	"filippo.io/age"
)

const killDockerfile = `FROM scratch AS base
COPY busybox /bin/sh
RUN ["/bin/sh", "--install", "-s", "/bin"]

FROM base
RUN --mount=type=secret,id=token --mount=type=secret,id=token,env=TOKEN test "$(cat /run/secrets/token)" = "$TOKEN" && sleep 0.%d
`

// TestKilledBuilds holds I6 for whole builds with the private daemon: each is
// killed by SIGKILL at a random moment between its start and its end, alone or
// with its process group. Two seconds later no process is there, and the value
// is in no folder of the user, no tmpfs, and not in the daemon's state.
func TestKilledBuilds(t *testing.T) {
	const folders, kills = 2, 10
	var wait sync.WaitGroup
	for i := range folders {
		wait.Go(func() {
			k, err := newKillScene(t.TempDir())
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := k.build(nil); err != nil { // warms the cache
				t.Errorf("a run that nobody kills: %v", err)
				return
			}
			whole, err := k.build(nil)
			if err != nil {
				t.Error(err)
				return
			}
			for n := range kills {
				after := time.Duration(rand.Int63n(int64(whole)))
				if _, err := k.build(&killing{after, n%2 == 0}); err != nil {
					t.Errorf("folder %d, killed after %v of %v: %v", i, after, whole, err)
				}
				if err := k.clean(true); err != nil {
					t.Errorf("folder %d, killed after %v of %v: %v", i, after, whole, err)
				}
			}
			if _, err := k.build(nil); err != nil {
				t.Errorf("the run after all that: %v", err)
			}
		})
	}
	wait.Wait()
}

type killing struct {
	after time.Duration
	group bool
}

// A killScene is a scene without a script.
type killScene struct {
	*scene
	env []string
}

func newKillScene(work string) (*killScene, error) {
	k := &killScene{scene: newScene(work)}
	k.daemon = filepath.Join(work, "cache")
	k.registry.Close()
	k.canaries = []canary{{"TOKEN", newValue(""), false}}
	tools, err := toolsDir()
	if err != nil {
		return nil, err
	}
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{"home", "tmp", "cache", "run", "plain", "ctx"} {
		if err := os.Mkdir(filepath.Join(work, dir), 0o700); err != nil {
			return nil, err
		}
	}
	for name, data := range map[string]string{
		"ctx/busybox": string(busybox), "secrets.yaml": "token: " + k.canaries[0].value + "\n",
	} {
		if err := os.WriteFile(filepath.Join(work, name), []byte(data), 0o700); err != nil {
			return nil, err
		}
	}
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, err
	}
	in := func(dir string) string { return filepath.Join(work, dir) }
	k.env = []string{
		"PATH=" + os.Getenv("PATH") + ":" + tools + ":/usr/local/sbin:/usr/sbin:/sbin", "HOME=" + in("home"), "TMPDIR=" + in("tmp"),
		"SECURE_BUILD_CACHE_DIR=" + in("cache"), "XDG_RUNTIME_DIR=" + in("run"),
		"SOPS_AGE_KEY=" + identity.String(), "SOPS_AGE_RECIPIENTS=" + identity.Recipient().String(),
	}
	cmd := exec.Command(filepath.Join(tools, "sops"), "encrypt", "--in-place", in("secrets.yaml"))
	cmd.Env = k.env
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	return k, nil
}

// build runs to its end, or until it is killed.
func (k *killScene) build(kill *killing) (took time.Duration, err error) {
	// A step that is in the cache would not run: sleep for 0.4 seconds and a bit.
	dockerfile := fmt.Sprintf(killDockerfile, 4_000_000_000+time.Now().UnixNano()%1_000_000_000)
	if err := os.WriteFile(filepath.Join(k.work, "ctx", "Dockerfile"), []byte(dockerfile), 0o600); err != nil {
		return 0, err
	}
	path, err := exec.LookPath("secure-build")
	if err != nil {
		return 0, err
	}
	cmd := exec.Command(path, "build", "--progress", "plain", "--sops", filepath.Join(k.work, "secrets.yaml"), filepath.Join(k.work, "ctx"))
	cmd.Env, cmd.SysProcAttr = k.env, &syscall.SysProcAttr{Setpgid: true}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	if kill != nil {
		defer k.sampler.watch(cmd.Process.Pid, k.canaries)()
		time.AfterFunc(kill.after, func() {
			pid := cmd.Process.Pid
			if kill.group {
				pid = -pid
			}
			_ = syscall.Kill(pid, syscall.SIGKILL)
		})
	}
	cmd.WaitDelay = time.Second
	err = cmd.Wait()
	if kill != nil {
		return 0, nil // killed, or done before it
	}
	if err != nil {
		return 0, fmt.Errorf("%w\n%s", err, &out)
	}
	return time.Since(began), nil
}

// clean looks until nothing is left of a run that was killed, two seconds at
// most. A process between fork and exec cannot be told from another by its name,
// so that what is found in memory is looked for again too.
//
// Searching all that this machine has in a tmpfs takes its time: unless it is
// asked for, only the folders of the run and the memory of processes are
// searched. What is left in a tmpfs stays there for the next search.
func (k *killScene) clean(everywhere bool) error {
	end := time.Now().Add(leftovers)
	for ; ; time.Sleep(50 * time.Millisecond) {
		last := time.Now().After(end)
		left := k.left()
		if len(left) > 0 && !last {
			continue
		}
		h, err := k.search(everywhere)
		switch {
		case err != nil:
			return err
		case len(left) == 0 && len(h.found) == 0:
			return nil
		case last:
			return fmt.Errorf("processes left: %q; found: %s", left, strings.Join(h.found, "; "))
		}
	}
}

func (k *killScene) search(everywhere bool) (*hunt, error) {
	if everywhere {
		return k.hunt(false)
	}
	h := newHunt(k.canaries)
	h.memfds()
	return h, h.walk("work", k.work)
}
