package dockertest

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestStart: a container runs, and nothing is left of it or of the engine.
func TestStart(t *testing.T) {
	e, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Stop() })
	dir := t.TempDir()
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sh"), busybox, 0o755); err != nil {
		t.Fatal(err)
	}
	tarball := filepath.Join(t.TempDir(), "rootfs.tar")
	if out, err := exec.Command("tar", "-C", dir, "-cf", tarball, "sh").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if _, err := e.Docker("import", tarball, "base:1"); err != nil {
		t.Fatal(err)
	}
	got, err := e.Docker("run", "--rm", "--network", "host", "base:1", "/sh", "-c", "echo $((40 + 2))")
	if err != nil || got != "42" {
		t.Errorf("got %q, %v, want 42", got, err)
	}
	if _, err := e.Docker("pull", "busybox"); err == nil || !strings.Contains(err.Error(), "proxyconnect") {
		t.Errorf("pulling from Docker Hub: got %v, want that there is no way to it", err)
	}
	if _, err := e.Docker("run", "--detach", "--network", "none", "base:1", "/sh", "-c", "while :; do :; done"); err != nil {
		t.Fatal(err)
	}
	if err := e.Stop(); err != nil {
		t.Error(err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(e.dir); err == nil || strings.Contains(string(mounts), e.dir) {
		t.Errorf("%s is still there", e.dir)
	}
}

// TestLoadBuildKit: what buildx is given answers, and can run a step.
func TestLoadBuildKit(t *testing.T) {
	e, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := LoadBuildKit(e, cmp.Or(os.Getenv("SECURE_BUILD_TOOLS"), filepath.Join("..", "..", "bin", "tools"))); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Docker("run", "--detach", "--privileged", "--network", "host", "--name", "bk", BuildKitImage); err != nil {
		t.Fatal(err)
	}
	var workers string
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if workers, err = e.Docker("exec", "bk", "buildctl", "debug", "workers"); err == nil {
			break
		}
	}
	if err != nil || !strings.Contains(workers, "linux/") {
		log, _ := e.Docker("logs", "bk")
		t.Errorf("got %q, %v, want a worker for Linux:\n%s", workers, err, log)
	}
}
