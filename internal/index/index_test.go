package index

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"html"
	"log/slog"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/org/secure-build/internal/secret"
)

func compile(t testing.TB, values ...string) *Index {
	t.Helper()
	var set secret.Set
	for i, v := range values {
		if err := set.Add(secret.New(fmt.Sprintf("s%d", i), fmt.Sprintf("secrets.yaml#s%d", i), []byte(v))); err != nil {
			t.Fatal(err)
		}
	}
	return Compile(set)
}

// found lists the encodings found in text, each once.
func found(x *Index, text string, want Class) []string {
	var names []string
	x.Each([]byte(text), want, func(m Match) bool {
		if !slices.Contains(names, m.Encoding) {
			names = append(names, m.Encoding)
		}
		return true
	})
	slices.Sort(names)
	return names
}

// covered says whether the union of the matches covers all of form, which
// stands in text at offset at.
func covered(x *Index, text string, at, size int) bool {
	marks := make([]bool, len(text))
	x.Each([]byte(text), Text, func(m Match) bool {
		for i := m.Start; i < m.End; i++ {
			marks[i] = true
		}
		return true
	})
	return !slices.Contains(marks[at:at+size], false)
}

func utf16Bytes(s string, big bool) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		if big {
			b = append(b, byte(u>>8), byte(u))
		} else {
			b = append(b, byte(u), byte(u>>8))
		}
	}
	return string(b)
}

// realForms are what the real encoders write for s.
func realForms(s string) map[string][]string {
	std, b64url := base64.StdEncoding, base64.URLEncoding
	js, _ := json.Marshal(s)
	var x strings.Builder
	_ = xml.EscapeText(&x, []byte(s))
	return map[string][]string{
		"raw":            {s},
		"base64":         {std.EncodeToString([]byte(s)), base64.RawStdEncoding.EncodeToString([]byte(s))},
		"base64url":      {b64url.EncodeToString([]byte(s)), base64.RawURLEncoding.EncodeToString([]byte(s))},
		"hex":            {hex.EncodeToString([]byte(s)), strings.ToUpper(hex.EncodeToString([]byte(s)))},
		"url":            {url.QueryEscape(s), url.PathEscape(s), strings.ReplaceAll(url.QueryEscape(s), "+", "%20"), url.UserPassword("", s).String()[1:]},
		"json":           {inside(string(js)), strings.ReplaceAll(inside(string(js)), "/", `\/`)},
		"go":             {inside(strconv.Quote(s)), inside(strconv.QuoteToASCII(s))},
		"xml":            {x.String(), html.EscapeString(s)},
		"utf-16le":       {utf16Bytes(s, false)},
		"utf-16be":       {utf16Bytes(s, true)},
		"shell":          {strings.ReplaceAll(s, "'", `'\''`)},
		"backslash":      {strings.ReplaceAll(s, `\`, `\\`), strings.NewReplacer(`\`, `\\`, ":", `\:`).Replace(s)},
		"each-character": {eachByte("%%%02X", s), eachByte("%%%02x", s), eachByte(`\x%02x`, s)},
		"base64-twice":   {std.EncodeToString([]byte(std.EncodeToString([]byte(s))))},
	}
}

func eachByte(verb, s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, verb, s[i])
	}
	return b.String()
}

func TestACharacterAtATime(t *testing.T) {
	x := compile(t, "x8Kq2mN4vB7zL1pR9tW3")
	for _, verb := range []string{`\u%04x`, `\u%04X`, "&#%d;", "&#x%x;", "&#x%X;", `\x%02X`, "%%%02x"} {
		if got := found(x, "pw = "+eachByte(verb, "x8Kq2mN4vB7zL1pR9tW3"), Blob); len(got) == 0 {
			t.Errorf("%s: not found", verb)
		}
	}
}

func TestBase64OfEscapes(t *testing.T) {
	const value = `pa"ss'w\ord/<&>+x`
	x := compile(t, value)
	for _, text := range []string{
		`{"password":` + strconv.Quote(value) + `}`,
		"postgres://app:" + url.QueryEscape(value) + "@db/app",
		"export PW='" + strings.ReplaceAll(value, "'", `'\''`) + "'",
	} {
		for shift := range 3 {
			if got := found(x, base64.StdEncoding.EncodeToString([]byte("..."[:shift]+text)), Blob); len(got) == 0 {
				t.Errorf("%s, %d bytes off: not found", text, shift)
			}
		}
	}
}

func TestEncodingsOfRealEncoders(t *testing.T) {
	for _, s := range []string{
		"hunter2hunter2", `pa"ss'w\ord/<&>+ é`, "x8Kq2mN4vB7zL1pR9tW3", "a b/c?d=e&f~g!h*(i)", "пароль-секрет", "tab\tand\u2028sep\x7f", "😀smile8",
	} {
		x := compile(t, s)
		for name, forms := range realForms(s) {
			for _, form := range forms {
				text := "before " + form + " after"
				if got := found(x, text, Blob); len(got) == 0 || !covered(x, text, len("before "), len(form)) {
					t.Errorf("%q in %s: %q not found or not covered whole: found %v", s, name, form, got)
				}
				if form != s && name == "hex" && !slices.Contains(found(x, text, Blob), name) {
					t.Errorf("%q: %q is not called %s", s, form, name)
				}
			}
		}
	}
}

func TestBase64AtEveryAlignment(t *testing.T) {
	s := "hunter2-is-a-password?>"
	x := compile(t, s)
	for before := range 7 {
		for after := range 7 {
			plain := strings.Repeat("u", before) + s + strings.Repeat("~", after)
			for name, enc := range map[string]*base64.Encoding{"std": base64.StdEncoding, "url": base64.URLEncoding, "rawstd": base64.RawStdEncoding, "rawurl": base64.RawURLEncoding} {
				once := enc.EncodeToString([]byte(plain))
				if got := found(x, once, Blob); len(got) == 0 {
					t.Errorf("%d before, %d after, %s: not found", before, after, name)
				}
			}
			once := base64.StdEncoding.EncodeToString([]byte(plain))
			for outer := range 3 {
				if got := found(x, base64.StdEncoding.EncodeToString([]byte(strings.Repeat("{", outer)+once+"}")), Blob); len(got) == 0 {
					t.Errorf("%d before, %d after, %d outer: not found in double base64", before, after, outer)
				}
			}
		}
	}
}

func TestWeak(t *testing.T) {
	x := compile(t, "true", "", "admin", "  3 ", "aaaaaaaa", "ChangeMe", "hunter", "hunter2x")
	if got, want := x.Weak(), []string{"s0", "s2", "s3", "s4", "s5"}; !slices.Equal(got, want) {
		t.Errorf("weak: got %v, want %v", got, want)
	}
	if got := found(x, "true admin aaaaaaaa changeme", Text); len(got) > 0 {
		t.Errorf("a weak value was found: %v", got)
	}
}

func TestShortValuesAreAClassOfTheirOwn(t *testing.T) {
	x := compile(t, "q7Xw2k")
	for _, c := range []struct {
		text  string
		class Class
		want  bool
	}{
		{"..q7Xw2k..", Blob, false},
		{"..q7Xw2k..", Text, true},
		{"..q7Xw2k..", Log, true},
		{hex.EncodeToString([]byte("q7Xw2k")), Blob, true},
		{base64.StdEncoding.EncodeToString([]byte("u:q7Xw2k")), Blob, false}, // 7 characters
		{base64.StdEncoding.EncodeToString([]byte("u:q7Xw2k")), Text, true},
	} {
		if got := x.Has([]byte(c.text), c.class); got != c.want {
			t.Errorf("%q, class %d: got %v, want %v", c.text, c.class, got, c.want)
		}
	}
}

func TestAnIndexCannotBePrinted(t *testing.T) {
	const value = "hunter2hunter2"
	x := compile(t, value)
	s := x.NewStream(Blob, func(int64, *Pattern) {})
	_, _ = s.Write([]byte("xx" + value))
	var pattern *Pattern
	x.Each([]byte(value), Blob, func(m Match) bool { pattern = m.Pattern; return true })
	type holder struct {
		x  Index
		p  *Index
		s  *Stream
		sv Stream
		e  any
		pt *Pattern
	}
	h := holder{*x, x, s, *s, x, pattern}
	var out strings.Builder
	for _, v := range []any{x, *x, s, *s, h, &h, []any{x, h}, map[string]any{"a": h}, pattern, *pattern, reflect.ValueOf(h)} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		js, _ := json.Marshal(v)
		out.Write(js)
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
	}
	// Slices of bytes are printed as numbers and as hex, too.
	for _, form := range []string{value, "unter2", "104 117 110", "0x68, 0x75", "68 75 6e", hex.EncodeToString([]byte(value))[:8], base64.StdEncoding.EncodeToString([]byte(value))[:8]} {
		if strings.Contains(out.String(), form) {
			t.Errorf("printing shows %q", form)
		}
	}
}

func TestFingerprint(t *testing.T) {
	of := func(key string, values ...string) string {
		var set secret.Set
		for i, v := range values {
			if err := set.Add(secret.New(fmt.Sprint("id", i), "origin", []byte(v))); err != nil {
				t.Fatal(err)
			}
		}
		return string(Compile(set).Fingerprint([]byte(key)))
	}
	one := of("key", "a-secret-value", "another-one")
	if one != of("key", "a-secret-value", "another-one") {
		t.Error("the same values have another fingerprint")
	}
	for name, other := range map[string]string{
		"another key":   of("other", "a-secret-value", "another-one"),
		"another value": of("key", "a-secret-value", "another-two"),
		"one less":      of("key", "a-secret-value"),
		"another order": of("key", "another-one", "a-secret-value"),
		"none":          of("key"),
	} {
		if other == one {
			t.Errorf("%s: the same fingerprint", name)
		}
	}
}
