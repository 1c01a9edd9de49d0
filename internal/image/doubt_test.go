package image

import (
	"errors"
	"os"
	"slices"
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
	if lent, err := l.Doubt(); err != nil || len(lent) > 0 {
		t.Fatalf("got %v, %v", lent, err)
	}
	for _, d := range []digest.Digest{m.Layers[0].Digest, m.Layers[1].Digest, m.Config.Digest, l.root.Digest} {
		if _, err := os.Stat(l.cache.path(d)); (err == nil) != (d != bad) {
			t.Errorf("%s: %v", d, err)
		}
	}
	if _, err := (&Layout{dir: l.dir}).Doubt(); err != nil {
		t.Errorf("without a cache: %v", err)
	}
}

// TestDoubtOfALender: the same file under the lender's name is named, and stays.
func TestDoubtOfALender(t *testing.T) {
	l, m := built(t)
	l.Use(OpenCache(t.TempDir(), 1<<30))
	d := m.Layers[0].Digest
	lent := lend(t, l, d)
	if err := errors.Join(os.Remove(l.path(d)), os.Link(lent, l.path(d)), l.Keep()); err != nil {
		t.Fatal(err)
	}
	rewrite(t, lent, changes["another byte"])
	if got, err := l.Doubt(); err != nil || !slices.Equal(got, []string{lent}) {
		t.Errorf("got %v, %v, want %s", got, err, lent)
	}
	if _, err := os.Stat(l.cache.path(d)); err == nil {
		t.Error("the damaged blob is in the cache still")
	}
	if _, err := os.Stat(lent); err != nil {
		t.Errorf("what is not ours was removed: %v", err)
	}
}
