package corpus

import (
	"path/filepath"
	"testing"

	"github.com/org/secure-build/internal/finding"
)

// small is an image that is made in a moment.
func small(t *testing.T, o Options) *Corpus {
	t.Helper()
	o.Size = 2 << 20
	c, err := Write(filepath.Join(t.TempDir(), "layout"), o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSameSeedSameImage(t *testing.T) {
	a, b, other := small(t, Options{Seed: 1}), small(t, Options{Seed: 1}), small(t, Options{Seed: 2})
	if a.Root.Digest != b.Root.Digest {
		t.Errorf("one seed made two images: %s and %s", a.Root.Digest, b.Root.Digest)
	}
	if a.Root.Digest == other.Root.Digest {
		t.Error("two seeds made one image")
	}
}

// TestForms holds what was asked of the corpus: 60 forms and more of each of
// two kinds, each plant in a place of its own.
func TestForms(t *testing.T) {
	c := small(t, Options{Seed: 1})
	forms, places := map[string]int{}, map[string]Plant{}
	for _, p := range c.Plants {
		forms[p.Kind]++
		place := p.Path + "\x00" + p.Field
		if other, ok := places[place]; ok && other.Kind == p.Kind {
			t.Errorf("%s and %s are in one place: %s %s", p, other, p.Path, p.Field)
		}
		places[place] = p
		if p.Path == "" && p.Field == "" {
			t.Errorf("%s is nowhere", p)
		}
	}
	for _, kind := range []string{token, password} {
		if forms[kind] < 60 || forms[kind] != len(c.Forms) {
			t.Errorf("%s: got %d forms of %d, want all, and 60 at least", kind, forms[kind], len(c.Forms))
		}
	}
	if bare := small(t, Options{Seed: 1, Bare: true}); len(bare.Plants) > 0 {
		t.Errorf("got %d plants in a bare image", len(bare.Plants))
	}
	t.Logf("%d forms, %d plants", len(c.Forms), len(c.Plants))
}

func TestFoundIn(t *testing.T) {
	p := Plant{Kind: "token", Path: "opt/a"}
	for _, tt := range []struct {
		f    finding.Finding
		want bool
	}{
		{finding.Finding{Secret: "token", Path: "opt/a"}, true},
		{finding.Finding{Secret: "token", Path: "opt/a!/b"}, true},
		{finding.Finding{Secret: "token", Path: "opt/a/b"}, true},
		{finding.Finding{Secret: "token", Path: "opt/ab"}, false},
		{finding.Finding{Secret: "key", Path: "opt/a"}, false},
		{finding.Finding{Secret: "token", Field: "config.Env[1]"}, false},
	} {
		if got := p.FoundIn([]finding.Finding{tt.f}); got != tt.want {
			t.Errorf("%+v: got %v", tt.f, got)
		}
	}
	set := Plant{Kind: "token", Field: "config.Env[1]"}
	if !set.FoundIn([]finding.Finding{{Secret: "token", Field: "config.Env[1]"}}) || set.FoundIn([]finding.Finding{{Secret: "token", Field: "config.Env[2]"}}) {
		t.Error("a field is not told from another")
	}
}
