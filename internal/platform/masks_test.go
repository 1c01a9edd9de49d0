package platform

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/org/secure-build/internal/canary"
	"github.com/org/secure-build/internal/secret"
)

// environ is a getenv of a fixed environment.
func environ(pairs ...string) func(string) string {
	env := map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		env[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return env[name] }
}

func setOf(t testing.TB, values ...string) secret.Set {
	t.Helper()
	var set secret.Set
	for i, v := range values {
		if err := set.Add(secret.New(fmt.Sprintf("s%d", i), "test", []byte(v))); err != nil {
			t.Fatal(err)
		}
	}
	return set
}

// told is a runner that was told the masks of these values.
func told(t testing.TB, values ...string) (*GitHubRunner, string) {
	t.Helper()
	var raw, log bytes.Buffer
	p := New(Options{Getenv: environ("GITHUB_ACTIONS", "true"), Raw: &raw, Log: &log})
	if err := p.Mask(setOf(t, values...)); err != nil {
		t.Fatal(err)
	}
	if log.Len() > 0 {
		t.Errorf("got %q in the log, want masks past the redactor only", log.String())
	}
	r := NewGitHubRunner()
	if shown := r.Read(raw.Bytes()); len(shown) > 0 {
		t.Errorf("got %d bytes of the masks shown in the log: %.200q", len(shown), shown)
	}
	if len(r.Errors) > 0 || len(r.Commands) > 0 {
		t.Errorf("got errors %v and commands %v, want masks only", r.Errors, r.Commands)
	}
	return r, raw.String()
}

const (
	alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	anything     = alphanumeric + `!"#$%&'()*+,-./:;<=>?@[\]^_{|}~` + "` \t"
	beyond       = "äöüßéñ€中文日本語Жד😀🔑"
)

// randomSecret makes values of every kind that people have.
func randomSecret(r *rand.Rand, seed *rand.ChaCha8) string {
	pick := func(alphabet string, n int) string {
		runes, b := []rune(alphabet), strings.Builder{}
		for range n {
			b.WriteRune(runes[r.IntN(len(runes))])
		}
		return b.String()
	}
	made := func(v []byte, err error) string { return string(v) }
	switch r.IntN(10) {
	case 0:
		return made(canary.Token(seed))
	case 1:
		return made(canary.Key(seed))
	case 2:
		return made(canary.Document(seed))
	case 3: // of several lines, with both line ends, indented, and a trivial line
		var lines []string
		for range []int{2, 5, 9, 20}[r.IntN(4)] {
			lines = append(lines, pick(" ", r.IntN(4))+"k7"+pick(alphanumeric+"!$%&'()*+-./<>?@\\^_|~", 8+r.IntN(100))+"x")
		}
		lines[1] = pick("{}[]3", 1)
		return strings.Join(lines, []string{"\n", "\r\n"}[r.IntN(2)])
	case 4:
		return "k1" + pick(alphanumeric+beyond, 8+r.IntN(40))
	case 5: // a beginning that comes again and again
		return strings.Repeat(pick(alphanumeric, 1+r.IntN(5))+"aB", 3+r.IntN(5)) + pick(alphanumeric+"+/=", r.IntN(6)) + "z1"
	case 6: // a long one on one line, as a JWT
		return "eyJ" + pick(alphanumeric+"-_", 30) + "." + pick(alphanumeric+"-_", 100+r.IntN(900))
	case 7: // what the runner stumbles over
		return "x" + pick(anything, 8+r.IntN(20)) + []string{"&+", "&", "%0A", "%25", "%", `\`, `"`, "::", "]"}[r.IntN(9)]
	case 8: // JSON on one line
		b, _ := json.Marshal(map[string]string{"password": pick(anything+beyond, 20), "token": pick(alphanumeric, 20)})
		return string(b)
	}
	return "s" + pick(anything, 10+r.IntN(50)) + "e"
}

// The runner, told what we print, shows no form of any secret, in lines that
// have other text before and after. Each round has secrets of its own.
func TestGitHubMasksHold(t *testing.T) {
	t.Parallel()
	count := 1000
	if testing.Short() {
		count = 200
	}
	const together = 4
	for round := range count / together {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			seed := rand.NewChaCha8([32]byte{byte(round), byte(round >> 8), 7})
			r := rand.New(seed)
			var secrets []string
			for range together {
				secrets = append(secrets, randomSecret(r, seed))
			}
			runner, _ := told(t, secrets...)
			for _, s := range secrets {
				for _, f := range canary.Forms([]byte(s)) {
					if shown := runner.Read(f.Text); f.Shows(shown) {
						t.Errorf("round %d: %q as %s is shown: %q", round, s, f.Name, shown)
					}
				}
			}
			for _, l := range strings.Split(trivial, "\n") {
				if shown := string(runner.Read([]byte(l + "\n"))); shown != l+"\n" {
					t.Errorf("round %d: got %q, want %q as it was (secrets %q)", round, shown, l, secrets)
				}
			}
		})
	}
}

// trivial are lines of a log that no mask may touch.
const trivial = `{
}
[
3
true
false
null
-----BEGIN PRIVATE KEY-----
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
  "credentials": {
"type": "service_account",
apiVersion: v1
#9 [2/5] RUN --mount=type=secret,id=npm_token npm ci
#9 0.412 added 231 packages in 3s
&quot; &#34; &amp; \u0026 %20 %0A \n \\n
pushed registry.example.com/team/app:1.2@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08`

// Without us a runner that knows the value shows it in many forms: the test
// above can fail.
func TestGitHubAloneShows(t *testing.T) {
	v, err := canary.Key(rand.NewChaCha8([32]byte{9}))
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for _, r := range Catches(GitHub, v) {
		shown[r.Form] = !r.Masked
	}
	for form, want := range map[string]bool{
		"raw": false, "line": false, "base64": false, "json": false, "percent": false,
		"hex": true, "base64 unpadded": true, "base64 in rows": true, "utf-16le": true, "percent lower case": true,
	} {
		if got, ok := shown[form]; !ok || got != want {
			t.Errorf("%s: got shown=%v (known: %v), want %v", form, got, ok, want)
		}
	}
}

func TestTrivialValuesAreNotMasked(t *testing.T) {
	for _, v := range []string{
		"", " ", "3", "{", "true", "admin", "abc12", "localhost", "aaaaaaaaaaaa", "{\n}\n", "[\n3\n]",
		"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n", "password", "---\n...\n",
	} {
		r, raw := told(t, v)
		for _, p := range r.Masker.Patterns() {
			if len(p) < minMask || v == "" {
				t.Errorf("%q: got the pattern %q", v, p)
			}
		}
		for _, l := range strings.Split(trivial+"\n"+v, "\n") {
			if shown := string(r.Read([]byte(l + "\n"))); shown != strings.ReplaceAll(l, "\r", "\n")+"\n" {
				t.Errorf("%q: got %q, want %q as it was (told %q)", v, shown, l, raw)
			}
		}
	}
}

// The text of a command holds no line break, and means what it meant.
func TestMasksAreEscaped(t *testing.T) {
	const v = "p%0Aw%25d%::x\ty\\n%%"
	r, raw := told(t, v)
	if !strings.HasPrefix(raw, "::add-mask::p%250Aw%2525d%25::x\ty\\n%25%25\n") {
		t.Errorf("got %.80q", raw)
	}
	if got := string(r.Read([]byte("is " + v + ".\n"))); got != "is ***.\n" {
		t.Errorf("got %q, want it masked", got)
	}
}

func TestMaskTellsNobodyElse(t *testing.T) {
	values := []string{"hunter2-hunter2-x9", "{\n  \"a\": \"b-k-3-l-9-x-7\"\n}"}
	for name, env := range map[string]func(string) string{
		"gitlab":            environ("GITLAB_CI", "true"),
		"gitlab-ci-local":   environ("GITLAB_CI", "false", "GITHUB_ACTIONS", "true"),
		"terminal":          environ(),
		"unknown":           environ("CI", "true", "GITHUB_ACTIONS", "false"),
		"github, no runner": environ("GITHUB_ACTIONS", "true"),
	} {
		var log, raw bytes.Buffer
		o := Options{Getenv: env, Log: &log, Raw: &raw}
		if strings.HasPrefix(name, "github") {
			o.Raw = nil
		}
		if err := New(o).Mask(setOf(t, values...)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if log.Len()+raw.Len() > 0 {
			t.Errorf("%s: got %q and %q, want nothing printed", name, log.String(), raw.String())
		}
	}
}

// A value within a value is masked where it stands alone, as the redactor does.
func TestFieldsAreMasked(t *testing.T) {
	r, _ := told(t, "postgres://app:k3y-Of-The-db-91@db.local:5432/app")
	if got := string(r.Read([]byte("PGPASSWORD=k3y-Of-The-db-91 psql\n"))); got != "PGPASSWORD=*** psql\n" {
		t.Errorf("got %q", got)
	}
	if got := string(r.Read([]byte("connecting to db.local:5432\n"))); got != "connecting to db.local:5432\n" {
		t.Errorf("got %q", got)
	}
}

// One secret may be another one, encoded: here in UTF-16 and base64.
func TestSecretsThatEncodeOneAnother(t *testing.T) {
	const encoded = "aAB1AG4AdABlAHIAMgAtAGgAdQBuAHQAZQByADIALQB4ADkA"
	r, _ := told(t, "hunter2-hunter2-x9", encoded)
	if got := string(r.Read([]byte("is " + encoded + ".\n"))); got != "is ***.\n" {
		t.Errorf("got %q, want it masked", got)
	}
}

// The runner holds every line of the job against every mask, so there may not
// be too many.
func TestMasksAreFew(t *testing.T) {
	lines := strings.Split(strings.Repeat("k3Y-of-Many-Lines-", 200), "-")
	for i := range lines {
		lines[i] = fmt.Sprintf("%s'%dx&%dy", lines[i], 1000+i, i)
	}
	for _, tt := range []struct {
		value string
		most  int
	}{
		{"hunter2-hunter2-x9", 30},
		{"hunter2+/=&<>\"'\\x9 ü", 60},
		{strings.Join(lines, "\n"), 8 * len(lines)},
	} {
		_, raw := told(t, tt.value)
		if n := strings.Count(raw, "\n"); n > tt.most {
			t.Errorf("%.30q: got %d masks, want at most %d", tt.value, n, tt.most)
		}
	}
}

func FuzzGitHubMask(f *testing.F) {
	for _, s := range []string{"x&+", "abc&+", "a\nb\r\n", "p%0Ass::word", "\xff\xfe12345678", "\x00\x00\x00\x00\x00\x00\x00", "##[add-mask]ab]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, v string) {
		r, _ := told(t, v)
		for _, p := range r.Masker.Patterns() {
			if len(p) < minMask {
				t.Errorf("got the pattern %q", p)
			}
		}
		// What the index takes for a secret on one line is hidden.
		if trimmed := strings.TrimSpace(v); !strings.ContainsAny(trimmed, "\r\n") && len(r.Masker.Patterns()) > 0 {
			for _, form := range canary.Forms([]byte(trimmed)) {
				if form.Name == "raw" || form.Name == "hex" {
					if shown := r.Read(form.Text); form.Shows(shown) {
						t.Errorf("%s is shown: %q", form.Name, shown)
					}
				}
			}
		}
	})
}

func BenchmarkGitHubMask(b *testing.B) {
	seed := rand.NewChaCha8([32]byte{1})
	r := rand.New(seed)
	var values []string
	for range 50 {
		values = append(values, randomSecret(r, seed))
	}
	set := setOf(b, values...)
	for b.Loop() {
		var raw bytes.Buffer
		p := New(Options{Getenv: environ("GITHUB_ACTIONS", "true"), Raw: &raw})
		if err := p.Mask(set); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(bytes.Count(raw.Bytes(), []byte("\n"))), "masks")
		b.ReportMetric(float64(raw.Len()), "bytes")
	}
}
