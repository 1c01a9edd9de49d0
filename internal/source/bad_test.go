package source

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/org/secure-build/internal/hint"
)

const testPlain = "db:\n  password: CANARY-password\n  user: CANARY-user\nnpm:\n  token: CANARY-token\n  npmrc: CANARY-npmrc\nempty: null\n"

// TestBadInput holds the message and the hint of everything that can be wrong
// with what the user wrote or has.
func TestBadInput(t *testing.T) {
	w := newWorld(t)
	w.encrypt("secrets.yaml", testPlain)
	good := w.read("secrets.yaml")
	w.encrypt("secrets.json", `{"a":"CANARY-a"}`)
	w.encrypt("prod.env", "A=CANARY-a\n")
	w.encrypt("s.ini", "[s]\na = CANARY-a\n")
	w.encrypt("tls.key.enc", "CANARY-key")
	w.encrypt("big.enc", strings.Repeat("x", 500*1024+1))
	w.encrypt("clash.yaml", "a_b: CANARY-1\na:\n  b: CANARY-2\n")
	w.encrypt("clear.yaml", "a: b\n", "--encrypted-regex", "^password$")
	w.write("plain.yaml", testPlain)
	w.write("list.yaml", "- CANARY\n- b\n")
	w.write("alias.yaml", "a: &x CANARY\nb: *x\n")
	w.write("plain.json", `{"a":"CANARY"}`)
	w.write("plain.env", "A=CANARY\nCANARY without an equals sign\n")
	w.write(".env.production", "A=CANARY\n")
	w.write("plain.ini", "[s]\na = CANARY\n")
	w.write("plain.key", "CANARY")
	w.write("empty.yaml", "\n")
	w.write("broken.yaml", "a: [CANARY\nb: }\n")
	w.write("cut.yaml", good[:strings.Index(good, "sops:")])
	w.write("cut2.yaml", good[:strings.Index(good, "lastmodified")])
	w.write("cut3.json", w.read("secrets.json")[:300])
	w.write("nomac.yaml", strings.Join(withoutLine(good, "    mac: "), "\n"))
	w.write("edited.yaml", strings.Replace(good, "npm:", "npn:", 1))
	w.write("moved.yaml", strings.Replace(strings.Replace(strings.Replace(good, "password:", "x:", 1), "user:", "password:", 1), "x:", "user:", 1))
	w.write("typed.yaml", strings.Replace(good, "empty: null", "empty: clear text", 1))
	w.encrypt("mac.yaml", "host: db.local\npassword: CANARY\n", "--encrypted-regex", "^password$")
	w.write("mac.yaml", strings.Replace(w.read("mac.yaml"), "db.local", "db.evil", 1))
	w.write("docs.yaml", strings.Replace(good, "empty: null", "5: null", 1))
	w.write("conflict.yaml", "<<<<<<< HEAD\n"+good)
	w.write("noext", good)
	w.write("secrets.txt", good)
	w.write("dir/file", "x")
	w.write("huge.yaml", strings.Repeat("#\n", 3<<20))
	w.write("big.txt", strings.Repeat("x", 500*1024+1))

	tests := []struct{ line, err, hint string }{
		{"plain.yaml", "plain.yaml is not encrypted", "encrypt it first: sops encrypt --in-place plain.yaml ("},
		{"list.yaml", "list.yaml is not encrypted", "sops encrypt --in-place list.yaml"},
		{"alias.yaml", "alias.yaml is not encrypted", "sops encrypt"},
		{"plain.json", "plain.json is not encrypted", "sops encrypt --in-place plain.json ("},
		{"plain.env", "plain.env is not encrypted", "sops encrypt --in-place plain.env ("},
		{".env.production", ".env.production is not encrypted", "sops encrypt --input-type dotenv --output-type dotenv --in-place .env.production"},
		{"plain.ini", "plain.ini is not encrypted", "sops encrypt --in-place plain.ini ("},
		{"plain.key", "plain.key is not encrypted", "sops encrypt --in-place plain.key ("},
		{"x=plain.key,format=binary", "plain.key is not encrypted", "sops encrypt"},
		{"broken.yaml", "broken.yaml is not encrypted", "sops encrypt"},
		{"clear.yaml", "clear.yaml has no encrypted value", "name a value: clear.yaml#KEY"},
		{"empty.yaml", "empty.yaml is empty", "sops edit empty.yaml"},
		{"cut.yaml", "cut.yaml is cut off: it has encrypted values but no sops metadata", "restore it from version control"},
		{"cut2.yaml", "cut2.yaml is cut off or has damaged sops metadata", "restore it"},
		{"cut3.json", "cut3.json is cut off or damaged: not valid json at line", "restore it"},
		{"conflict.yaml", "conflict.yaml is cut off or damaged: not valid yaml at line 2", "merged by hand"},
		{"nomac.yaml", "decrypting nomac.yaml: it has no MAC", "look at its history"},
		{"edited.yaml", "decrypting edited.yaml: a value at or after npn.token is not what sops encrypted", "sops edit edited.yaml, never by hand"},
		{"moved.yaml", "decrypting moved.yaml: a value at or after db.user is not what sops encrypted", "never by hand"},
		{"typed.yaml", "decrypting typed.yaml: a value at or after empty is not what sops encrypted", "never by hand"},
		{"mac.yaml", "decrypting mac.yaml: the MAC does not match: it was changed by hand, or by someone without the key", "sops decrypt --ignore-mac mac.yaml"},
		{"docs.yaml", "reading docs.yaml: the key 5 is not a string: put it in quotes", ""},
		{"noext", "the name of noext does not tell its format", "it looks like yaml: write noext,format=yaml"},
		{"secrets.txt", "the name of secrets.txt does not tell its format", "write secrets.txt,format=yaml"},
		{"huge.yaml", "reading huge.yaml: more than 4 MiB: more than a SOPS file may hold", "split the file"},
		{"dir", "dir is a directory, not a file", "name a file in it"},
		{"secret.yaml", "secret.yaml does not exist", "did you mean secrets.yaml?"},
		{"nowhere/secret.yaml", "nowhere/secret.yaml does not exist", "looked for "},
		{"secrets.yaml#npm.tokn", `secrets.yaml has no key "npm.tokn"`, "did you mean secrets.yaml#npm.token?"},
		{"secrets.yaml#zzz", `secrets.yaml has no key "zzz"`, "it has db.password, db.user, npm.token, npm.npmrc, empty"},
		{"secrets.yaml#npm", "reading secrets.yaml#npm: it is not one value but a map or list of 2", "name one of them: secrets.yaml#npm.token, secrets.yaml#npm.npmrc"},
		{"secrets.yaml#empty", "reading secrets.yaml#empty: it is null", "set it with sops edit secrets.yaml"},
		{"x=tls.key.enc#key", `tls.key.enc is a binary file: it is one value and has no key "key"`, "write ID=tls.key.enc"},
		{"big.enc", "reading big.enc: 512001 bytes are more than a build secret may have (512000)", "at most 500 KiB"},
		{"clash.yaml", `two secrets with the id "a_b": clash.yaml#a_b and clash.yaml#a.b`, "give one of them another id: ID=FILE#KEY"},
		{"id=x,src=big.txt", "reading big.txt: 512001 bytes are more than", "500 KiB"},
		{"id=x,src=secrts.yaml", "reading the secret x: secrts.yaml does not exist", "did you mean secrets.yaml?"},
		{"id=x,src=dir", "reading the secret x: dir is a directory, not a file", ""},
		{"id=x,env=NO_SUCH", "reading the secret x: the variable NO_SUCH is not set", "is it passed to this job or step?"},
		{"id=no_such", "reading the secret no_such: no_such does not exist", "looked for "},
	}
	for _, tc := range tests {
		t.Run(tc.line, func(t *testing.T) {
			set, err := w.load(tc.line)
			if err == nil {
				t.Fatalf("no error; ids %q", set.IDs())
			}
			hints := strings.Join(hint.Of(err), "\n")
			if !strings.Contains(err.Error(), tc.err) || !strings.Contains(hints, tc.hint) {
				t.Errorf("got %q\n hint %q\nwant %q\n hint %q", err, hints, tc.err, tc.hint)
			}
			if strings.Contains(err.Error()+hints, "CANARY") || strings.Contains(err.Error(), "\n") {
				t.Errorf("the error holds a value or a line break: %q %q", err, hints)
			}
		})
	}
}

func withoutLine(text, prefix string) []string {
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		if !strings.HasPrefix(line, prefix) {
			lines = append(lines, line)
		}
	}
	return lines
}

// smallFiles is a file of every format to be damaged.
var smallFiles = []struct{ file, plain string }{
	{"s.yaml", testPlain},
	{"s.json", `{"a": "CANARY", "n": [3]}`},
	{"s.env", "A=CANARY\\nCANARY\n"},
	{"s.ini", "[s]\na = CANARY\n"},
	{"s.enc", "CANARY\x00"},
}

// TestTruncated cuts a file of every format at every place: always an error,
// never a panic, never a value.
func TestTruncated(t *testing.T) {
	w := newWorld(t)
	for _, f := range smallFiles {
		name := f.file
		w.encrypt(name, f.plain)
		good := strings.TrimRight(w.read(name), "\n")
		step := 7
		if testing.Short() {
			step = 53
		}
		for i := 0; i < len(good)-1; i += step {
			w.write(name, good[:i])
			_, err := w.load("x=" + name)
			if err == nil && !strings.Contains(good[:i], "version") {
				t.Errorf("%s cut at byte %d of %d: no error", name, i, len(good))
			}
			if err != nil && strings.Contains(err.Error(), "CANARY") {
				t.Errorf("%s cut at byte %d: the error holds a value: %v", name, i, err)
			}
		}
	}
}

// TestFlipped changes one byte of a file at random: what is read is an error or
// the same values, never others.
func TestFlipped(t *testing.T) {
	w := newWorld(t)
	random := rand.New(rand.NewPCG(1, 2))
	n := 150
	if testing.Short() {
		n = 30
	}
	for _, f := range smallFiles {
		w.encrypt(f.file, f.plain)
		good, want := w.read(f.file), w.mustLoad(f.file)
		refused := 0
		for range n {
			bad := []byte(good)
			i := random.IntN(len(bad))
			bad[i] ^= byte(1 + random.IntN(255))
			w.write(f.file, string(bad))
			set, err := w.load(f.file)
			if err != nil {
				refused++
				continue
			}
			for _, s := range set.Mounted() {
				if want[s.ID()] != string(s.Reveal()) {
					t.Errorf("%s with byte %d flipped: %s changed", f.file, i, s.ID())
				}
			}
		}
		if refused < n/2 {
			t.Errorf("%s: only %d of %d changes were noticed", f.file, refused, n)
		}
	}
}

func TestUnreadableFile(t *testing.T) {
	w := newWorld(t)
	w.write("s.yaml", "x")
	// A socket or a device is no SOPS file (root can read every mode).
	if err := os.Symlink("/dev/zero", filepath.Join(w.dir, "zero.yaml")); err != nil {
		t.Fatal(err)
	}
	_, err := w.load("zero.yaml")
	if err == nil || err.Error() != "zero.yaml is not a regular file" {
		t.Errorf("got %v", err)
	}
	if err := os.Symlink("loop.yaml", filepath.Join(w.dir, "loop.yaml")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.load("loop.yaml"); err == nil || strings.Contains(err.Error(), "%!") {
		t.Errorf("got %v", err)
	}
}
