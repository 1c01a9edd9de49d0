package scan

import (
	"bytes"
	"crypto/rand"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/org/secure-build/internal/canary"
	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/index"
	"github.com/org/secure-build/internal/secret"
)

// built is an image of a base layer and one of our own.
func built(t *testing.T, s blobs) (root Descriptor, layers []Descriptor) {
	t.Helper()
	base := tarOf(t, file("usr/base", "a guess in the base"), file("etc/base", "token-known"))
	own := tarOf(t, file("opt/own", "a guess of ours"), file("etc/own", "s3cr3t-value"))
	layers = []Descriptor{s.put(ociLayer, base), s.put(ociLayer, own)}
	config := object{
		"history": history("ADD base / # by somebody", "-ENV WARNED=1", "RUN make", "-ENV A=s3cr3t-value"),
		"rootfs":  object{"type": "layers", "diff_ids": []string{digestOf(base), digestOf(own)}},
		"config":  object{"Env": []string{"WARNED=1", "A=s3cr3t-value"}},
	}
	return s.manifest(config, layers...), layers
}

func knows(t testing.TB, values ...string) *index.Index {
	t.Helper()
	var set secret.Set
	for i, v := range values {
		if err := set.Add(secret.New(string(rune('a'+i)), "test", []byte(v))); err != nil {
			t.Fatal(err)
		}
	}
	return index.Compile(set)
}

// TestBuilt: lines of the Dockerfile, and layers of the base image, in which
// patterns only warn while known values block.
func TestBuilt(t *testing.T) {
	s := blobs{}
	root, layers := built(t, s)
	sc := New(Options{Index: knows(t, "s3cr3t-value", "token-known"), Patterns: severe{&listener{heard: map[string]string{}}}})
	sc.Built(Build{
		Base:  []string{digestOf(s[layers[0].Digest])},
		Lines: []Line{{"ENV", 3}, {"RUN", 5}, {"ENV", 7}},
	})
	rep, err := sc.Report(t.Context(), root, s.open)
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		rule, place string
		severity    finding.Severity
		line        int
	}
	var got []row
	for _, f := range rep.Findings {
		got = append(got, row{f.Rule, f.Path + f.Field, f.Severity, f.Line})
	}
	for _, want := range []row{
		{finding.RuleKnownValue, "etc/base", finding.Error, 0},
		{finding.RuleKnownValue, "etc/own", finding.Error, 5},
		{finding.RuleKnownValue, "config.Env[1]", finding.Error, 7},
		{"a-rule", "usr/base", finding.Warning, 0},
		{"a-rule", "opt/own", finding.Error, 5},
	} {
		if !slices.Contains(got, want) {
			t.Errorf("not found: %+v in %+v", want, got)
		}
	}

	// A Dockerfile that does not fit the history is no Dockerfile of it.
	sc.Built(Build{Lines: []Line{{"COPY", 5}, {"ENV", 7}}})
	rep, err = sc.Report(t.Context(), root, s.open)
	if err != nil || slices.ContainsFunc(rep.Findings, func(f finding.Finding) bool { return f.Line != 0 }) {
		t.Errorf("got lines from another Dockerfile: %v, %+v", err, rep.Findings)
	}
}

// severe makes every guess in contents an error.
type severe struct{ *listener }

func (s severe) Stream(at Place, size int64, found func(Hit)) PatternStream {
	return s.listener.Stream(at, size, func(h Hit) { h.Severity = finding.Error; found(h) })
}

// TestNamesAndTexts: the patterns are asked about names in layers, with their
// mode, and about texts in configs.
func TestNamesAndTexts(t *testing.T) {
	s := blobs{}
	warned := file("etc/warned", "x")
	warned.Mode = 0o640
	root := s.manifest(object{"config": object{"Env": []string{"WARNED=1"}}}, s.put(ociLayer, tarOf(t, warned)))
	rep, err := New(Options{Index: knows(t), Patterns: &listener{heard: map[string]string{}}}).Report(t.Context(), root, s.open)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range rep.Findings {
		got = append(got, f.Rule+" "+f.Path+" "+f.Field)
	}
	slices.Sort(got)
	if want := []string{"a-name etc/warned path", "a-variable  config.Env[0]"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if rep.Verdict != finding.Clean {
		t.Errorf("got %s: warnings do not block", rep.Verdict)
	}
}

// notes is a Memory.
type notes map[string]string

func (n notes) Get(digest string) ([]byte, bool)     { d, ok := n[digest]; return []byte(d), ok }
func (n notes) Put(digest string, data []byte) error { n[digest] = string(data); return nil }

// TestMemory: a layer without a known value is not searched again as long as it
// has its digest, and what patterns found in it is said again; any other is
// searched, and so is every config.
func TestMemory(t *testing.T) {
	s := blobs{}
	clean := s.put(ociLayer, tarOf(t, file("a", "nothing")))
	leaky := s.put(ociLayer, tarOf(t, file("b", "s3cr3t-value")))
	warned := s.put(ociLayer, tarOf(t, file("c", "a guess")))
	root := s.manifest(object{}, clean, leaky, warned)
	memory := notes{}
	report := func() finding.Report {
		t.Helper()
		rep, err := New(Options{Index: knows(t, "s3cr3t-value"), Memory: memory, Patterns: &listener{heard: map[string]string{}}}).Report(t.Context(), root, s.open)
		if err != nil {
			t.Fatal(err)
		}
		return rep
	}
	first := report()
	if len(memory) != 2 || memory[clean.Digest] == "" || memory[warned.Digest] == "" || first.Coverage.Remembered != nil {
		t.Fatalf("remembered %v of %+v, want the layers without the value", memory, first.Coverage)
	}
	second := report()
	if r := second.Coverage.Remembered; r == nil || r.Blobs != 2 || second.Coverage.Bytes != first.Coverage.Bytes {
		t.Errorf("got %+v, want two remembered and %d bytes", second.Coverage, first.Coverage.Bytes)
	}
	if diff := cmp.Diff(first.Findings, second.Findings); diff != "" || second.Verdict != finding.Leaked || len(second.Coverage.Unread) > 0 {
		t.Errorf("got %s, %+v, want the same as before:\n%s", second.Verdict, second.Coverage, diff)
	}
	s[clean.Digest] = bytes.Replace(s[clean.Digest], []byte("nothing"), []byte("s3cr3t-value")[:7], 1)
	if got := report(); got.Verdict != finding.Leaked || len(got.Coverage.Unread) != 1 || got.Coverage.Remembered.Blobs != 1 {
		t.Errorf("got %+v, want a layer that has changed since to be read, and said to be another", got.Coverage)
	}
	held, err := New(Options{Index: knows(t, "s3cr3t-value"), Memory: memory, Held: true}).Report(t.Context(), root, func(digest string) (io.ReadCloser, error) {
		if digest == clean.Digest {
			t.Error("what is held to its digest elsewhere was read")
		}
		return s.open(digest)
	})
	if err != nil || held.Coverage.Remembered == nil || held.Coverage.Remembered.Blobs != 2 {
		t.Errorf("got %+v, %v, want two layers by their digests", held.Coverage, err)
	}
	s[clean.Digest] = bytes.Replace(s[clean.Digest], []byte("s3cr3t-value")[:7], []byte("nothing"), 1)
	memory[leaky.Digest] = "{not JSON"
	if got := report(); len(got.Findings) != len(first.Findings) {
		t.Error("a broken memory hides a leak")
	}
}

// TestSelfTest: an index that knows the canary finds it in every encoding, and
// one that does not makes the verdict incomplete.
func TestSelfTest(t *testing.T) {
	s := blobs{}
	root := s.manifest(object{}, s.put(ociLayer, tarOf(t, file("a", "nothing"))))
	for range 20 {
		value, err := canary.Token(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		for _, known := range []bool{true, false} {
			x := knows(t, "another-value")
			if known {
				x = knows(t, string(value))
			}
			sc := New(Options{Index: x})
			if err := sc.SelfTest("a", value); err != nil {
				t.Fatal(err)
			}
			rep, err := sc.Report(t.Context(), root, s.open)
			if err != nil {
				t.Fatal(err)
			}
			if want := map[bool]finding.Verdict{true: finding.Clean, false: finding.Incomplete}[known]; rep.Verdict != want {
				t.Errorf("known %v: got %s, %+v", known, rep.Verdict, rep.Coverage.Unread)
			}
			if !known && !strings.Contains(rep.Coverage.Unread[0].Reason, "self-test") {
				t.Errorf("got %+v", rep.Coverage.Unread)
			}
		}
	}
}
