package buildkit

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	contentlocal "github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/opencontainers/go-digest"
)

// reads collects what Ahead gives, by digest.
type reads struct {
	mu    sync.Mutex
	begun int
	all   []string
}

// await returns when n have begun.
func (r *reads) await(t *testing.T, n int) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		r.mu.Lock()
		begun := r.begun
		r.mu.Unlock()
		if begun >= n {
			return
		}
	}
	t.Fatalf("fewer than %d layers were seen", n)
}

func (r *reads) read(from io.Reader) {
	r.mu.Lock()
	r.begun++
	r.mu.Unlock()
	b, err := io.ReadAll(from)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.all = append(r.all, err.Error())
		return
	}
	r.all = append(r.all, digest.FromBytes(b).String())
}

// ingest begins to write a blob as containerd's store does.
func ingest(t *testing.T, root, id, ref string) (data *os.File, commit func()) {
	t.Helper()
	content := filepath.Join(root, "runc-overlayfs", "content")
	dir := filepath.Join(content, "ingest", id)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ref"), []byte(ref), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	return f, func() {
		t.Helper()
		to := filepath.Join(content, "blobs", id)
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(f.Name(), to); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
	}
}

func grow(t *testing.T, f *os.File, text string) {
	t.Helper()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func TestAheadReadsWhatGrows(t *testing.T) {
	root := t.TempDir()
	stale, _ := ingest(t, root, "stale", "ns/1/stale")
	grow(t, stale, "left by a run that was killed")
	var got reads
	stop := (&Engine{root: root}).Ahead(t.Context(), Reading{Growing: got.read})

	f, commit := ingest(t, root, "one", "ns/2/abc")
	pulled, _ := ingest(t, root, "two", "ns/3/layer-sha256:0123")
	grow(t, f, "the first ")
	got.await(t, 1)
	grow(t, pulled, "a base image's layer")
	grow(t, f, "and the second half")
	commit()
	f, commit = ingest(t, root, "one", "ns/2/abc") // the same name again
	grow(t, f, "another layer")
	got.await(t, 2)
	commit()
	aborted, _ := ingest(t, root, "three", "ns/4/def")
	grow(t, aborted, "never finished")
	got.await(t, 3)
	if err := os.RemoveAll(filepath.Dir(aborted.Name())); err != nil {
		t.Fatal(err)
	}
	unfinished, _ := ingest(t, root, "four", "ns/5/ghi")
	grow(t, unfinished, "no end")
	got.await(t, 4)
	stop()

	want := []string{}
	for _, text := range []string{"the first and the second half", "another layer", "never finished", "no end"} {
		want = append(want, digest.FromString(text).String())
	}
	slices.Sort(got.all)
	slices.Sort(want)
	if !slices.Equal(got.all, want) {
		t.Errorf("got %q, want %q", got.all, want)
	}
}

// TestAheadOfMany: more layers than are read at once, none of which ends before
// the others have begun.
func TestAheadOfMany(t *testing.T) {
	root := t.TempDir()
	var got reads
	stop := (&Engine{root: root}).Ahead(t.Context(), Reading{Growing: got.read})
	var commits []func()
	var want []string
	for i := range 3 * growingAtOne {
		f, commit := ingest(t, root, fmt.Sprint(i), "ns/1/a")
		if _, err := fmt.Fprint(f, i); err != nil {
			t.Fatal(err)
		}
		commits, want = append(commits, commit), append(want, digest.FromString(fmt.Sprint(i)).String())
	}
	got.await(t, growingAtOne)
	for _, commit := range commits {
		commit()
	}
	stop() // returns, whatever was not read
	for _, d := range got.all {
		if !slices.Contains(want, d) {
			t.Errorf("got %s", d)
		}
	}
	if len(got.all) < growingAtOne {
		t.Errorf("%d were read, want at least %d", len(got.all), growingAtOne)
	}
}

// TestAheadOfABuild: a real daemon's layers are read while it packs them, as
// they are in the image.
func TestAheadOfABuild(t *testing.T) {
	e := private(t, t.TempDir())
	defer e.Close()
	store, err := contentlocal.NewStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var got reads
	stop := e.Ahead(t.Context(), Reading{Growing: got.read})
	res, err := e.Solve(t.Context(), Request{
		Context: buildContext(t, shell+"RUN head -c 30000000 /dev/urandom > /a\nRUN head -c 30000000 /dev/urandom > /b\n"), Store: store,
	}, output(io.Discard))
	stop()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lastLayers(t, store, res) {
		if !slices.Contains(got.all, l) {
			t.Errorf("the layer %s was not read; what was: %q", l, got.all)
		}
		if !slices.ContainsFunc(e.Blobs(), func(dir string) bool {
			b, err := os.ReadFile(filepath.Join(dir, "sha256", digest.Digest(l).Encoded()))
			return err == nil && digest.FromBytes(b).String() == l
		}) {
			t.Errorf("the layer %s is not below %q", l, e.Blobs())
		}
	}
}
