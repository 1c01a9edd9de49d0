package scan

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/org/secure-build/internal/index"
)

func wide(s string, order binary.AppendByteOrder) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = order.AppendUint16(b, u)
	}
	return string(b)
}

// TestWide: what is found in a text is found in UTF-16 too.
func TestWide(t *testing.T) {
	crlf := strings.ReplaceAll(pemKey, "\n", "\r\n")
	line := strings.Split(pemKey, "\n")[1]
	packed := b64(gz(t, noisy()))
	for _, tt := range []struct{ name, text, want string }{
		{"key", pemKey, "key %s"},
		{"key with CRLF, as PowerShell writes it", crlf, "key %s-joined"},
		{"key, indented", strings.ReplaceAll(pemKey, "\n", "\n    "), "key %s-joined"},
		{"a line of a key", line, "key %s-line"},
		{"between other texts", "Straße, naïve: " + line + " — ende", "key %s-line"},
		{"base64", "pw: " + b64([]byte("user:"+password)), "password %s-base64"},
		{"base64 in rows", wrap(b64([]byte(strings.Repeat("u", 50)+password+strings.Repeat("u", 50))), 76, "\r\n"), "password %s-base64"},
		{"hex", fmt.Sprintf("%x", password), "password %s-hex"},
		{"base64 of gzip", "x: " + packed, "password raw"},
		{"base64 of gzip in rows", wrap(packed, 76, "\r\n"), "password raw"},
	} {
		for name, order := range map[string]binary.AppendByteOrder{"utf-16le": binary.LittleEndian, "utf-16be": binary.BigEndian} {
			for _, cut := range []int{0, 1, 3, 64} {
				content := wide("\ufeff"+tt.text, order)
				sc := New(Options{Index: testIndex()})
				sc.cut = cut
				rec := sc.inspect("", bytes.NewReader(tarOf(t, file("before", "nothing"), file("f", content), file("after", strings.Repeat("a\x00", 9)))))
				want := strings.ReplaceAll(tt.want, "%s", name)
				if got := hitsOf(rec); !strings.HasPrefix(got, want+` "f`) || strings.Contains(got, `"after`) || strings.Contains(got, `"before`) {
					t.Errorf("%s, %s, cut at %d: got %q, want %s", tt.name, name, cut, got, want)
				}
				if at := rec.hits; len(at) > 0 && (at[0].offset < 0 || at[0].offset > int64(len(content))) {
					t.Errorf("%s, %s: got offset %d of %d", tt.name, name, at[0].offset, len(content))
				}
			}
		}
	}
}

// TestWideOffset: the offset is that of the first unit.
func TestWideOffset(t *testing.T) {
	line := strings.Split(pemKey, "\n")[1]
	for name, order := range map[string]binary.AppendByteOrder{"utf-16le": binary.LittleEndian, "utf-16be": binary.BigEndian} {
		rec := New(Options{Index: testIndex()}).inspect("", bytes.NewReader(tarOf(t, file("f", wide("12345"+line, order)))))
		if got, want := hitsOf(rec), "key "+name+"-line \"f\"  10\n"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

type wideHit struct {
	at       int64
	encoding string
}

// naiveWide finds long stretches by a regular expression.
func naiveWide(x *index.Index, p []byte) (all []wideHit) {
	stretch := regexp.MustCompile("^(?:\x00?(?:[\x01-\x7f]\x00)*[\x01-\x7f]?)")
	latin := func(b []byte) string { // a rune for each byte
		r := make([]rune, len(b))
		for i, c := range b {
			r[i] = rune(c)
		}
		return string(r)
	}
	for i := 0; i < len(p); {
		n := len([]rune(stretch.FindString(latin(p[i:]))))
		if n < leastWide {
			i += max(n, 1)
			continue
		}
		first := i
		if p[i] == 0 {
			first++
		}
		prefix, unit := "utf-16le", first
		if first > i && first%2 == 1 {
			prefix, unit = "utf-16be", i
		}
		x.Each(bytes.ReplaceAll(p[i:i+n], []byte{0}, nil), index.Blob, func(m index.Match) bool {
			name := prefix
			if m.Encoding != "raw" {
				name += "-" + m.Encoding
			}
			// A part is widened by Each only.
			if !strings.HasSuffix(name, "-part") {
				all = append(all, wideHit{int64(unit + 2*m.Start), name})
			}
			return true
		})
		i += n
	}
	return all
}

// narrowed is what the view finds in a stream that is cut.
func narrowed(x *index.Index, p []byte, cuts func() int) (all []wideHit) {
	n := newNarrow(x, &stream{}, func(at int64, p *index.Pattern) {
		if !strings.HasSuffix(p.Encoding, "-part") {
			all = append(all, wideHit{at, p.Encoding})
		}
	})
	n.rows = nil // which find more
	n.reset(nil, 0)
	for len(p) > 0 {
		c := min(len(p), cuts())
		n.see(bytes.Clone(p[:c]))
		p = p[c:]
	}
	n.end()
	n.close()
	return all
}

func compareWide(t *testing.T, x *index.Index, p []byte, cuts func() int) {
	t.Helper()
	order := func(a, b wideHit) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.encoding, b.encoding)) }
	got, want := narrowed(x, p, cuts), naiveWide(x, p)
	slices.SortFunc(got, order)
	slices.SortFunc(want, order)
	if !slices.Equal(got, want) {
		t.Fatalf("%q: got %v, want %v", p, got, want)
	}
}

// TestNarrowCuts compares the view with a naive one, at random cuts.
func TestNarrowCuts(t *testing.T) {
	x := knows(t, "hunter2-hunter2", "x8Kq2mN4vB7z\nL1pR9tW3k0aY\n")
	r := rand.New(rand.NewPCG(5, 5))
	found := 0
	for range 3000 {
		var p []byte
		for range 1 + r.IntN(6) {
			switch r.IntN(6) {
			case 0:
				p = append(p, make([]byte, r.IntN(40))...)
			case 1:
				p = append(p, wide(strings.Repeat("ab", r.IntN(12)), binary.LittleEndian)...)
			case 2:
				p = append(p, wide("hunter2-hunter2", binary.BigEndian)...)
			case 3:
				p = append(p, wide("x8Kq2mN4vB7z\r\nL1pR9tW3k0aY", binary.LittleEndian)...)
			case 4:
				for range r.IntN(30) {
					p = append(p, "a\x00\x80"[r.IntN(3)])
				}
			case 5:
				p = append(p, fmt.Appendf(nil, "%x", "hunter2-hunter2")...)
			}
		}
		found += len(naiveWide(x, p))
		most := 1 + r.IntN(60)
		compareWide(t, x, p, func() int { return 1 + r.IntN(most) })
	}
	if found < 1000 {
		t.Errorf("only %d are there to be found", found)
	}
}

func FuzzNarrow(f *testing.F) {
	x := knows(f, "hunter2-hunter2", "x8Kq2mN4vB7z\nL1pR9tW3k0aY\n")
	f.Add([]byte("\x00a\x00b\x00\x00"+wide("ab hunter2-hunter2", binary.LittleEndian)), 7)
	f.Add([]byte("=\x00"+wide("hunter2-hunter2", binary.BigEndian)), 1)
	f.Fuzz(func(t *testing.T, p []byte, cut int) {
		compareWide(t, x, p, func() int { return max(1, cut&0xff) })
	})
}
