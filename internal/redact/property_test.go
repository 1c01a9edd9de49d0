package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/org/secure-build/internal/index"
	"github.com/org/secure-build/internal/secret"
)

// reference is the redactor written as plainly as can be, on whole lines, from
// forms that the real encoders give: for secrets of letters and digits below 32
// bytes, of which all other encodings are the raw one or do not come up.
type reference struct {
	forms [][]string // of each secret
}

func newReference(values []string) reference {
	var ref reference
	for _, v := range values {
		forms := []string{v, hex.EncodeToString([]byte(v)), strings.ToUpper(hex.EncodeToString([]byte(v)))}
		for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
			forms = append(forms, enc.EncodeToString([]byte(v)), strings.TrimRight(enc.EncodeToString([]byte(v)), "="))
			for shift := range 3 {
				forms = append(forms, decided(enc, v, shift))
			}
		}
		ref.forms = append(ref.forms, forms)
	}
	return ref
}

// decided is what the encodings of v between any neighbours have in common.
func decided(enc *base64.Encoding, v string, shift int) string {
	a := enc.EncodeToString([]byte(strings.Repeat("\x00", shift) + v + "\x00\x00\x00"))
	b := enc.EncodeToString([]byte(strings.Repeat("\xff", shift) + v + "\xff\xff\xff"))
	from := 0
	for from < len(a) && a[from] != b[from] {
		from++
	}
	to := from
	for to < len(a) && a[to] == b[to] {
		to++
	}
	return a[from:to]
}

var hidden = regexp.MustCompile("\x1b\\[[0-9;]*m|[\r\b]")

// found is a stretch to mask, as the reference sees it.
type found struct {
	start, end, size int
	id               string
}

func (ref reference) mask(line string) string {
	var spans []found
	look := func(text string, origin func(i int) int) {
		for k, forms := range ref.forms {
			for _, f := range forms {
				for at := 0; at+len(f) <= len(text); at++ {
					if len(f) >= index.MinPattern && text[at:at+len(f)] == f {
						spans = append(spans, found{origin(at), origin(at+len(f)-1) + 1, len(f), fmt.Sprintf("S%d", k)})
					}
				}
			}
		}
	}
	look(line, func(i int) int { return i })
	var view []byte
	var origins []int
	gone := make([]bool, len(line))
	for _, m := range hidden.FindAllStringIndex(line, -1) {
		for i := m[0]; i < m[1]; i++ {
			gone[i] = true
		}
	}
	for i := range gone {
		if !gone[i] {
			view, origins = append(view, line[i]), append(origins, i)
		}
	}
	look(string(view), func(i int) int { return origins[i] })
	slices.SortFunc(spans, func(a, b found) int {
		if a.start != b.start {
			return a.start - b.start
		}
		return b.size - a.size
	})
	var out strings.Builder
	at, last := 0, found{end: -1}
	for len(spans) > 0 {
		best, end, n := spans[0], spans[0].end, 1
		for ; n < len(spans) && spans[n].start < end; n++ {
			end = max(end, spans[n].end)
			if spans[n].size > best.size {
				best = spans[n]
			}
		}
		out.WriteString(line[at:spans[0].start])
		if spans[0].start != last.end || best.id != last.id {
			out.WriteString("[masked:" + best.id + "]")
		}
		at, last = end, found{end: end, id: best.id}
		spans = spans[n:]
	}
	return out.String() + line[at:]
}

// few returns n characters of an alphabet so small that values overlap themselves.
func few(r *rand.Rand, n int) string {
	alphabet := "abc"[:2+r.IntN(2)]
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(b) + "x"
}

func TestAgainstTheReference(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 13))
	rounds := 1500
	if testing.Short() {
		rounds = 200
	}
	for round := range rounds {
		var values []string
		for range 1 + r.IntN(4) {
			v := few(r, 6+r.IntN(20))
			if len(values) > 0 && r.IntN(3) == 0 { // a value with the beginning of another one
				v = values[0][:len(values[0])/2+1] + few(r, 5)
			}
			if !slices.Contains(values, v) {
				values = append(values, v[:min(len(v), 31)])
			}
		}
		ref := newReference(values)
		text := randomText(r, ref)
		var want strings.Builder
		for line := range strings.SplitAfterSeq(text, "\n") {
			want.WriteString(ref.mask(line))
		}
		x := compile(t, values...)
		for mode, options := range map[string][]Option{"lines": nil, "at once": {Immediately()}} {
			for _, most := range []int{1, 3, 40, 4000} {
				if got := redact(t, x, chunks(r, text, most), options...); got != want.String() {
					t.Fatalf("round %d, %s, chunks of at most %d, values %q:\ntext %q\ngot  %q\nwant %q", round, mode, most, values, text, got, want.String())
				}
			}
		}
		for k, forms := range ref.forms {
			for _, f := range forms {
				if len(f) >= index.MinPattern && strings.Contains(want.String(), f) {
					t.Fatalf("round %d: the reference shows secret %d as %q", round, k, f)
				}
			}
		}
	}
}

// randomText is lines of noise in which forms are planted, whole and cut, with
// control sequences inside some of them.
func randomText(r *rand.Rand, ref reference) string {
	var b strings.Builder
	for range 2 + r.IntN(20) {
		forms := ref.forms[r.IntN(len(ref.forms))]
		f := forms[r.IntN(len(forms))]
		switch r.IntN(6) {
		case 0:
			b.WriteString(few(r, r.IntN(30)))
		case 1:
			b.WriteString(" step #7 ")
		case 2:
			b.WriteString("\n")
		case 3:
			b.WriteString(f[:r.IntN(len(f))])
		case 4:
			b.WriteString(f)
		case 5:
			cut := r.IntN(len(f))
			b.WriteString(f[:cut] + []string{"\x1b[31m", "\x1b[0m\x1b[1;2m", "\r", "\b"}[r.IntN(4)] + f[cut:])
		}
	}
	return b.String()
}

// chunks cuts a text at random places, most bytes apart at most.
func chunks(r *rand.Rand, text string, most int) []string {
	var all []string
	for len(text) > 0 {
		n := min(len(text), 1+r.IntN(most))
		all = append(all, text[:n])
		text = text[n:]
	}
	return all
}

// FuzzWriter: whatever the value, the text and the cuts, the value is not in
// what comes out, and lines come out as they do when redacted whole.
func FuzzWriter(f *testing.F) {
	f.Add("hunter2-password", "a hunter2-pass", "word\n", uint64(1))
	f.Add("abcabcabc", "abcabcabcabc\x1b[1mabc", "\rabc", uint64(2))
	f.Add("line one of it\nab\nline three 33", "x\nline one of it\nab\n", "\n", uint64(3))
	f.Add("ab\ncd\nef", "ab\n\x1b]0;cd", "ab\ncd\nef", uint64(4))
	f.Fuzz(func(t *testing.T, value, before, after string, seed uint64) {
		if strings.ContainsAny(value, "[]:") || strings.Contains("masked S0 Svalue", value) {
			return // a mask next to other text could be taken for it
		}
		var set secret.Set
		_ = set.Add(secret.New("S0", "test", []byte(value)))
		x := index.Compile(set)
		if len(x.Weak()) > 0 || value == "" {
			return
		}
		text := before + value + after + "\n" + before + after
		r := rand.New(rand.NewPCG(seed, 1))
		red := New()
		red.SetIndex(x)
		var whole strings.Builder
		for line := range strings.SplitAfterSeq(text, "\n") {
			whole.WriteString(red.String(line))
		}
		for mode, options := range map[string][]Option{"lines": nil, "at once": {Immediately()}} {
			got := redact(t, x, chunks(r, text, 1+int(seed%50)), options...)
			if strings.Contains(got, strings.TrimSpace(value)) {
				t.Errorf("%s: %q got through: %q", mode, value, got)
			}
			if mode == "lines" && !x.Joint() && got != whole.String() {
				t.Errorf("got %q, want %q", got, whole.String())
			}
		}
		if got := red.Bytes([]byte(text)); bytes.Contains(got, []byte(strings.TrimSpace(value))) {
			t.Errorf("whole: %q got through: %q", value, got)
		}
	})
}
