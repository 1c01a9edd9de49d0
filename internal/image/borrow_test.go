package image

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
)

// TestBorrow: a blob that somebody else on this machine has is linked when it is
// asked for, and stays his.
func TestBorrow(t *testing.T) {
	lender := t.TempDir()
	blob, other := []byte("a layer"), []byte("another build's")
	for _, b := range [][]byte{blob, other} {
		to := Cache{dir: lender}.path(digest.FromBytes(b))
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, b, 0o400); err != nil {
			t.Fatal(err)
		}
	}
	l := create(t)
	has := func(d digest.Digest) bool {
		_, err := l.Store(newWatcher().watch).Info(t.Context(), d)
		return err == nil
	}
	d := digest.FromBytes(blob)
	if has(d) {
		t.Error("a blob is there that nobody has lent")
	}
	l.Borrow(func() []string { return []string{filepath.Join(lender, "nowhere"), lender} })
	if !has(d) {
		t.Error("the blob was not borrowed")
	}
	if got, err := os.ReadFile(l.path(d)); err != nil || string(got) != string(blob) {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := os.Lstat(l.path(digest.FromBytes(other))); err == nil {
		t.Error("a blob was taken that nobody has asked for")
	}
	if has("sha256:../../etc/passwd") {
		t.Error("a digest that is none was looked up")
	}
	if err := l.Remove(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(Cache{dir: lender}.path(d)); err != nil || string(got) != string(blob) {
		t.Errorf("the lender has %q now, %v", got, err)
	}
}
