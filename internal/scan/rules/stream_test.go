package rules

import (
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// everything is a text with one of each rule's shape in it, amid real text.
func everything(t testing.TB, seed uint64) string {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 2))
	filler, err := os.ReadFile(filepath.Join(goroot(t), "src", "net", "http", "server.go"))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, d := range definitions(t) {
		if d.regex != "" {
			text, _, _ := sample(t, rnd, d)
			b.WriteString(text)
			at := rnd.IntN(len(filler) - 900)
			b.Write(filler[at : at+rnd.IntN(900)])
		}
	}
	for _, key := range keys() {
		b.WriteString("\n" + key)
	}
	return b.String()
}

// cut writes a text in pieces.
func cut(r *Rules, path, text string, size func() int) []Hit {
	var list []Hit
	s := r.Stream(path, func(h Hit) { list = append(list, h) })
	for text != "" {
		n := min(size(), len(text))
		_, _ = s.Write([]byte(text[:n]))
		text = text[n:]
	}
	_ = s.Close()
	return list
}

// TestCutAnywhere: each hit comes once, however the stream is cut.
func TestCutAnywhere(t *testing.T) {
	r, err := New(Options{Generic: true})
	if err != nil {
		t.Fatal(err)
	}
	rounds := uint64(8)
	if testing.Short() {
		rounds = 2
	}
	for seed := range rounds {
		text := everything(t, seed)
		for len(text) < 500<<10 { // several times what is looked at together
			text += text
		}
		rnd := rand.New(rand.NewPCG(seed, 3))
		want := hits(r, "x.tf", text)
		if len(want) < 200 {
			t.Fatalf("only %d hits", len(want))
		}
		for name, size := range map[string]func() int{
			"bytes":  func() int { return 1 },
			"small":  func() int { return 1 + rnd.IntN(40) },
			"pieces": func() int { return 1 + rnd.IntN(70_000) },
			"chunks": func() int { return chunk },
		} {
			if diff := cmp.Diff(want, cut(r, "x.tf", text, size)); diff != "" {
				t.Fatalf("seed %d, %s: %s", seed, name, diff)
			}
		}
	}
}

// TestAtEveryBorder moves tokens, and what has to stand near them, over the
// borders of what is looked at together.
func TestAtEveryBorder(t *testing.T) {
	r, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	filler := strings.Repeat("0123456789 ", 20<<10)
	for name, text := range map[string]struct {
		before, token string
	}{
		"github-pat":                      {" ", "ghp" + "_" + mixed},
		"airtable-personnal-access-token": {" airtable " + filler[:450] + " ", "pat" + mixed[:14] + "." + strings.Repeat("4f1a9c07", 8)},
		"facebook-access-token":           {" facebook " + filler[:180] + " ", "123456789012345|" + mixed[:30]},
		"azure-ad-client-secret":          {" ", "x1y" + "8Q~" + mixed[:33]},
	} {
		token := text.before + text.token
		for _, border := range []int{chunk, 2 * chunk} {
			for at := border - len(token) - 5; at < border+5; at += 1 + len(token)/80 {
				got := hits(r, "", filler[:at]+token+filler[10:r.ahead+chunk])
				if len(got) != 1 || got[0].Rule != name || got[0].Offset != int64(at+len(text.before)) {
					t.Fatalf("%s at %d: got %+v", name, at, got)
				}
			}
		}
	}
}

// TestWindowEnds: what is cut off by our window is not taken for the end of a
// token.
func TestWindowEnds(t *testing.T) {
	r, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	long := "123456789012345|" + mixed + mixed // too long for the rule
	for n := range 2 * around {
		if got := hits(r, "", "facebook"+strings.Repeat(" ", n)+long+" end"); len(got) > 0 {
			t.Fatalf("%d bytes after the keyword: %+v", n, got)
		}
	}
}

// originals are the rules' expressions as gitleaks has them.
var originals sync.Map

func original(r *rule) *regexp.Regexp {
	re, ok := originals.Load(r.id)
	if !ok {
		re, _ = originals.LoadOrStore(r.id, regexp.MustCompile(r.regex))
	}
	return re.(*regexp.Regexp)
}

// reference searches the whole text with gitleaks' own expressions.
func reference(r *Rules, text string, missed func(*rule, []int)) {
	var got []Hit
	s := r.Stream("", func(h Hit) { got = append(got, h) })
	_, _ = s.Write([]byte(text))
	_ = s.Close()
	buf := []byte(text)
	for _, rule := range r.rules {
		if len(rule.only.patterns) > 0 {
			continue
		}
		re := original(rule)
	matches:
		for _, m := range re.FindAllSubmatchIndex(buf, -1) {
			a, b := rule.secret(m)
			c := candidate{secret: buf[a:b], buf: buf, from: m[0], to: m[1]}
			if entropy(c.secret) <= max(rule.entropy, leastEntropy) || !c.confirmed(rule.id) || c.allowed(r.allow) || c.allowed(rule.lists) {
				continue
			}
			if !containsNear(buf[max(0, a-64):min(len(buf), b+64)], min(a, 64), rule.words) || m[1]-m[0] > around/2 {
				continue // the keyword is far away, or the match long: what our windows leave out
			}
			if rule.id == "jwt" && !strings.HasPrefix(string(c.secret), "eyJ") {
				continue
			}
			for _, h := range got {
				if int64(m[0]) <= h.Offset && h.Offset < int64(m[1]) {
					continue matches
				}
			}
			missed(rule, m)
		}
	}
}

func TestAgainstWholeText(t *testing.T) {
	r, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(1) {
		text := everything(t, 100+seed)
		reference(r, text, func(rule *rule, m []int) {
			t.Errorf("seed %d: %s was missed: %q", seed, rule.id, text[m[0]:m[1]])
		})
	}
}

func FuzzStream(f *testing.F) {
	r, err := Default()
	if err != nil {
		f.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(9, 9))
	for i, d := range definitions(f) {
		if d.regex != "" && i%7 == 0 {
			text, _, _ := sample(f, rnd, d)
			f.Add(text, uint8(i))
		}
	}
	f.Fuzz(func(t *testing.T, text string, size uint8) {
		whole := hits(r, "", text)
		if diff := cmp.Diff(whole, cut(r, "", text, func() int { return 1 + int(size) })); diff != "" {
			t.Error(diff)
		}
		for i, h := range whole {
			if h.Offset < 0 || h.Offset >= int64(len(text)) || i > 0 && whole[i-1].Offset == h.Offset && whole[i-1].Rule == h.Rule {
				t.Errorf("hit %d: %+v", i, h)
			}
		}
		reference(r, text, func(rule *rule, m []int) { t.Errorf("%s was missed at %v", rule.id, m) })
	})
}

// TestMemory: a stream holds no more at the end of a long file than it looks at together.
func TestMemory(t *testing.T) {
	r, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := r.Stream("", func(Hit) {})
	page := []byte(strings.Repeat("key: value, curl -u, airtable = -----BEGIN PRIVATE KEY-----", 1<<10))
	const size = 4 << 20
	for n := 0; n < size; n += len(page) {
		_, _ = s.Write(page)
	}
	if got, want := cap(s.buf), 2*(chunk+r.ahead+behind); got > want {
		t.Errorf("got %d bytes, want at most %d", got, want)
	}
	_ = s.Close()
	if _, err := s.Write(page); err != io.ErrClosedPipe {
		t.Errorf("writing to a closed stream: got %v", err)
	}
}

func TestManyStreamsAtOnce(t *testing.T) {
	r, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	text := everything(t, 1)
	want := hits(r, "", text)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 3 {
				if diff := cmp.Diff(want, cut(r, "", text, func() int { return 1000 })); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
	wg.Wait()
}
