package image

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// watcher writes down what a Watch is told.
type watcher struct {
	seen map[string]*bytes.Buffer
	ends map[string][]bool
}

func newWatcher() *watcher {
	return &watcher{map[string]*bytes.Buffer{}, map[string][]bool{}}
}

func (w *watcher) watch(dgst string) (io.Writer, func(bool)) {
	w.seen[dgst] = &bytes.Buffer{}
	return w.seen[dgst], func(whole bool) { w.ends[dgst] = append(w.ends[dgst], whole) }
}

func create(t *testing.T) *Layout {
	t.Helper()
	l, err := Create(filepath.Join(t.TempDir(), "layout"))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func openWriter(t *testing.T, store content.Store, blob []byte) content.Writer {
	t.Helper()
	desc := ocispecs.Descriptor{Digest: digest.FromBytes(blob), Size: int64(len(blob))}
	w, err := store.Writer(t.Context(), content.WithRef("ref-"+desc.Digest.String()), content.WithDescriptor(desc))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestStoreHandsOnEveryByte(t *testing.T) {
	l, seen := create(t), newWatcher()
	blob := bytes.Repeat([]byte("layer"), 1000)
	dgst := digest.FromBytes(blob)
	w := openWriter(t, l.Store(seen.watch), blob)
	for i := 0; i < len(blob); i += 1000 {
		if _, err := w.Write(blob[i : i+1000]); err != nil {
			t.Fatal(err)
		}
	}
	if got := seen.ends[dgst.String()]; got != nil {
		t.Errorf("ended with %v before the commit", got)
	}
	if err := w.Commit(t.Context(), int64(len(blob)), dgst); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	if !bytes.Equal(seen.seen[dgst.String()].Bytes(), blob) {
		t.Error("the watcher did not see the blob's bytes")
	}
	if got := seen.ends[dgst.String()]; len(got) != 1 || !got[0] {
		t.Errorf("ends: got %v, want [true]", got)
	}
	rc, err := l.Open(dgst.String())
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	if got, _ := io.ReadAll(rc); !bytes.Equal(got, blob) {
		t.Error("the layout does not hold the blob")
	}
}

// TestStoreEndsBrokenBlobs: whatever is not a whole blob with the right digest
// must not count as seen.
func TestStoreEndsBrokenBlobs(t *testing.T) {
	blob := []byte("the bytes of a layer")
	tests := []struct {
		name string
		do   func(content.Writer) error
	}{
		{"closed without a commit", func(w content.Writer) error { return w.Close() }},
		{"wrong bytes", func(w content.Writer) error {
			_, _ = w.Write([]byte("x"))
			if w.Commit(t.Context(), 0, digest.FromBytes(blob)) == nil {
				t.Error("a blob with a wrong digest was committed")
			}
			return nil
		}},
		{"started again", func(w content.Writer) error {
			if err := w.Truncate(0); err != nil {
				return err
			}
			_, _ = w.Write(blob)
			return w.Commit(t.Context(), 0, digest.FromBytes(blob))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			seen := newWatcher()
			w := openWriter(t, create(t).Store(seen.watch), blob)
			if _, err := w.Write(blob); err != nil {
				t.Fatal(err)
			}
			if err := tt.do(w); err != nil {
				t.Fatal(err)
			}
			_ = w.Close()
			if got := seen.ends[digest.FromBytes(blob).String()]; len(got) != 1 || got[0] {
				t.Errorf("ends: got %v, want [false]", got)
			}
		})
	}
}

func TestRoot(t *testing.T) {
	l := create(t)
	if _, err := l.Root(); err == nil {
		t.Error("a layout without an index has a root")
	}
	want := ocispecs.Descriptor{MediaType: ocispecs.MediaTypeImageManifest, Digest: digest.FromString("x"), Size: 1}
	if err := l.SetRoot(want); err != nil {
		t.Fatal(err)
	}
	if got, err := l.Root(); err != nil || got.Digest != want.Digest {
		t.Errorf("got %v, %v, want %v", got.Digest, err, want.Digest)
	}
	if _, err := l.Open("../../etc/passwd"); err == nil {
		t.Error("a blob was opened by something that is no digest")
	}
}

// TestTempSweeps: the layout of a run that was killed is gone after the next
// one has begun; that of a run which goes on is not.
func TestTempSweeps(t *testing.T) {
	dir := t.TempDir()
	live, err := Temp(dir)
	if err != nil {
		t.Fatal(err)
	}
	killed := filepath.Join(dir, "runs", "run-killed")
	if err := os.MkdirAll(filepath.Join(killed, "layout"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(killed, "lock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	next, err := Temp(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(killed); !os.IsNotExist(err) {
		t.Errorf("the killed run's layout is still there: %v", err)
	}
	if _, err := os.Stat(live.Dir()); err != nil {
		t.Errorf("a live run's layout is gone: %v", err)
	}
	for _, l := range []*Layout{live, next} {
		if err := l.Remove(); err != nil {
			t.Error(err)
		}
	}
	if left, _ := os.ReadDir(filepath.Join(dir, "runs")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
