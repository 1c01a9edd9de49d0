package source

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const testPEM = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIDmb\n+/==\n-----END PRIVATE KEY-----\n"

var yamlPlain = `# a secret comment
db:
  password: "p@ss\"w\\ord '$x"
  port: 5432
  ratio: 0.1
  big: 123456789012345678
  exp: 1.5e+30
  on: true
  off: false
  when: 2024-05-06T07:08:09Z
  pem: |
    ` + strings.ReplaceAll(strings.TrimSuffix(testPEM, "\n"), "\n", "\n    ") + `
  folded: >-
    one
    two
  unicode: "käse ☕ \u0001"
  trailing: "ends in a line break\n"
  spaces: "  both sides  "
  "dotted.key": dotted value
  yes: "on"
  nothing: null
hosts:
  - name: a
    password: first-host
  # a comment in a list
  - name: b
    password: second-host
  - - nested
    - deeper
plain: text
`

const jsonPlain = `{"db": {"password": "p@ss\"w\\ord", "port": 5432, "ratio": 0.1, "big": 123456789012345678, "on": true,
 "pem": "-----BEGIN-----\nabc\n-----END-----\n", "html": "<a href=\"/x?y&z\">", "unicode": "k\u00e4se \u2615 \u0001"},
 "list": [1, "two", {"three": 3.5}], "a.b": "dotted", "plain": "text"}`

const dotenvPlain = "# a comment\nTOKEN=abc=def==\nMULTI=one\\ntwo\\nthree\nQUOTED=\"with quotes\"\nSPACES=  x  \nexport EXPORTED=yes-it-is\nCR=carriage\r\nHASH=a#b\n"

const iniPlain = "; head\ntop = top-value\n[db]\n; about the password\npassword = p@ss=word\nport = 5432\n[quoted section]\nkey = \"in quotes\"\n"

// extracts is a file of every format, each of its values by our key, and the
// path for sops decrypt --extract.
var extracts = []struct {
	file, plain string
	keys        map[string][]any
}{
	{"s.yaml", yamlPlain, map[string][]any{
		"db.password": {"db", "password"}, "db.port": {"db", "port"}, "db.ratio": {"db", "ratio"}, "db.big": {"db", "big"},
		"db.exp": {"db", "exp"}, "db.on": {"db", "on"}, "db.off": {"db", "off"}, "db.when": {"db", "when"}, "db.pem": {"db", "pem"},
		"db.folded": {"db", "folded"}, "db.unicode": {"db", "unicode"}, "db.trailing": {"db", "trailing"}, "db.spaces": {"db", "spaces"},
		"db.yes": {"db", "yes"}, `db."dotted.key"`: {"db", "dotted.key"}, `db.dotted\.key`: {"db", "dotted.key"}, "db.dotted.key": {"db", "dotted.key"},
		"hosts.0.password": {"hosts", 0, "password"}, "hosts.1.password": {"hosts", 2, "password"}, "hosts.2.1": {"hosts", 3, 1},
		`["hosts"][0]["name"]`: {"hosts", 0, "name"}, "plain": {"plain"},
	}},
	{"s.json", jsonPlain, map[string][]any{
		"db.password": {"db", "password"}, "db.port": {"db", "port"}, "db.ratio": {"db", "ratio"}, "db.big": {"db", "big"}, "db.on": {"db", "on"},
		"db.pem": {"db", "pem"}, "db.html": {"db", "html"}, "db.unicode": {"db", "unicode"}, "list.0": {"list", 0}, "list.1": {"list", 1},
		"list.2.three": {"list", 2, "three"}, `"a.b"`: {"a.b"}, "plain": {"plain"},
	}},
	{".env", dotenvPlain, map[string][]any{
		"TOKEN": {"TOKEN"}, "MULTI": {"MULTI"}, "QUOTED": {"QUOTED"}, "SPACES": {"SPACES"}, "export EXPORTED": {"export EXPORTED"}, "CR": {"CR"}, "HASH": {"HASH"},
	}},
	{"s.ini", iniPlain, map[string][]any{
		"DEFAULT.top": {"DEFAULT", "top"}, "db.password": {"db", "password"}, "db.port": {"db", "port"}, "quoted section.key": {"quoted section", "key"},
	}},
	{"tls.key.enc", "\x00\xff binary \r\n\n no end", nil},
}

// TestExtract holds that every value is, byte for byte, what
// `sops decrypt --extract` prints, in every format. The tests of the key
// services hold the same with their keys.
func TestExtract(t *testing.T) {
	w := newWorld(t)
	w.checkExtracts(w.mustLoad, "--age", w.id.Recipient().String())
}

// checkExtracts holds that a file of every format, made by the real sops with
// these flags, is read value by value as `sops decrypt --extract` gives it, and
// as a whole as `sops decrypt` does.
func (w *world) checkExtracts(load func(lines ...string) map[string]string, flags ...string) {
	w.t.Helper()
	w.checkExtractsOf(load, func(name, plain string) { w.encrypt(name, plain, flags...) })
}

func (w *world) checkExtractsOf(load func(lines ...string) map[string]string, encrypt func(name, plain string)) {
	w.t.Helper()
	var lines []string
	want, refs := map[string]string{}, map[string]string{}
	add := func(ref string, command ...string) {
		w.t.Helper()
		out, err := w.sops(command...)
		if err != nil {
			w.t.Fatal(err)
		}
		id := fmt.Sprintf("x%d", len(lines))
		want[id], refs[id] = out, ref
		lines = append(lines, id+"="+filepath.Join(w.dir, ref))
	}
	for _, f := range extracts {
		encrypt(f.file, f.plain)
		add(f.file, "decrypt", f.file)
		for key, path := range f.keys {
			add(f.file+"#"+key, "decrypt", "--extract", extractPath(path), f.file)
		}
	}
	got := load(lines...)
	if len(got) != len(want) {
		w.t.Errorf("%d values for %d refs: %q", len(got), len(want), got["error"])
	}
	for id, value := range want {
		if diff := cmp.Diff(value, got[id]); diff != "" {
			w.t.Errorf("%s (-sops +ours):\n%s", refs[id], diff)
		}
	}
}

func extractPath(path []any) string {
	var text strings.Builder
	for _, p := range path {
		if i, ok := p.(int); ok {
			fmt.Fprintf(&text, "[%d]", i)
		} else {
			fmt.Fprintf(&text, "[%q]", p)
		}
	}
	return text.String()
}

// TestFormats holds which format a name means: sops' own rule, and where sops
// would take anything for binary, what is really there.
func TestFormats(t *testing.T) {
	w := newWorld(t)
	binary := "\x00\x01\xff\xfe binary \r\n\n no line break at the end"
	for _, name := range []string{"tls.key.enc", "blob", "named.json.sops", ".env.binary"} {
		w.encrypt(name, binary)
	}
	dotenv := []string{"--input-type", "dotenv", "--output-type", "dotenv"}
	w.encrypt(".env.production", "A=production\n", dotenv...)
	w.encrypt("stage.env.enc", "A=stage\n", dotenv...)
	w.encrypt("config", "A=config\n", dotenv...)
	w.encrypt("s.enc.yaml", "a: yaml\n")
	w.encrypt("s.yaml.enc", "a: inner\n", "--input-type", "yaml", "--output-type", "yaml")
	tests := []struct {
		line string
		want map[string]string
	}{
		{"tls.key.enc", map[string]string{"tls.key": binary}},
		{"blob", map[string]string{"blob": binary}},
		{"blob,format=binary", map[string]string{"blob": binary}},
		{"x=blob", map[string]string{"x": binary}},
		{"named.json.sops", map[string]string{"named.json": binary}},
		{".env.binary", map[string]string{".env.binary": binary}},
		{".env.production", map[string]string{"A": "production"}},
		{"stage.env.enc", map[string]string{"A": "stage"}},
		{"config,format=dotenv", map[string]string{"A": "config"}},
		{"s.enc.yaml", map[string]string{"a": "yaml"}},
		{"s.yaml.enc", map[string]string{"a": "inner"}},
	}
	for _, tc := range tests {
		if diff := cmp.Diff(tc.want, w.mustLoad(tc.line)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.line, diff)
		}
	}
}
