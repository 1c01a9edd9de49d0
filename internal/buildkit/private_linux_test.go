package buildkit

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	contentlocal "github.com/containerd/containerd/v2/plugins/content/local"
)

func TestMasksProc(t *testing.T) {
	for _, tt := range []struct {
		name, mountinfo string
		want            bool
	}{
		{"nothing", "", false},
		{"a host", "22 1 0:20 / /proc rw,nosuid shared:5 - proc proc rw\n35 22 0:30 / /proc/sys/fs/binfmt_misc rw - autofs systemd-1 rw\n", false},
		{"a container of Docker", "22 1 0:20 / /proc rw,nosuid - proc proc rw\n40 22 0:5 /null /proc/kcore rw - tmpfs tmpfs rw\n", true},
		{"read-only parts", "40 22 0:20 /sys /proc/sys ro,relatime - proc proc rw\n", true},
		{"another folder", "40 22 0:20 / /process/x rw - tmpfs tmpfs rw\n", false},
		{"no such line", "/proc/x\n", false},
	} {
		if got := masksProc(tt.mountinfo); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestAfterAKill: a daemon that was killed between making a snapshot's folder and
// noting it leaves that in the way of the next one.
func TestAfterAKill(t *testing.T) {
	cache := t.TempDir()
	build := func(step string) error {
		e := private(t, cache)
		store, err := contentlocal.NewStore(t.TempDir())
		if err == nil {
			_, err = e.Solve(t.Context(), Request{Context: buildContext(t, shell+"RUN echo "+step+" > /step\n"), Store: store}, output(io.Discard))
		}
		return errors.Join(err, e.Close())
	}
	if err := build("before"); err != nil {
		t.Fatal(err)
	}
	marker := filepath.Join(cache, "buildkit", "running")
	if _, err := os.Stat(marker); err == nil {
		t.Fatal("a daemon that has ended counts as killed")
	}
	folders, err := filepath.Glob(filepath.Join(cache, "buildkit", "runc-*", "snapshots", "snapshots", "*"))
	if err != nil || len(folders) == 0 {
		t.Fatalf("got %v, %v", folders, err)
	}
	last := 0
	for _, name := range folders {
		n, _ := strconv.Atoi(filepath.Base(name))
		last = max(last, n)
	}
	if err := os.MkdirAll(filepath.Join(filepath.Dir(folders[0]), strconv.Itoa(last+1), "fs"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, marker, "")
	if err := build("after"); err != nil {
		t.Error(err)
	}
}
