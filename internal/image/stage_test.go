package image

import (
	"io"
	"os"
	"testing"

	"github.com/opencontainers/go-digest"
)

// TestStage: another layout begins with the blobs of the image, gets its own
// without the image seeing them, and ends with it.
func TestStage(t *testing.T) {
	l, err := Temp(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	blob := []byte("a layer")
	w := openWriter(t, l.Store(newWatcher().watch), blob)
	if _, err := w.Write(blob); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context(), 0, digest.FromBytes(blob)); err != nil {
		t.Fatal(err)
	}
	s, err := l.Stage("cache")
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Open(digest.FromBytes(blob).String())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != string(blob) {
		t.Errorf("got %q, %v", got, err)
	}
	_ = r.Close()
	other := digest.FromString("only in the cache")
	if err := os.WriteFile(s.path(other), []byte("only in the cache"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Open(other.String()); err == nil {
		t.Error("the image's layout has the cache's blob, and would keep it")
	}
	if err := l.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.Dir()); !os.IsNotExist(err) {
		t.Errorf("the cache outlives the layout: %v", err)
	}
}
