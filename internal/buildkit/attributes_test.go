package buildkit

import (
	"os"
	"path/filepath"
	"testing"
)

// TestOptionsReachTheFrontend: each option is the attribute that the Dockerfile
// frontend knows it by (frontend/dockerui/config.go and dockerfile2llb). Those
// that can be seen in a build are shown in scripts too.
func TestOptionsReachTheFrontend(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	opt, err := (&Engine{}).options(Request{
		Context: dir, Target: "last", Platforms: []string{"linux/amd64", "linux/arm64"}, NoCacheFor: []string{"one", "two"}, Pull: true,
		Network: "none", Hosts: "db=10.0.0.1", ShmSize: 64 << 20, Ulimits: "nofile=1:2", Cgroup: "/builds",
		BuildArgs: map[string]string{"A": "1"}, Labels: map[string]string{"org.example.x": "y"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"target": "last", "platform": "linux/amd64,linux/arm64", "no-cache": "one,two", "image-resolve-mode": "pull",
		"force-network-mode": "none", "add-hosts": "db=10.0.0.1", "shm-size": "67108864", "ulimit": "nofile=1:2", "cgroup-parent": "/builds",
		"build-arg:A": "1", "label:org.example.x": "y",
	} {
		if got := opt.FrontendAttrs[name]; got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}
