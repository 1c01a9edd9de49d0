package index

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// alphabets are what generators of passwords and tokens draw from.
var alphabets = map[string]string{
	"letters and digits": letters[:62], "base64": letters, "lower case": letters[:26], "upper case": letters[26:52], "letters": letters[:52],
	"hex": "0123456789abcdef", "base32": letters[26:52] + "234567", "lower case and digits": letters[:26] + "0123456789",
	"a few signs": letters[:62] + "!@#$%^&*", "many signs": letters[:62] + "!@#$%^&*()[]{}:;,.?~", "all of ASCII": letters[:62] + "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
	"lower case, digits and signs": letters[:36-10] + "0123456789!@#$%^&*-_",
}

func drawn(r *rand.Rand, alphabet string, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(b)
}

// TestPartsOfWhatIsRandom: of long values, whatever they are drawn from, a
// prefix and a suffix of 16 bytes are found, and so is a piece of any longer one.
// Some that happen to look like text are not: what else begins like that may be a
// word before the value (TestWordsAroundAreNoParts).
func TestPartsOfWhatIsRandom(t *testing.T) {
	const n = 60
	for name, alphabet := range alphabets {
		r := rand.New(rand.NewPCG(3, 9))
		missed := map[string]int{}
		for range n {
			v := drawn(r, alphabet, 64)
			x := compile(t, v)
			for part, text := range map[string]string{"prefix of 16": v[:16], "suffix of 16": v[48:], "prefix of 20": v[:20], "suffix of 32": v[32:]} {
				if !x.Has([]byte("x = "+text+"\n"), Blob) {
					missed[part]++
				}
			}
		}
		for part, m := range missed {
			if m > n/15 {
				t.Errorf("%s: %s is missed %d times of %d", name, part, m, n)
			}
		}
	}
}

// TestRealTextsHardlyTell: a value may hold a line or a name that any other file
// has. Of the windows in Go's own sources, few tell, and most of these few are
// checksums and test data.
func TestRealTextsHardlyTell(t *testing.T) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	windows, told := 0, 0
	for _, dir := range []string{"src/net", "src/cmd/go", "src/encoding", "doc"} {
		_ = filepath.WalkDir(filepath.Join(strings.TrimSpace(string(root)), dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || strings.Contains(path, "testdata") || strings.HasSuffix(path, "_test.go") {
				return nil
			}
			text, err := os.ReadFile(path)
			if err != nil || bytes.IndexByte(text, 0) >= 0 {
				return err
			}
			for i := 0; i+rawPart <= len(text); i += 5 {
				windows++
				if telling(text[i : i+rawPart]) {
					told++
				}
			}
			return nil
		})
	}
	if windows < 100_000 || told > windows/200 {
		t.Errorf("%d of %d windows tell", told, windows)
	}
	t.Logf("%d of %d windows tell", told, windows)
}

// TestWordsDoNotTell is about what stands in settings beside values.
func TestWordsDoNotTell(t *testing.T) {
	for _, text := range []string{
		"abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz0123456789", "internationalization", "MaxIdleConnsPerHost",
		"https://npm.example.com/@babel/core/-/core-7.24.0.tgz", "kubernetes.io/service-account-token", `{"type":"service_account","project_id":"my-project"}`,
		"<artifactId>maven-compiler-plugin</artifactId>", `<settings xmlns="http://maven.apache.org/SETTINGS/1.0.0">`, "jdbc:postgresql://db.internal.example.com:5432/app?sslmode=require",
		"AWS_SECRET_ACCESS_KEY=${AWS_SECRET_ACCESS_KEY}", "SPRING_DATASOURCE_PASSWORD={{password}}", "Content-Type:application/json;charset=utf-8", "/usr/lib/x86_64-linux-gnu/libcrypto.so.3",
		`"private_key":"-----BEGIN PRIVATE KEY-----"`, "certificate-authority-data:", "XMLHttpRequestEventTarget", "${{secrets.GITHUB_TOKEN}}", "func(w_http.ResponseWriter,r_*http.Request){",
	} {
		for i := 0; i+rawPart <= len(text); i++ {
			if w := text[i : i+rawPart]; telling([]byte(w)) {
				t.Errorf("%q tells", w)
			}
		}
	}
}

// TestWordsAroundAreNoParts: what stands before and behind a random part of a value
// is known to others, in whatever encoding.
func TestWordsAroundAreNoParts(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for i := range 300 {
		random := make([]byte, 40)
		for k := range random {
			random[k] = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"[r.IntN(32)]
		}
		for _, around := range [][2]string{
			{"AGE-SECRET-KEY-1", ""}, {"my-company-token-", ""}, {"", "-in-production-only"}, {"github_pat_", ""}, {"pypi-AgEIcHlwaS5vcmc", ""}, {"sk-ant-api03-", ""},
		} {
			b := newBuilder()
			b.secret("x", "", "", []byte(around[0]+string(random)+around[1]))
			text := around[0] + "... " + around[1]
			for _, form := range []string{text, base64.StdEncoding.EncodeToString([]byte(text)), hex.EncodeToString([]byte(text))} {
				for _, n := range b.needles {
					if n.class != Short && bytes.Contains([]byte(form), n.bytes) {
						t.Fatalf("%d: %s of %q is in %q: %q", i, n.pattern.Encoding, around, form, n.bytes)
					}
				}
			}
		}
	}
}
