package canary

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func values(t testing.TB) map[string][]byte {
	t.Helper()
	r := rand.NewChaCha8([32]byte{1})
	made := map[string][]byte{}
	for name, make := range map[string]func(io.Reader) ([]byte, error){"token": Token, "key": Key, "document": Document} {
		v, err := make(r)
		if err != nil {
			t.Fatal(err)
		}
		made[name] = v
	}
	made["unicode"] = []byte("pässwörd-日本語-😀-0123")
	made["overlapping"] = []byte("abcabcabcabd1abcabcabcabd1")
	return made
}

func TestCanariesAreOfTheirKind(t *testing.T) {
	v := values(t)
	if tok := v["token"]; len(tok) != 40 || bytes.ContainsAny(tok, "\r\n") || !bytes.Equal(tok, bytes.TrimSpace(tok)) {
		t.Errorf("got %q, want 40 characters on one line, no blanks around", tok)
	}
	for _, c := range awkward {
		if !bytes.ContainsRune(v["token"], c) {
			t.Errorf("got a token without %q: %q", c, v["token"])
		}
	}
	if block, rest := pem.Decode(v["key"]); block == nil || len(rest) > 0 {
		t.Errorf("got no PEM: %q", v["key"])
	}
	if !json.Valid(v["document"]) || bytes.Count(v["document"], []byte("\n")) < 4 {
		t.Errorf("got no JSON of several lines: %q", v["document"])
	}
	for _, make := range []func(io.Reader) ([]byte, error){Token, Key, Document} {
		if _, err := make(iotest.ErrReader(io.ErrClosedPipe)); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("got %v, want the reader's error", err)
		}
		a, _ := make(rand.NewChaCha8([32]byte{2}))
		b, _ := make(rand.NewChaCha8([32]byte{3}))
		if bytes.Equal(a, b) {
			t.Errorf("got the same canary twice: %q", a)
		}
	}
}

// Every stretch that a form counts stands in its text, and seeing the text, or
// any window of such a stretch, is seeing the value.
func TestShows(t *testing.T) {
	for name, v := range values(t) {
		seen := map[string]bool{}
		for _, f := range Forms(v) {
			if seen[f.Name] {
				t.Errorf("%s: two forms are called %q", name, f.Name)
			}
			seen[f.Name] = true
			if !f.Shows(f.Text) {
				t.Errorf("%s: %s: not seen in its own text", name, f.Name)
			}
			if len(f.decided) == 0 {
				t.Errorf("%s: %s: decides nothing", name, f.Name)
			}
			clean := bytes.Clone(f.Text)
			for _, d := range f.decided {
				if !bytes.Contains(f.Text, d) {
					t.Errorf("%s: %s: %q is not in %q", name, f.Name, d, f.Text)
				}
				i := (len(d) - min(window, len(d))) / 2
				if part := d[i:min(i+window, len(d))]; !f.Shows([]byte("at "+string(part)+"!")) && len(part) == window {
					t.Errorf("%s: %s: %q is not seen", name, f.Name, part)
				}
				clean = bytes.ReplaceAll(clean, d, []byte("***"))
			}
			if f.Shows(clean) {
				t.Errorf("%s: %s: seen in %q, where all is masked", name, f.Name, clean)
			}
			if f.Shows(nil) || f.Shows([]byte("-----BEGIN PRIVATE KEY-----\n{\n  }\n")) {
				t.Errorf("%s: %s: seen where nothing of it is", name, f.Name)
			}
		}
	}
}

// A few forms as other programs gave them.
func TestFormsAgreeWithOtherPrograms(t *testing.T) {
	v := `a"b'c<d>&e/f\g h`
	want := map[string]string{
		"base64":               "YSJiJ2M8ZD4mZS9mXGcgaA==", // printf %s "$V" | base64
		"base64 of user:value": base64.StdEncoding.EncodeToString([]byte("user:" + v)),
		"percent":              "a%22b%27c%3Cd%3E%26e%2Ff%5Cg%20h", // python: quote(v, safe="")
		"percent with +":       "a%22b%27c%3Cd%3E%26e%2Ff%5Cg+h",   // python: quote_plus(v)
		"json":                 `a\"b'c<d>&e/f\\g h`,               // python: json.dumps(v)
		"json for html":        `a\"b'c\u003cd\u003e\u0026e/f\\g h`,
		"html":                 `a&#34;b&#39;c&lt;d&gt;&amp;e/f\g h`,
		"shell":                `a"b'\''c<d>&e/f\g h`,
		"shell, python's":      `a"b'"'"'c<d>&e/f\g h`, // python: shlex.quote(v)
		"go":                   `a\"b'c<d>&e/f\\g h`,
		"hex":                  "61226227633c643e26652f665c672068", // printf %s "$V" | xxd -p
	}
	found := 0
	for _, f := range Forms([]byte(v)) {
		if w, ok := want[f.Name]; ok {
			found++
			if !strings.Contains(string(f.Text), w) {
				t.Errorf("%s: got %q, want %q in it", f.Name, f.Text, w)
			}
		}
	}
	if found != len(want) {
		t.Errorf("got %d of the %d forms", found, len(want))
	}
}

func TestTest(t *testing.T) {
	v := values(t)["token"]
	naive := func(log []byte) []byte { return bytes.ReplaceAll(log, v, []byte("***")) }
	for _, r := range Test(v, naive) {
		if want := r.Form == "raw"; r.Masked != want {
			t.Errorf("%s: got masked=%v, want %v", r.Form, r.Masked, want)
		}
	}
	nothing := func(log []byte) []byte { return log }
	if slices.ContainsFunc(Test(v, nothing), func(r Result) bool { return r.Masked }) {
		t.Error("got a form masked by nothing")
	}
	all := func([]byte) []byte { return nil }
	if slices.ContainsFunc(Test(v, all), func(r Result) bool { return !r.Masked }) {
		t.Error("got a form that shows in nothing")
	}
}
