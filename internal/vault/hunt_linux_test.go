package vault

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// processes finds those that have base in their arguments: the supervisors.
func processes(base string) (pids []int) {
	found, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range found {
		args, _ := os.ReadFile(f)
		if bytes.Contains(args, []byte(base+"/")) || bytes.Contains(args, []byte(base+"\x00")) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(f)))
			pids = append(pids, pid)
		}
	}
	return pids
}

// looks is how often noneLeft looks, a hundredth of a second apart: for two
// seconds in which this machine runs. One that is stopped as a whole meanwhile,
// as a virtual one may be, gives the process no time to end either.
const looks = 200

// noneLeft waits for at most two seconds until no process of a run is left.
func noneLeft(base string, worker int) error {
	for n := 0; ; n++ {
		left := processes(base)
		if syscall.Kill(-worker, 0) == nil {
			left = append(left, worker)
		}
		if len(left) == 0 {
			return nil
		}
		if n == looks {
			return fmt.Errorf("after two seconds there are left: %s", describe(left))
		}
		time.Sleep(2 * time.Second / looks)
	}
}

// describe tells what processes are and what they wait for, since a process
// that should be gone is seldom seen twice.
func describe(pids []int) string {
	var b strings.Builder
	for _, pid := range pids {
		dir := fmt.Sprintf("/proc/%d/", pid)
		fmt.Fprintf(&b, "\n%d:", pid)
		for _, name := range []string{"cmdline", "wchan", "stack", "status"} {
			text, _ := os.ReadFile(dir + name)
			fmt.Fprintf(&b, "\n  %s: %s", name, bytes.ReplaceAll(text, []byte{0}, []byte{' '}))
		}
		threads, _ := filepath.Glob(dir + "task/*/wchan")
		for _, f := range threads {
			text, _ := os.ReadFile(f)
			fmt.Fprintf(&b, "\n  %s: %s", f, text)
		}
		fds, _ := filepath.Glob(dir + "fd/*")
		for _, fd := range fds {
			to, _ := os.Readlink(fd)
			fmt.Fprintf(&b, "\n  %s: %s", fd, to)
		}
	}
	return b.String()
}

// hunt returns the files below the roots that were changed since a time and
// that hold the canary. It follows no link and reads no device.
func hunt(canary []byte, since time.Time, roots ...string) (found []string) {
	for _, root := range roots {
		_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && (d.Name() == "go-build" || strings.HasSuffix(path, "/pkg/mod")) {
				return fs.SkipDir // Go's caches are large, and nobody's place for secrets
			}
			if err != nil || !d.Type().IsRegular() {
				return nil
			}
			if fi, err := d.Info(); err != nil || fi.ModTime().Before(since) {
				return nil
			}
			if b, err := os.ReadFile(path); err == nil && bytes.Contains(b, canary) {
				found = append(found, path)
			}
			return nil
		})
	}
	return found
}

// everywhere lists all tmpfs, temporary and home folders of this machine.
func everywhere(t *testing.T) []string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	all := []string{"/tmp", "/var/tmp", "/run", os.TempDir()}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); f[2] == "tmpfs" && !strings.HasPrefix(f[1], "/sys") {
			all = append(all, f[1])
		}
	}
	if home, err := os.UserHomeDir(); err == nil {
		all = append(all, home)
	}
	return all
}

func newCanary() []byte { return []byte("canary-" + rand.Text()) }
