package image

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/org/secure-build/internal/held"
)

// lend gives a layout a lender that has one of its blobs, as a file of its own.
func lend(t *testing.T, l *Layout, d digest.Digest) (path string) {
	t.Helper()
	dir := t.TempDir()
	l.Borrow(func() []string { return []string{dir} })
	path = Cache{dir: dir}.path(d)
	text, err := os.ReadFile(l.path(d))
	if err := errors.Join(err, os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, text, 0o600)); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestVerify: what somebody else is about to write is held to the scanned
// digests in the layout, and in his own store if we can see it.
func TestVerify(t *testing.T) {
	for _, which := range []string{"", "manifest", "config", "layer", "lent", "missing"} {
		l, m := built(t)
		root, err := l.Root()
		if err != nil {
			t.Fatal(err)
		}
		lent := lend(t, l, m.Layers[0].Digest)
		stage, err := l.Stage("cache")
		if err != nil {
			t.Fatal(err)
		}
		path := map[string]string{
			"manifest": stage.path(root.Digest), "config": stage.path(m.Config.Digest), "layer": stage.path(m.Layers[1].Digest), "lent": lent,
		}[which]
		switch which {
		case "":
			if err := stage.Verify(root); err != nil {
				t.Errorf("nothing has changed: %v", err)
			}
			continue
		case "missing":
			if err := os.Remove(stage.path(m.Layers[0].Digest)); err != nil {
				t.Fatal(err)
			}
			if err := stage.Verify(root); err == nil {
				t.Error("a layer that is not there passes")
			}
			continue
		}
		for name, change := range changes {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			rewrite(t, path, change)
			if err := stage.Verify(root); !errors.Is(err, held.ErrChanged) {
				t.Errorf("%s, %s: got %v, want %v", which, name, err, held.ErrChanged)
			}
			rewrite(t, path, func([]byte) []byte { return text })
		}
	}
}
