package scan

import (
	"archive/tar"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/org/secure-build/internal/finding"
)

// TestFolders: what is in a folder says that it is there, and a warning of it is
// said once, however much is in it.
func TestFolders(t *testing.T) {
	inside := []tar.Header{{Typeflag: tar.TypeDir, Name: "b/.kept/"}, file("b/.kept/one", "x")}
	for i := range maxGuesses + 10 {
		inside = append(inside, file(fmt.Sprintf("a/.kept/%d", i), "x"))
	}
	s := blobs{}
	root := s.manifest(object{}, s.put(ociLayer, tarOf(t, inside...)), s.put(ociLayer, tarOf(t, file("a/.kept/0", "y"))))
	rep, err := New(Options{Index: testIndex(), Patterns: &listener{heard: map[string]string{}}}).Report(t.Context(), root, s.open)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range rep.Findings {
		got = append(got, fmt.Sprintf("%d %s %s %s", f.Layer, f.Rule, f.Path, f.Field))
	}
	want := []string{"0 a-folder a/.kept/ path", "0 a-folder b/.kept/ path", "1 a-folder a/.kept/ path"}
	if diff := cmp.Diff(want, got); diff != "" || rep.Verdict != finding.Clean {
		t.Errorf("got %s: %s", rep.Verdict, diff)
	}
}

// modes is a Patterns that remembers which mode a place has.
type modes struct {
	*listener
	seen map[string]int64
}

func (m modes) Stream(at Place, size int64, found func(Hit)) PatternStream {
	m.mu.Lock() // the config and the layer are read at the same time
	m.seen[at.Path+"#"+at.Field] = at.Mode
	m.mu.Unlock()
	return m.listener.Stream(at, size, found)
}

// TestModes: a file in a layer has its mode, and what is in it has none.
func TestModes(t *testing.T) {
	private := file("private", "guess")
	private.Mode = 0o600
	m := modes{&listener{heard: map[string]string{}}, map[string]int64{}}
	s := blobs{}
	layer := tarOf(t, file("open", "x"), private, file("a.tgz", string(gz(t, tarOf(t, file("b", "x"))))))
	rep, err := New(Options{Index: testIndex(), Patterns: m}).Report(t.Context(), s.manifest(object{"author": "x"}, s.put(ociLayer, layer)), s.open)
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]int64{"open#": 0o644, "private#": 0o600, "a.tgz!/b#": 0, "#author": 0} {
		if got, ok := m.seen[at]; !ok || got != want {
			t.Errorf("%s: got %o, want %o, of %v", at, got, want, slices.Sorted(maps.Keys(m.seen)))
		}
	}
	if len(rep.Findings) != 1 || rep.Findings[0].Path != "private" {
		t.Errorf("got %+v", rep.Findings)
	}
}
