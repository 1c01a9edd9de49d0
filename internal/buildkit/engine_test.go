package buildkit

import (
	"net"
	"path/filepath"
	"slices"
	"testing"
)

func TestUsualSockets(t *testing.T) {
	for _, tt := range []struct {
		runtime string // XDG_RUNTIME_DIR
		want    []string
	}{
		{"", []string{"/run/buildkit/buildkitd.sock"}},
		{"/run/user/1000", []string{"/run/buildkit/buildkitd.sock", "/run/user/1000/buildkit/buildkitd.sock"}},
		{"/run/user/1000:/tmp/x", []string{"/run/buildkit/buildkitd.sock", "/run/user/1000/buildkit/buildkitd.sock"}},
	} {
		got := UsualSockets(func(name string) string {
			if name == "XDG_RUNTIME_DIR" {
				return tt.runtime
			}
			return ""
		})
		if !slices.Equal(got, tt.want) {
			t.Errorf("%q: got %q, want %q", tt.runtime, got, tt.want)
		}
	}
}

// TestAnswers: a socket that a daemon has left behind is none.
func TestAnswers(t *testing.T) {
	dir := t.TempDir()
	file, left, live := filepath.Join(dir, "file"), filepath.Join(dir, "left.sock"), filepath.Join(dir, "live.sock")
	write(t, file, "")
	for _, name := range []string{left, live} {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		defer l.Close()
		if name == left {
			_ = l.Close()
		}
	}
	for name, want := range map[string]bool{live: true, left: false, file: false, dir: false, filepath.Join(dir, "none"): false} {
		if got := answers(name); got != want {
			t.Errorf("%s: got %v, want %v", filepath.Base(name), got, want)
		}
	}
}
