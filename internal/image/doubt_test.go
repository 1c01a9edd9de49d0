package image

import (
	"os"
	"testing"

	"github.com/opencontainers/go-digest"
)

// TestDoubt: what is damaged leaves the cache, and nothing else does.
func TestDoubt(t *testing.T) {
	l, m := built(t)
	l.Use(OpenCache(t.TempDir(), 1<<30))
	if err := l.Keep(); err != nil {
		t.Fatal(err)
	}
	bad := m.Layers[0].Digest
	rewrite(t, l.path(bad), changes["another byte"]) // the cache's too: it is a link
	if err := l.Doubt(); err != nil {
		t.Fatal(err)
	}
	for _, d := range []digest.Digest{m.Layers[0].Digest, m.Layers[1].Digest, m.Config.Digest, l.root.Digest} {
		if _, err := os.Stat(l.cache.path(d)); (err == nil) != (d != bad) {
			t.Errorf("%s: %v", d, err)
		}
	}
	if err := (&Layout{dir: l.dir}).Doubt(); err != nil {
		t.Errorf("without a cache: %v", err)
	}
}
