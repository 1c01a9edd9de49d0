package platform

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What actions/runner makes of one value, worked out by hand from its source.
func TestGitHubMaskerEncodes(t *testing.T) {
	for _, tt := range []struct {
		value string
		want  []string
	}{
		{"password", []string{"password", "cGFzc3dvcmQ=", "YXNzd29yZA==", "c3N3b3Jk"}},
		{"a", []string{"a", "YQ=="}},
		{`"quoted"'<&>/ ü`, []string{
			`"quoted"'<&>/ ü`, "InF1b3RlZCInPCY+LyDDvA==", "cXVvdGVkIic8Jj4vIMO8", "dW90ZWQiJzwmPi8gw7w=",
			`\"quoted\"'<&>/ ü`, `"quoted"''<&>/ ü`, `%22quoted%22%27%3C%26%3E%2F%20%C3%BC`,
			`&quot;quoted&quot;&apos;&lt;&amp;&gt;/ ü`, `"quoted"'<&`,
		}},
		{`"quoted12"`, []string{`"quoted12"`, "InF1b3RlZDEyIg==", "cXVvdGVkMTIi", "dW90ZWQxMiI=", `\"quoted12\"`, "%22quoted12%22", "&quot;quoted12&quot;", "quoted12"}},
		{"one&two&three3", []string{
			"one&two&three3", "b25lJnR3byZ0aHJlZTM=", "bmUmdHdvJnRocmVlMw==", "ZSZ0d28mdGhyZWUz",
			"one%26two%26three3", "one&amp;two&amp;three3", "one&two&", "three3",
		}},
		{"one1&+two22&three", []string{
			"one1&+two22&three", "b25lMSYrdHdvMjImdGhyZWU=", "bmUxJit0d28yMiZ0aHJlZQ==", "ZTEmK3R3bzIyJnRocmVl",
			"one1%26%2Btwo22%26three", "one1&amp;+two22&amp;three", "one1&+", "wo22&three",
		}},
		{"a\tb\x01\u2028z", []string{"a\tb\x01\u2028z", "YQliAeKAqHo=", "CWIB4oCoeg==", "YgHigKh6", `a\tb\u0001\u2028z`, "a%09b%01%E2%80%A8z"}},
		{"first1\r\n {\n", []string{
			"first1\r\n {\n", "Zmlyc3QxDQogewo=", "aXJzdDENCiB7Cg==", "cnN0MQ0KIHsK", `first1\r\n {\n`, "first1%0D%0A%20%7B%0A",
			"first1", "Zmlyc3Qx", "aXJzdDE=", "cnN0MQ==", "{", "ew==", "%7B",
		}},
		{" \r\n", nil},
	} {
		slices.Sort(tt.want)
		if diff := cmp.Diff(tt.want, NewGitHubMasker(tt.value).Patterns()); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.value, diff)
		}
	}
}

func TestGitHubMaskerMasks(t *testing.T) {
	for _, tt := range []struct {
		values    []string
		log, want string
	}{
		{[]string{"abcabc"}, "xabcabcabcx abcab", "x***x abcab"},
		{[]string{"abcdef", "efghij"}, "abcdefghij!", "***!"},
		{[]string{"abcdef", "ghijkl"}, "abcdefghijkl!", "***!"}, // they touch
		{[]string{"abcdef", "abcdefgh"}, "abcdefghi abcdef", "***i ***"},
		{[]string{"abc\ndef"}, "abc\nxdefx\nabc", "***\nx***x\n***"},
		{[]string{"pässword"}, "is pässword\xff", "is ***\ufffd"},
		{nil, "as it is", "as it is"},
	} {
		if got := string(NewGitHubMasker(tt.values...).Mask([]byte(tt.log))); got != tt.want {
			t.Errorf("%q in %q: got %q, want %q", tt.values, tt.log, got, tt.want)
		}
	}
}

// A value that ends in its only &+ fails the runner's step: masks avoids it.
func TestGitHubMaskerStumbles(t *testing.T) {
	for value, ok := range map[string]bool{"secret&+": false, "se&+cret&+": true, "secret&+x": true, "secret&": true} {
		r := NewGitHubRunner()
		r.Read([]byte("::add-mask::" + value + "\n"))
		if got := len(r.Errors) == 0; got != ok {
			t.Errorf("%q: got errors %v, want ok=%v", value, r.Errors, ok)
		}
	}
	r, _ := told(t, "k9-secret-k9&+")
	if got := string(r.Read([]byte("is k9-secret-k9&+\n"))); got != "is ***+\n" {
		t.Errorf("got %q, want all but the last character masked", got)
	}
}

func TestGitLabMaskable(t *testing.T) {
	for _, tt := range []struct {
		value         string
		expanded, raw bool
	}{
		{"abcDEF12", true, true},
		{"a_+=/@:.~-", true, true},
		{"short12", false, false},
		{"abcdef$gh", false, true},
		{`{"a":"12345678"}`, false, true},
		{"two words1", false, false},
		{"line1line\nline2line", false, false},
		{"line1line\n", false, false},
		{"a\vbcdefgh1", false, false},
		{"pässwörd", false, true},
	} {
		if got := GitLabMaskable(tt.value, false); got != tt.expanded {
			t.Errorf("%q: got %v, want %v", tt.value, got, tt.expanded)
		}
		if got := GitLabMaskable(tt.value, true); got != tt.raw {
			t.Errorf("%q raw: got %v, want %v", tt.value, got, tt.raw)
		}
	}
}

// gitLabWrites masks a log that comes in several writes.
func gitLabWrites(t *testing.T, values, writes []string) string {
	t.Helper()
	var b bytes.Buffer
	w := NewGitLabMasker(&b, values...)
	for _, p := range writes {
		if n, err := w.Write([]byte(p)); n != len(p) || err != nil {
			t.Errorf("%q: got %d, %v", p, n, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	return b.String()
}

func TestGitLabMasker(t *testing.T) {
	for _, tt := range []struct {
		values, writes []string
		want           string
	}{
		{[]string{"secret12"}, []string{"a secret12 b"}, "a [MASKED] b"},
		{[]string{"secret12"}, []string{"a sec", "ret", "12 b"}, "a [MASKED] b"},
		{[]string{"secret12"}, []string{"a sec", "tion sec"}, "a section sec"},
		{[]string{"secret12", "secret12345"}, []string{"secret12345 secret12 secret123"}, "[MASKED] [MASKED] [MASKED]3"},
		{[]string{"aab"}, []string{"aaab"}, "a[MASKED]"},
		{[]string{"aab"}, []string{"aa", "ab"}, "aaab"}, // the flaw: the restart is one byte late
		{[]string{"secret12"}, []string{"sec", "secret12"}, "sec[MASKED]"},
		{[]string{"[MASKED]"}, []string{"[MASKED]"}, "[MASKED]"},
		{[]string{""}, []string{"x"}, "x"},
		{nil, []string{"x", "", "y"}, "xy"},
	} {
		if got := gitLabWrites(t, tt.values, tt.writes); got != tt.want {
			t.Errorf("%q in %q: got %q, want %q", tt.values, tt.writes, got, tt.want)
		}
	}
}

// In one write the model masks what anybody would; however it is cut, no byte of
// anything else is lost.
func TestGitLabMaskerLosesNothing(t *testing.T) {
	r := rand.New(rand.NewChaCha8([32]byte{3}))
	letters := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = "ab"[r.IntN(2)]
		}
		return string(b)
	}
	for range 3000 {
		value, log := letters(1+r.IntN(5)), letters(r.IntN(30))
		if got, want := string(MaskGitLab([]byte(log), value)), strings.ReplaceAll(log, value, "[MASKED]"); got != want {
			t.Fatalf("%q in %q: got %q, want %q", value, log, got, want)
		}
		var writes []string
		for rest := log; rest != ""; {
			n := 1 + r.IntN(len(rest))
			writes, rest = append(writes, rest[:n]), rest[n:]
		}
		if got := gitLabWrites(t, []string{value, letters(3)}, writes); strings.Count(got, "[MASKED]") == 0 && got != log {
			t.Fatalf("%q in %q: got %q, want %q", value, writes, got, log)
		}
	}
}

func TestCatches(t *testing.T) {
	masked := func(kind Kind, value string) (n, of int) {
		for _, r := range Catches(kind, []byte(value)) {
			if of++; r.Masked {
				n++
			}
		}
		return n, of
	}
	for _, tt := range []struct {
		kind  Kind
		value string
		min   int
		max   int
	}{
		{Terminal, "hunter2-hunter2-x9<'\"&", 0, 0},
		{GitLab, "hunter2-hunter2-x9<'\"&", 1, 3}, // raw, and what leaves it alone
		{GitLab, "two words hunter2", 0, 0},
		{GitHub, "hunter2-hunter2-x9<'\"&", 8, 20},
	} {
		if n, of := masked(tt.kind, tt.value); n < tt.min || n > tt.max || of < 25 {
			t.Errorf("%s %q: got %d of %d forms masked, want %d to %d", tt.kind, tt.value, n, of, tt.min, tt.max)
		}
	}
}
