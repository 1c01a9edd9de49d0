package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// watcher writes down what a Watch is told.
type watcher struct {
	mu   sync.Mutex
	seen map[string]*bytes.Buffer
	ends map[string][]bool
}

func newWatcher() *watcher {
	return &watcher{seen: map[string]*bytes.Buffer{}, ends: map[string][]bool{}}
}

func (w *watcher) watch(dgst string) (io.Writer, func(bool)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := &bytes.Buffer{}
	w.seen[dgst] = seen
	return seen, func(whole bool) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.ends[dgst] = append(w.ends[dgst], whole)
	}
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
	if err := l.SetRoot(t.Context(), want); err != nil {
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

// TestFind opens one image in every form that it may have, and reads the same
// manifest from each.
func TestFind(t *testing.T) {
	img, err := random.Image(256, 2)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	srv := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer srv.Close()
	ref := strings.TrimPrefix(srv.URL, "http://") + "/app:1"
	tag, err := name.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	oci, saved := filepath.Join(dir, "oci"), filepath.Join(dir, "saved.tar")
	if err := errors.Join(
		remote.Write(tag, img),
		tarball.WriteToFile(saved, tag, img),
		writeLayout(oci, img),
		tarFolder(filepath.Join(dir, "oci.tar"), oci, false),
		tarFolder(filepath.Join(dir, "oci.tar.gz"), oci, true),
	); err != nil {
		t.Fatal(err)
	}
	want, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	cache := t.TempDir()
	for _, form := range []string{ref, oci, saved, filepath.Join(dir, "oci.tar"), filepath.Join(dir, "oci.tar.gz")} {
		src, err := Find(t.Context(), form, cache, authn.DefaultKeychain)
		if err != nil {
			t.Errorf("%s: %v", form, err)
			continue
		}
		if form != saved && src.Root.Digest.String() != want.String() {
			t.Errorf("%s: got %s, want %s", form, src.Root.Digest, want)
		}
		var m ocispecs.Manifest
		read(t, src, src.Root.Digest.String(), &m)
		if len(m.Layers) != 2 {
			t.Errorf("%s: got %d layers, want 2", form, len(m.Layers))
		}
		for _, l := range append(m.Layers, m.Config) {
			if got := digest.FromBytes(read(t, src, l.Digest.String(), nil)); got != l.Digest {
				t.Errorf("%s: a blob has the digest %s, want %s", form, got, l.Digest)
			}
		}
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	}
	if left, _ := os.ReadDir(filepath.Join(cache, "runs")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestFindSeveral: an archive of several images is an index of all of them.
func TestFindSeveral(t *testing.T) {
	saved := filepath.Join(t.TempDir(), "saved.tar")
	images := map[name.Tag]v1.Image{}
	for _, ref := range []string{"example.com/a:1", "example.com/b:1"} {
		tag, err := name.NewTag(ref)
		if err != nil {
			t.Fatal(err)
		}
		if images[tag], err = random.Image(64, 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := tarball.MultiWriteToFile(saved, images); err != nil {
		t.Fatal(err)
	}
	src, err := Find(t.Context(), saved, t.TempDir(), authn.DefaultKeychain)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	var index ocispecs.Index
	read(t, src, src.Root.Digest.String(), &index)
	if len(index.Manifests) != 2 {
		t.Errorf("got %d images, want 2", len(index.Manifests))
	}
}

// TestFindBad: whatever is no image is an error, and leaves nothing behind.
func TestFindBad(t *testing.T) {
	dir := t.TempDir()
	var evil bytes.Buffer
	tw := tar.NewWriter(&evil)
	for name, data := range map[string]string{
		"manifest.json": `[{"Config":"../../../etc/passwd","Layers":["/etc/shadow"]}]`, "../../escape": "x", "/absolute": "x",
	} {
		_ = tw.WriteHeader(&tar.Header{Name: name, Size: int64(len(data)), Mode: 0o600, Typeflag: tar.TypeReg})
		_, _ = tw.Write([]byte(data))
	}
	_ = tw.Close()
	for name, data := range map[string][]byte{
		"empty": nil, "text": []byte("hello"), "zeros": make([]byte, 4096), "cut": evil.Bytes()[:700], "evil": evil.Bytes(),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cache := filepath.Join(dir, "deep", "down", "cache")
	if err := os.MkdirAll(cache, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{"empty", "text", "zeros", "cut", "evil", ".", "nothing"} {
		if _, err := Find(t.Context(), filepath.Join(dir, form), cache, authn.DefaultKeychain); err == nil {
			t.Errorf("%s: want an error", form)
		}
	}
	for _, bad := range []string{"", "UPPER", "a b"} {
		if _, err := Find(t.Context(), bad, cache, authn.DefaultKeychain); err == nil {
			t.Errorf("%q: want an error", bad)
		}
	}
	if left, _ := os.ReadDir(filepath.Join(cache, "runs")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := os.Stat(filepath.Join(dir, "deep", "escape")); err == nil {
		t.Error("a name in the archive was followed out of the folder")
	}
}

func read(t *testing.T, src *Source, dgst string, into any) []byte {
	t.Helper()
	rc, err := src.Open(dgst)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	b, err := io.ReadAll(rc)
	if err != nil {
		t.Fatal(err)
	}
	if into != nil {
		if err := json.Unmarshal(b, into); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func writeLayout(dir string, img v1.Image) error {
	_, err := layout.Write(dir, mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: img}))
	return err
}

func tarFolder(file, dir string, compress bool) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	var w io.WriteCloser = f
	if compress {
		w = gzip.NewWriter(f)
	}
	tw := tar.NewWriter(w)
	return errors.Join(tw.AddFS(os.DirFS(dir)), tw.Close(), w.Close())
}
