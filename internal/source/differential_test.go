package source

import (
	"fmt"
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

// TestExtract holds that every value is, byte for byte, what
// `sops decrypt --extract` prints, in every format.
func TestExtract(t *testing.T) {
	tests := []struct {
		file, plain string
		keys        map[string][]any // our key: the path for --extract
		whole       string
	}{
		{file: "s.yaml", plain: yamlPlain, keys: map[string][]any{
			"db.password": {"db", "password"}, "db.port": {"db", "port"}, "db.ratio": {"db", "ratio"}, "db.big": {"db", "big"},
			"db.exp": {"db", "exp"}, "db.on": {"db", "on"}, "db.off": {"db", "off"}, "db.when": {"db", "when"}, "db.pem": {"db", "pem"},
			"db.folded": {"db", "folded"}, "db.unicode": {"db", "unicode"}, "db.trailing": {"db", "trailing"}, "db.spaces": {"db", "spaces"},
			"db.yes": {"db", "yes"}, `db."dotted.key"`: {"db", "dotted.key"}, `db.dotted\.key`: {"db", "dotted.key"}, "db.dotted.key": {"db", "dotted.key"},
			"hosts.0.password": {"hosts", 0, "password"}, "hosts.1.password": {"hosts", 2, "password"}, "hosts.2.1": {"hosts", 3, 1},
			`["hosts"][0]["name"]`: {"hosts", 0, "name"}, "plain": {"plain"},
		}},
		{file: "s.json", plain: jsonPlain, keys: map[string][]any{
			"db.password": {"db", "password"}, "db.port": {"db", "port"}, "db.ratio": {"db", "ratio"}, "db.big": {"db", "big"}, "db.on": {"db", "on"},
			"db.pem": {"db", "pem"}, "db.html": {"db", "html"}, "db.unicode": {"db", "unicode"}, "list.0": {"list", 0}, "list.1": {"list", 1},
			"list.2.three": {"list", 2, "three"}, `"a.b"`: {"a.b"}, "plain": {"plain"},
		}},
		{file: ".env", plain: dotenvPlain, keys: map[string][]any{
			"TOKEN": {"TOKEN"}, "MULTI": {"MULTI"}, "QUOTED": {"QUOTED"}, "SPACES": {"SPACES"}, "export EXPORTED": {"export EXPORTED"}, "CR": {"CR"}, "HASH": {"HASH"},
		}},
		{file: "s.ini", plain: iniPlain, keys: map[string][]any{
			"DEFAULT.top": {"DEFAULT", "top"}, "db.password": {"db", "password"}, "db.port": {"db", "port"}, "quoted section.key": {"quoted section", "key"},
		}},
	}
	for _, tc := range tests {
		t.Run(tc.file, func(t *testing.T) {
			w := newWorld(t)
			w.encrypt(tc.file, tc.plain)
			for key, path := range tc.keys {
				want, err := w.sops("decrypt", "--extract", extractPath(path), tc.file)
				if err != nil {
					t.Fatal(err)
				}
				if got := w.mustLoad("x=" + tc.file + "#" + key)["x"]; got != want {
					t.Errorf("%s: got %q, want %q", key, got, want)
				}
			}
			want, err := w.sops("decrypt", tc.file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, w.mustLoad("x=" + tc.file)["x"]); diff != "" {
				t.Errorf("the whole document (-sops +ours):\n%s", diff)
			}
		})
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
