package dockertest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
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
