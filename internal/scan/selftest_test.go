package scan

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/org/secure-build/internal/canary"
	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/index"
	"github.com/org/secure-build/internal/scan/nested"
	"github.com/org/secure-build/internal/secret"
)

// selfKnown is a canary, and an index that knows it as "a".
func selfKnown(t testing.TB) ([]byte, *index.Index) {
	t.Helper()
	value, err := canary.Token(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var set secret.Set
	if err := set.Add(secret.New("a", "test", value)); err != nil {
		t.Fatal(err)
	}
	return value, index.Compile(set)
}

// broken is a sample that a scanner without what it is there for would see: an
// encoding that is not known, a name that is not looked at, a packed file that
// no decoder opens.
func broken(s sample, value []byte) sample {
	other := func(text string) string { return strings.ReplaceAll(text, string(value), "nothing") }
	at := 0
	switch {
	case strings.HasPrefix(s.name, "base64 of ") && strings.HasPrefix(s.header.Name, "canary/in "):
		at = len("data: ")
	case s.name == string(nested.Tar):
		at = 257
	case !strings.HasPrefix(s.header.Name, "canary/in "):
		s.data = bytes.Repeat([]byte("x"), len(s.data))
		s.header.Name, s.header.Linkname = other(s.header.Name), other(s.header.Linkname)
		s.header.PAXRecords = nil
		return s
	}
	s.data = bytes.Clone(s.data)
	s.data[at] = '.'
	return s
}

// TestSelfTestMisses: whatever one thing a scanner does not find, in a layer or in
// a config, is named, and the verdict is incomplete for it.
func TestSelfTestMisses(t *testing.T) {
	value, x := selfKnown(t)
	image := blobs{}
	root := image.manifest(object{}, image.put(ociLayer, tarOf(t, file("a", "nothing"))))
	check := func(want, kind string, blob []byte, samples []sample) {
		t.Helper()
		sc := New(Options{Index: x})
		sc.missed = sc.prove("a", kind, blob, samples)
		if len(sc.missed) != 1 || sc.missed[0] != want {
			t.Errorf("missed: got %q, want %q", sc.missed, want)
		}
		rep, err := sc.Report(t.Context(), root, image.open)
		if err != nil {
			t.Fatal(err)
		}
		if rep.Verdict != finding.Incomplete || !strings.Contains(rep.Coverage.Unread[0].Reason, want) {
			t.Errorf("%s: got %s, %v", want, rep.Verdict, rep.Coverage.Unread)
		}
	}
	more, err := packed(value)
	if err != nil {
		t.Fatal(err)
	}
	samples := slices.Concat(written(value), named(value), more)
	for i, s := range samples {
		less := slices.Clone(samples)
		less[i] = broken(s, value)
		layer, err := gzipped(less)
		if err != nil {
			t.Fatal(err)
		}
		check(s.name, "layer", layer, samples)
	}
	config, fields, err := configured(value)
	if err != nil {
		t.Fatal(err)
	}
	for i, change := range []func(*parsed){
		func(p *parsed) { p.Config.Env[0] = "nothing" }, func(p *parsed) { p.Config.Env[1] = "nothing" },
		func(p *parsed) { p.Config.Labels["canary"] = "nothing" }, func(p *parsed) { p.History[0].By = "nothing" },
	} {
		var p parsed
		if err := json.Unmarshal(config, &p); err != nil {
			t.Fatal(err)
		}
		change(&p)
		less, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		check(fields[i].name, "config", less, fields)
	}
}

// parsed is the self-test's config.
type parsed struct {
	Config struct {
		Env    []string
		Labels map[string]string
	} `json:"config"`
	History []struct {
		By string `json:"created_by"`
	} `json:"history"`
}

// TestSelfTestOpens: a document that is searched as bytes alone does not pass, and
// a packed file that was not opened does not either.
func TestSelfTestOpens(t *testing.T) {
	value, x := selfKnown(t)
	config, fields, err := configured(value)
	if err != nil {
		t.Fatal(err)
	}
	if got := New(Options{Index: x}).prove("a", "config", append([]byte("# "), config...), fields); len(got) != len(fields) {
		t.Errorf("got %q, want all %d fields", got, len(fields))
	}
	samples, err := packed(value)
	if err != nil {
		t.Fatal(err)
	}
	layer, err := gzipped(samples)
	if err != nil {
		t.Fatal(err)
	}
	if got := New(Options{Index: x, Shallow: true}).prove("a", "layer", layer, samples); len(got) != len(samples) {
		t.Errorf("got %q, want all %d kinds of packed file", got, len(samples))
	}
	sc := New(Options{Index: x, Shallow: true})
	if err := sc.SelfTest("a", value); err != nil || len(sc.missed) > 0 {
		t.Errorf("left packed: got %v, %q", err, sc.missed)
	}
}

// TestSelfTestHasEveryFormat: what package nested opens, the self-test packs.
func TestSelfTestHasEveryFormat(t *testing.T) {
	source, err := parser.ParseFile(token.NewFileSet(), "nested/nested.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	formats := 0
	ast.Inspect(source, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); !ok || kind.Name != "Format" {
			return true
		}
		format, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		if format == "" {
			return true
		}
		formats++
		for _, p := range packings {
			if string(p.format) == format {
				return true
			}
		}
		t.Errorf("%s: the self-test packs none", format)
		return true
	})
	if formats < 11 {
		t.Errorf("got %d formats", formats)
	}
}

// TestSelfTestIsNeverWrong: whatever the random value, all of it is found.
func TestSelfTestIsNeverWrong(t *testing.T) {
	for range 200 {
		value, x := selfKnown(t)
		sc := New(Options{Index: x})
		if err := sc.SelfTest("a", value); err != nil || len(sc.missed) > 0 {
			t.Fatalf("%q: got %v, missed %q", value, err, sc.missed)
		}
	}
}

func BenchmarkSelfTest(b *testing.B) {
	value, x := selfKnown(b)
	for b.Loop() {
		sc := New(Options{Index: x})
		if err := sc.SelfTest("a", value); err != nil || len(sc.missed) > 0 {
			b.Fatal(err, sc.missed)
		}
	}
}
