package corpus_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/org/secure-build/internal/canary"
	"github.com/org/secure-build/internal/corpus"
	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/image"
	"github.com/org/secure-build/internal/index"
	"github.com/org/secure-build/internal/redact"
	"github.com/org/secure-build/internal/report"
	"github.com/org/secure-build/internal/scan"
	"github.com/org/secure-build/internal/secret"
)

const seed = 4

// scanned scans an image for values.
func scanned(t *testing.T, c *corpus.Corpus, values []corpus.Value) (finding.Report, secret.Set, *index.Index) {
	t.Helper()
	var set secret.Set
	for _, v := range values {
		if err := set.Add(secret.New(v.Kind, "secrets.yaml#"+v.Kind, v.Bytes)); err != nil {
			t.Fatal(err)
		}
	}
	x := index.Compile(set)
	src, err := image.Find(t.Context(), c.Dir, t.TempDir(), authn.DefaultKeychain)
	if err != nil {
		t.Fatal(err)
	}
	root := scan.Descriptor{MediaType: src.Root.MediaType, Digest: src.Root.Digest.String(), Size: src.Root.Size}
	r, err := scan.New(scan.Options{Index: x}).Report(t.Context(), root, src.Open)
	if err != nil {
		t.Fatal(err)
	}
	return r, set, x
}

// TestEveryLeakIsFound scans the corpus: every plant is found at its place,
// nothing is found that is not there, and no report shows a value (I8).
func TestEveryLeakIsFound(t *testing.T) {
	c, err := corpus.Write(filepath.Join(t.TempDir(), "layout"), corpus.Options{Seed: seed, Size: 24 << 20})
	if err != nil {
		t.Fatal(err)
	}
	r, set, x := scanned(t, c, c.Values)
	for _, p := range c.Missed(r.Findings) {
		t.Errorf("missed: %s, in %s%s (nested: %v)", p, p.Path, p.Field, p.Nested)
	}
	for _, f := range c.Elsewhere(r.Findings) {
		t.Errorf("found where it was not planted: %s as %s in %s%s", f.Secret, f.Encoding, f.Path, f.Field)
	}
	for _, u := range r.Coverage.Unread {
		t.Errorf("not read: %s in %s: %s", u.Path, u.Blob, u.Reason)
	}
	if r.Verdict != finding.Leaked {
		t.Errorf("verdict: got %s", r.Verdict)
	}
	t.Run("no value in a report", func(t *testing.T) { noValue(t, c, r, set, x) })
	t.Run("nothing else", func(t *testing.T) {
		// The same image, asked for values that are not in it.
		r, _, _ := scanned(t, c, corpus.Values(seed+1))
		for _, f := range r.Findings {
			t.Errorf("false alarm: %s as %s in %s%s", f.Secret, f.Encoding, f.Path, f.Field)
		}
		if r.Verdict != finding.Clean {
			t.Errorf("verdict: got %s", r.Verdict)
		}
	})
}

func TestNothingIsFoundInABareImage(t *testing.T) {
	c, err := corpus.Write(filepath.Join(t.TempDir(), "layout"), corpus.Options{Seed: seed, Size: 8 << 20, Bare: true})
	if err != nil {
		t.Fatal(err)
	}
	r, _, _ := scanned(t, c, c.Values)
	for _, f := range r.Findings {
		t.Errorf("false alarm: %s as %s in %s%s", f.Secret, f.Encoding, f.Path, f.Field)
	}
	if r.Verdict != finding.Clean || r.Coverage.Bytes < c.Bytes {
		t.Errorf("got %s after %d bytes of %d; not read: %v", r.Verdict, r.Coverage.Bytes, c.Bytes, r.Coverage.Unread)
	}
}

// noValue looks for each value, in each encoding of package canary, in all
// files of the report.
func noValue(t *testing.T, c *corpus.Corpus, r finding.Report, set secret.Set, x *index.Index) {
	dir := filepath.Join(t.TempDir(), "report")
	run := report.Run{Tool: "secure-build", Started: time.Unix(0, 0), Findings: r}
	for _, s := range set.Searched() {
		run.Secrets = append(run.Secrets, report.Secret{ID: s.ID(), Origin: s.Origin()})
	}
	redactor := redact.New()
	redactor.SetIndex(x)
	if err := report.Write(dir, run, redactor.Bytes); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) < 3 {
		t.Fatalf("got %d files, %v", len(files), err)
	}
	shown := telltales(c.Values)
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i+window <= len(text); i++ {
			if what, ok := shown[string(text[i:i+window])]; ok {
				t.Fatalf("%s shows a part of the %s: %q", f.Name(), what, text[max(0, i-60):i])
			}
		}
	}
}

// window is the number of bytes in a row that a report must not show of a value
// in any encoding: what package canary finds too much.
const window = 12

// telltales are all such stretches, and of what they are.
func telltales(values []corpus.Value) map[string]string {
	shown := map[string]string{}
	for _, v := range values {
		for _, form := range canary.Forms(v.Bytes) {
			for i := 0; i+window <= len(form.Text); i++ {
				if w := form.Text[i : i+window]; form.Shows(w) {
					shown[string(w)] = v.Kind + " as " + form.Name
				}
			}
		}
	}
	return shown
}
