package rules

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/org/secure-build/internal/finding"
)

// upstream is the digest of config/gitleaks.toml in gitleaks v8.30.1.
const upstream = "e163e53b9e7e8a8511e77271e2b323ed057759542a6d988258afe3a1fa329caf"

func TestRulesAreGitleaksOwn(t *testing.T) {
	sum := sha256.Sum256([]byte(gitleaks))
	if got := hex.EncodeToString(sum[:]); got != upstream {
		t.Errorf("gitleaks.toml was changed: got %s", got)
	}
	defs, global, err := parse(gitleaks)
	if err != nil {
		t.Fatal(err)
	}
	if len(defs) != strings.Count(gitleaks, "\n[[rules]]\n") || len(global) != 1 {
		t.Errorf("got %d rules and %d allow-lists", len(defs), len(global))
	}
	if n := len(global[0].paths) + len(global[0].regexes) + len(global[0].stopwords); n != 25+13+2 {
		t.Errorf("got %d lines in the global allow-list", n)
	}
	r, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(r.rules), len(defs)-2; got != want { // without generic-api-key, and a rule for names
		t.Errorf("got %d rules, want %d", got, want)
	}
}

func TestParse(t *testing.T) {
	defs, global, err := parse("title = \"x\"\n# c\n[allowlist]\npaths = [\n '''a\\.b''', # c\n]\n" +
		"[[rules]]\nid = \"one\"\nregex = '''a'b\"'''\nentropy = 2.5\nsecretGroup = 2\nkeywords = [\"k\", \"l\\\"\"]\n[[rules.allowlists]]\ncondition = \"AND\"\nregexTarget = \"line\"\n")
	if err != nil {
		t.Fatal(err)
	}
	opt := cmp.AllowUnexported(definition{}, allowance{})
	want := []definition{{id: "one", regex: `a'b"`, entropy: 2.5, secretGroup: 2, keywords: []string{"k", `l"`}, allow: []allowance{{all: true, target: "line"}}}}
	if diff := cmp.Diff(want, defs, opt); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]allowance{{paths: []string{`a\.b`}}}, global, opt); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{
		"[extend]\n", "[[rules]]\nnew = 1\n", "[[rules]]\nid = 1\n", "[[rules]]\nregex = 'a'\n", "[[rules]]\nregex = '''a\n",
		"[[rules]]\nkeywords = [\"a\"\n", "[[rules]]\nkeywords = [1]\n", "[[rules.allowlists]]\n", "x = 1\n", "[[rules]]\nid\n",
		"[allowlist]\ncondition = \"XOR\"\n", "[allowlist]\nregexTarget = \"x\"\n",
	} {
		if _, _, err := parse(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(gitleaks[:4000])
	f.Add("[[rules]]\nkeywords = [\"a\", \n")
	f.Fuzz(func(t *testing.T, text string) {
		_, _, _ = parse(text)
	})
}

// one is the first hit in a text.
func one(t *testing.T, path, text string) Hit {
	t.Helper()
	r, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	list := hits(r, path, text)
	if len(list) == 0 {
		return Hit{}
	}
	list[0].Description = ""
	return list[0]
}

const mixed = "aB3dE5gH7jK9mN1pQ2sT4vW6yZ8bC0fR5xL7"

func TestHits(t *testing.T) {
	ghp := "ghp" + "_" + mixed
	aws := "AKIA" + "Q3EGRIWNYX5HT7BZ"[:16]
	hex32 := strings.Repeat("4f1a9c07", 4)
	for _, tt := range []struct {
		name, path, text string
		want             Hit
	}{
		{"a token", "", "x " + ghp + "\n", Hit{Rule: "github-pat", Severity: finding.Error, Offset: 2}},
		{"at the very start", "", ghp, Hit{Rule: "github-pat", Severity: finding.Error}},
		{"an allow comment", "", ghp + " # gitleaks:allow\n", Hit{Rule: "github-pat", Severity: finding.Error}},
		{"in a folder that gitleaks leaves out", "usr/lib/node_modules/x/y.js", ghp, Hit{Rule: "github-pat", Severity: finding.Error}},
		{"in a picture", "a.png", ghp, Hit{Rule: "github-pat", Severity: finding.Error}},
		{"in a rule's allowed path", "node_modules/@octokit/auth-token/README.md", ghp, Hit{}},
		{"too plain", "", "ghp" + "_" + strings.Repeat("x", 36), Hit{}},
		{"too plain for its rule", "", "ghp" + "_" + strings.Repeat("abcd", 9), Hit{}},
		{"too plain for a rule that does not care", "", "sk-ant" + "-api03-" + strings.Repeat("x", 93) + "AA", Hit{}},
		{"too short", "", ghp[:39], Hit{}},
		{"a stop word", "", "ghp" + "_abcdefghijklmnopqrstuvwxyz0123456789", Hit{}},
		{"AWS", "", "key=" + aws + "\n", Hit{Rule: "aws-access-token", Severity: finding.Error, Offset: 4}},
		{"AWS's example", "", "AKIA" + "IOSFODNN7EXAMPLE", Hit{}},
		{"within a word", "", "xx" + aws, Hit{}},
		{"in lower case", "", strings.ToLower(aws), Hit{}},
		{"a word before it", "", "airtable_key = '" + mixed[:17] + "'", Hit{Rule: "airtable-api-key", Severity: finding.Warning, Offset: 16}},
		{"the same, in a folder that gitleaks leaves out", "node_modules/x.js", "airtable_key = '" + mixed[:17] + "'", Hit{}},
		{"a word and a prefix", "", "typeform = tfp" + "_" + mixed + mixed[:23], Hit{Rule: "typeform-api-token", Severity: finding.Error, Offset: 11}},
		{"a keyword elsewhere", "", "airtable\n" + "pat" + mixed[:14] + "." + hex32 + hex32, Hit{Rule: "airtable-personnal-access-token", Severity: finding.Error, Offset: 9}},
		{"the keyword missing", "", "pat" + mixed[:14] + "." + hex32 + hex32, Hit{}},
		{"for another kind of file", "a.txt", `administrator_login_password = "hUnter2-x"`, Hit{}},
		{"for this kind of file", "a.tf", `administrator_login_password = "hUnter2-x"`, Hit{Rule: "hashicorp-tf-password", Severity: finding.Warning, Offset: 31}},
		{"the generic rule is off", "", "api_key = \"" + mixed + "\"", Hit{}},
		{"base64 that begins like Square's", "", "EAAA" + mixed[:22] + "\n", Hit{}},
		{"Square's", "", "# square\nEAAA" + mixed[:22] + "\n", Hit{Rule: "square-access-token", Severity: finding.Error, Offset: 9}},
		{"in the middle of an expression", "", "s='x1y" + "8Q~" + mixed[:33] + "'", Hit{Rule: "azure-ad-client-secret", Severity: finding.Error, Offset: 3}},
	} {
		got := one(t, tt.path, tt.text)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}

func TestGenericIsAskedFor(t *testing.T) {
	r, err := New(Options{Generic: true})
	if err != nil {
		t.Fatal(err)
	}
	text := "api_key = \"" + mixed + "\"\npublicKeyToken = \"" + mixed + "\"\nRUN --mount=type=secret,id=api_key=" + mixed + "\n"
	if a, b := (Options{}).Version(), (Options{Generic: true}).Version(); a == b {
		t.Errorf("both versions are %s", a)
	}
	got := hits(r, "", text)
	if len(got) != 1 || got[0].Rule != generic || got[0].Offset != 11 || got[0].Severity != finding.Warning {
		t.Errorf("got %+v", got)
	}
}

// keys are fresh private keys, made once.
var keys = sync.OnceValue(newKeys)

func newKeys() map[string]string {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	must(err)
	small, err := x509.MarshalPKCS8PrivateKey(ed)
	must(err)
	long, err := rsa.GenerateKey(rand.Reader, 3072)
	must(err)
	edPEM := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: small}))
	rsaPEM := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(long)}))
	inJSON, err := json.Marshal(map[string]string{"private_key": rsaPEM})
	must(err)
	twice, err := json.Marshal(string(inJSON))
	must(err)
	huge := make([]byte, 20<<10) // a PGP key with many subkeys
	_, _ = rand.Read(huge)
	headers := map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,D41D8CD98F00B204"}
	return map[string]string{
		"Ed25519":       edPEM,
		"RSA":           rsaPEM,
		"in JSON":       string(inJSON),
		"in JSON twice": string(twice),
		"CRLF":          strings.ReplaceAll(rsaPEM, "\n", "\r\n"),
		"in YAML":       "key: |\n  " + strings.ReplaceAll(rsaPEM, "\n", "\n  "),
		"in Go":         `"` + strings.ReplaceAll(edPEM, "\n", "\\n\" +\n\t\"") + `"`,
		"huge":          string(pem.EncodeToMemory(&pem.Block{Type: "PGP PRIVATE KEY BLOCK", Bytes: huge})),
		"encrypted":     string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: headers, Bytes: huge[:1200]})),
		"with a remark": strings.Replace(rsaPEM, "-----\n", "-----\nComment: false\n", 1),
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func TestPrivateKeys(t *testing.T) {
	for name, key := range keys() {
		if got := one(t, "usr/lib/python3.11/test/x.pem", key); got.Rule != "private-key" || got.Severity != finding.Error {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	const begin, end = "-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----"
	for name, text := range map[string]string{
		"two lines in a library":  begin + "\x00" + end + "\x00" + strings.Repeat("-----BEGIN X-----\x00-----END X-----\x00", 9) + "-----END EC PRIVATE KEY-----",
		"left out":                begin + "\n" + strings.Repeat(".", 80) + "\n" + end,
		"a placeholder":           begin + "\n" + strings.Repeat("x", 80) + "\n" + end,
		"prose":                   begin + " is what a key begins with, as described in RFC 7468, and it ends with " + end,
		"a certificate":           "-----BEGIN CERTIFICATE-----\n" + strings.Repeat(mixed, 9) + "\n-----END CERTIFICATE-----\n",
		"a public key":            "-----BEGIN PUBLIC KEY-----\n" + strings.Repeat(mixed, 9) + "\n-----END PUBLIC KEY-----\n",
		"no end":                  begin + "\n" + strings.Repeat(mixed, 9),
		"shorter than any key is": begin + "\n" + mixed + "\n" + end + strings.Repeat(" ", 60) + end,
	} {
		if got := one(t, "", text); got.Rule != "" {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}
