package scan

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/scan/nested"
)

// randomReader returns any number of bytes at a time.
type randomReader struct {
	r    io.Reader
	rand *rand.Rand
}

func (r randomReader) Read(p []byte) (int, error) {
	return r.r.Read(p[:min(len(p), 1+r.rand.IntN(1+r.rand.IntN(10_000)))])
}

// TestRandomCuts: a layer with every nested form, under names by chance and in
// archives by chance, has the same findings however its stream is cut.
func TestRandomCuts(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	forms := nestedForms(t)
	rounds := 30
	if testing.Short() {
		rounds = 5
	}
	for range rounds {
		var list []tar.Header
		for _, i := range r.Perm(len(forms))[:12] {
			content := forms[i].content
			for range r.IntN(3) {
				if r.IntN(2) == 0 {
					content = string(gz(t, []byte(content)))
				} else {
					content = string(zipOf(t, zip.Deflate, "pad", strings.Repeat("y", r.IntN(70_000)), "x", content))
				}
			}
			pad := strings.Repeat(" ", r.IntN(3000))
			list = append(list, file(fmt.Sprintf("pad%d", i), pad), file(fmt.Sprintf("%d/%s", i, forms[i].file), content))
		}
		plain := tarOf(t, list...)
		want := hitsOf(New(Options{Index: testIndex()}).inspect("", bytes.NewReader(plain)))
		if got := strings.Count(want, "\n"); got < 12 {
			t.Fatalf("%d found of 12:\n%s", got, want)
		}
		sc := New(Options{Index: testIndex()})
		sc.cut = 1 + r.IntN(5000)
		for _, layer := range [][]byte{plain, gz(t, plain), zst(t, plain)} {
			if got := hitsOf(sc.inspect("", randomReader{bytes.NewReader(layer), r})); got != want {
				t.Fatalf("cut at %d: got\n%s\nwant\n%s", sc.cut, got, want)
			}
		}
	}
}

// TestLongLine: a value at the end of a line of 3 MB, plain, in base64 and in a
// packed file that stands there as base64.
func TestLongLine(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 3))
	noise := make([]byte, 3<<20)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	long := strings.Repeat(`{"key":"value with some words"},`, 100_000)
	for name, content := range map[string]string{
		"plain":          long + password,
		"base64":         b64(append(noise, password...)),
		"wrapped base64": wrap(b64(append(noise, password...)), 76, "\n"),
		"packed":         long + `"` + b64(gz(t, append(noise, password...))) + `"`,
		"packed, before": `"` + b64(gz(t, append([]byte(password), noise...))) + `"` + long,
	} {
		rec := New(Options{Index: testIndex()}).inspect("", bytes.NewReader(tarOf(t, file("a", "x"), file("line", content), file("z", "x"))))
		elsewhere := slices.ContainsFunc(rec.hits, func(h hit) bool { return !strings.HasPrefix(h.path, "line") })
		if len(rec.hits) == 0 || elsewhere || strings.HasPrefix(name, "packed") && rec.hits[len(rec.hits)-1].path != "line!base64!" {
			t.Errorf("%s: got %s", name, hitsOf(rec))
		}
	}
}

// TestManyFiles: one value in 100,000 small files, as a layer, as a tar.gz and as
// a zip in one (10,000 under -short).
func TestManyFiles(t *testing.T) {
	n := 100_000
	if testing.Short() {
		n = 10_000
	}
	var layer, jar bytes.Buffer
	tw, zw := tar.NewWriter(&layer), zip.NewWriter(&jar)
	for i := range n {
		content := fmt.Sprintf("file %d of many", i)
		if i == n-10 {
			content += password
		}
		name := fmt.Sprintf("d/%d", i)
		_ = tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(content)), Mode: 0o644})
		_, _ = io.WriteString(tw, content)
		if i >= n-n/10 {
			f, _ := zw.Create(name)
			_, _ = io.WriteString(f, content)
		}
	}
	_, _ = tw.Close(), zw.Close()
	start := time.Now()
	for want, layer := range map[string][]byte{
		fmt.Sprintf("d/%d", n-10):        layer.Bytes(),
		fmt.Sprintf("a.tgz!/d/%d", n-10): tarOf(t, file("a.tgz", string(gz(t, layer.Bytes())))),
		fmt.Sprintf("a.jar!/d/%d", n-10): tarOf(t, file("a.jar", jar.String())),
	} {
		rec := New(Options{Index: testIndex()}).inspect("", bytes.NewReader(layer))
		if len(rec.hits) != 1 || rec.hits[0].path != want {
			t.Errorf("got %s, want %s", hitsOf(rec), want)
		}
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("took %s", took)
	}
}

// listener is a Patterns that remembers what it was given.
type listener struct {
	mu    sync.Mutex
	heard map[string]string
}

type listening struct {
	bytes.Buffer
	l     *listener
	at    Place
	size  int64
	found func(Hit)
}

func (l *listener) Stream(at Place, size int64, found func(Hit)) PatternStream {
	if at.Path == "ignored" {
		return nil
	}
	return &listening{l: l, at: at, size: size, found: found}
}

func (l *listener) Name(path string, mode int64, isDir bool) []Hit {
	if folder, _, ok := strings.Cut(path, ".kept/"); ok {
		return []Hit{{Rule: "a-folder", Severity: finding.Warning, Folder: folder + ".kept/"}}
	}
	if path == "etc/warned" && mode == 0o640 && !isDir {
		return []Hit{{Rule: "a-name", Severity: finding.Warning}}
	}
	return nil
}

func (l *listener) Text(at Place, text string) []Hit {
	if at.Field == "config.Env[0]" && text == "WARNED=1" {
		return []Hit{{Rule: "a-variable", Severity: finding.Warning}}
	}
	return nil
}

func (s *listening) Close() error {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	if s.size >= 0 && s.size != int64(s.Len()) {
		return fmt.Errorf("%d bytes of %d", s.Len(), s.size)
	}
	s.l.heard[s.at.Path+"#"+s.at.Field] += s.String()
	if i := strings.Index(s.String(), "guess"); i >= 0 {
		s.found(Hit{Rule: "a-rule", Severity: finding.Warning, Offset: int64(i)})
	}
	return nil
}

// TestPatterns: patterns get each file once, with its own bytes and nothing of
// its neighbours, packed ones unpacked, and fields of configs.
func TestPatterns(t *testing.T) {
	big := strings.Repeat("0123456789", 50_000)
	s := blobs{}
	layer := tarOf(t, file("a", "one"), file("big", big), file("ignored", big), file("x.tgz", string(gz(t, tarOf(t, file("b", "guess"), file("big", big))))),
		file("y.zip", string(zipOf(t, zip.Deflate, "c", big, "d", "no guess"))), file("e", "x^2 + y^2"))
	root := s.manifest(object{"config": object{"Env": []string{"A=guess"}}}, s.put(ociLayer+"+gzip", gz(t, layer)))
	heard := &listener{heard: map[string]string{}}
	rep, err := New(Options{Index: testIndex(), Patterns: heard}).Report(t.Context(), root, s.open)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"a#": "one", "big#": big, "x.tgz!/b#": "guess", "x.tgz!/big#": big, "y.zip!/c#": big, "y.zip!/d#": "no guess", "e#": "x^2 + y^2", "#config.Env[0]": "A=guess",
	}
	for key, text := range want {
		if heard.heard[key] != text {
			t.Errorf("%s: got %d bytes, want %d", key, len(heard.heard[key]), len(text))
		}
	}
	if rep.Verdict != finding.Clean || len(rep.Findings) != 3 {
		t.Errorf("got %s, %+v", rep.Verdict, rep.Findings)
	}
	for _, f := range rep.Findings {
		if f.Rule != "a-rule" || f.Path+f.Field == "" || f.Fingerprint == "" {
			t.Errorf("got %+v of %v", f, slices.Sorted(maps.Keys(heard.heard)))
		}
	}
}

func TestAllowUnread(t *testing.T) {
	tests := []struct {
		glob, path string
		want       bool
	}{
		{"a/b", "a/b", true},
		{"/a/b", "a/b!/c/d", true},
		{"a/*", "a/b/c", false},
		{"a/**", "a/b/c!", true},
		{"**/*.jar", "x/y/z.jar!/META-INF/lib", true},
		{"*", "a/b", false},
		{"[", "a", false},
		{"", "a", false},
	}
	for _, tt := range tests {
		if got := New(Options{AllowUnread: []string{tt.glob}}).allows(tt.path); got != tt.want {
			t.Errorf("%q allows %q: got %v", tt.glob, tt.path, got)
		}
	}
}

// FuzzLayerFile: a file in a layer, whatever it holds, does not end the scan, hide
// what follows it, or take more than the budget; and nothing hangs on the cuts.
func FuzzLayerFile(f *testing.F) {
	for _, form := range nestedForms(f) {
		f.Add([]byte(form.content))
	}
	idx := testIndex()
	f.Fuzz(func(t *testing.T, b []byte) {
		layer := tarOf(t, file("r/.git/objects/f", string(b)), file("after", password))
		var want string
		for _, cut := range []int{0, 700} {
			sc := New(Options{Index: idx, Nested: nested.Limits{Free: 1 << 20, Ratio: 20, Bytes: 4 << 20, Depth: 4}})
			sc.cut = cut
			rec := sc.inspect("", bytes.NewReader(layer))
			if len(rec.unread) > 0 || rec.total > 5<<20+int64(len(layer)) {
				t.Errorf("unread %v, %d bytes", rec.unread, rec.total)
			}
			got := ""
			for _, h := range rec.hits {
				got += h.Secret + " " + h.path + "\n"
			}
			if !strings.Contains(got, "password after\n") {
				t.Errorf("got %s", got)
			}
			if cut == 0 {
				want = got
			} else if got != want {
				t.Errorf("cut at %d: got %s, want %s", cut, got, want)
			}
		}
	})
}
