package source

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/org/secure-build/internal/index"
)

func newIdentity(t *testing.T) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// newSSHKey returns a private key as ssh-keygen writes it, and its public line.
func newSSHKey(t *testing.T) (private, public string, key ssh.PublicKey) {
	t.Helper()
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(priv, "test")
	if err != nil {
		t.Fatal(err)
	}
	if key, err = ssh.NewPublicKey(pub); err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block)), string(ssh.MarshalAuthorizedKey(key)), key
}

func newGoogle(t *testing.T) (document, private string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	private = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	data, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "my-project-12345", "private_key_id": "0123456789abcdef0123456789abcdef01234567",
		"private_key": private, "client_email": "build@my-project-12345.iam.gserviceaccount.com",
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(data), private
}

// TestKeysAreHidden: whatever decrypts is on the list of what is searched for,
// by a name that tells what it is, each identity by itself, and no build can
// mount it.
func TestKeysAreHidden(t *testing.T) {
	one, two, other := newIdentity(t), newIdentity(t), newIdentity(t)
	private, _, public := newSSHKey(t)
	document, google := newGoogle(t)
	place := func(variable string, id *age.X25519Identity) string {
		return variable + "|" + variable + " (" + id.Recipient().String() + ")"
	}
	damaged := strings.ToLower(one.String()[:len(one.String())-3])
	keyFile := "# created: 2026-01-01\n# public key: " + one.Recipient().String() + "\n" + one.String() + "\n\n" + two.String() + "\n"
	for _, tc := range []struct {
		name  string
		env   map[string]string
		files map[string]string
		want  map[string]string // by "id|origin"
	}{
		{"none", nil, nil, map[string]string{}},
		{"SOPS_AGE_KEY", map[string]string{"SOPS_AGE_KEY": one.String()}, nil, map[string]string{place("SOPS_AGE_KEY", one): one.String()}},
		{"two on a line", map[string]string{"SOPS_AGE_KEY": one.String() + " " + two.String()}, nil,
			map[string]string{place("SOPS_AGE_KEY", one): one.String(), place("SOPS_AGE_KEY", two): two.String()}},
		{"after what is none", map[string]string{"SOPS_AGE_KEY": "oops " + two.String()}, nil, map[string]string{place("SOPS_AGE_KEY", two): two.String()}},
		{"damaged", map[string]string{"SOPS_AGE_KEY": damaged}, nil, map[string]string{"SOPS_AGE_KEY|SOPS_AGE_KEY (line 1, damaged)": damaged}},
		{"a recipient", map[string]string{"SOPS_AGE_KEY": one.Recipient().String()}, nil, map[string]string{}},
		{"file with comments", map[string]string{"SOPS_AGE_KEY_FILE": "key.txt"}, map[string]string{"key.txt": keyFile},
			map[string]string{place("SOPS_AGE_KEY_FILE", one): one.String(), place("SOPS_AGE_KEY_FILE", two): two.String()}},
		{"SSH key", map[string]string{"SOPS_AGE_SSH_PRIVATE_KEY_FILE": "id"}, map[string]string{"id": private},
			map[string]string{"SOPS_AGE_SSH_PRIVATE_KEY_FILE|SOPS_AGE_SSH_PRIVATE_KEY_FILE (" + ssh.FingerprintSHA256(public) + ")": private}},
		{"one key twice", map[string]string{"SOPS_AGE_KEY": one.String(), "SOPS_AGE_KEY_FILE": "key.txt"}, map[string]string{"key.txt": one.String()},
			map[string]string{place("SOPS_AGE_KEY", one): one.String()}},
		{"cloud", map[string]string{
			"VAULT_TOKEN": "hvs.CAESIJ0123456789abcdef", "VAULT_ADDR": "https://vault.example.com", "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
			"AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "AZURE_CLIENT_ID": "00000000-1111-2222-3333-444444444444",
			"AZURE_CLIENT_SECRET": "abc8Q~0123456789012345678901234567\n", "GOOGLE_APPLICATION_CREDENTIALS": "google.json",
		}, map[string]string{"google.json": document}, map[string]string{
			"VAULT_TOKEN|$VAULT_TOKEN": "hvs.CAESIJ0123456789abcdef", "AWS_SECRET_ACCESS_KEY|$AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
			"AZURE_CLIENT_SECRET|$AZURE_CLIENT_SECRET":                                          "abc8Q~0123456789012345678901234567",
			"GOOGLE_APPLICATION_CREDENTIALS|the private_key of $GOOGLE_APPLICATION_CREDENTIALS": google,
		}},
		{"Google by value", map[string]string{"GOOGLE_CREDENTIALS": document}, nil, map[string]string{"GOOGLE_CREDENTIALS|the private_key of $GOOGLE_CREDENTIALS": google}},
		{"Google damaged", map[string]string{"GOOGLE_CREDENTIALS": document[:900]}, nil, map[string]string{"GOOGLE_CREDENTIALS|$GOOGLE_CREDENTIALS": document[:900]}},
		{"a path of Google's that is not there", map[string]string{"GOOGLE_CREDENTIALS": "/nowhere/of/that/name.json"}, nil, map[string]string{}},
		{"an OIDC token that is not asked for", map[string]string{"MY_ID_TOKEN": "eyJhbGciOiJSUzI1NiJ9.e30.c2ln"}, nil, map[string]string{"MY_ID_TOKEN|$MY_ID_TOKEN": "eyJhbGciOiJSUzI1NiJ9.e30.c2ln"}},
		{"of a stand-in", map[string]string{"AWS_SECRET_ACCESS_KEY": "minioadmin", "AWS_ACCESS_KEY_ID": "minioadmin"}, nil, map[string]string{}},
		{"in the user's folder, which nothing asks for", nil, map[string]string{"home/.config/sops/age/keys.txt": other.String()}, map[string]string{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			delete(w.env, "SOPS_AGE_KEY")
			for name, value := range tc.env {
				w.env[name] = value
			}
			for name, text := range tc.files {
				w.write(name, text)
			}
			opts := w.options()
			opts.Keyless.Tokens = []string{"vault=MY_ID_TOKEN"}
			var notes []string
			opts.Note = func(note string) { notes = append(notes, note) }
			set, err := Load(t.Context(), nil, opts)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, s := range set.Searched() {
				got[s.ID()+"|"+s.Origin()] = string(s.Reveal())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if len(set.Mounted()) > 0 {
				t.Errorf("a build may mount %v", set.Mounted())
			}
			if (len(notes) > 0) != (tc.name == "of a stand-in") || strings.Contains(fmt.Sprint(notes), "minioadmin") {
				t.Errorf("notes: %q", notes)
			}
		})
	}
}

// TestKeysThatWereFound: those that a search or a command gives are on the list
// once they were asked for.
func TestKeysThatWereFound(t *testing.T) {
	w := newWorld(t)
	w.encrypt("s.yaml", "a: CANARY-a\n")
	delete(w.env, "SOPS_AGE_KEY")
	other := newIdentity(t)
	private, _, _ := newSSHKey(t)
	w.write("home/.config/sops/age/keys.txt", other.String())
	w.write("home/.ssh/id_ed25519", private)
	w.write("key.txt", w.id.String())
	w.env["SOPS_AGE_KEY_CMD"] = "cat " + filepath.Join(w.dir, "key.txt")
	set, err := w.load("s.yaml")
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{}
	for _, s := range set.Searched() {
		ids[s.ID()] = string(s.Reveal())
	}
	want := map[string]string{"a": "CANARY-a", "age-identity": other.String(), "ssh-identity": private, "SOPS_AGE_KEY_CMD": w.id.String()}
	if diff := cmp.Diff(want, ids); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestPublicHalvesAreNoLeak: what stands beside a key and may be shown is not
// found by it, nor is another key of its kind.
func TestPublicHalvesAreNoLeak(t *testing.T) {
	id := newIdentity(t)
	private, public, key := newSSHKey(t)
	document, google := newGoogle(t)
	w := newWorld(t)
	w.env["SOPS_AGE_KEY"] = "# comment of mine, as age-keygen writes it\n" + id.String()
	w.env["SOPS_AGE_SSH_PRIVATE_KEY_FILE"] = "id"
	w.env["GOOGLE_CREDENTIALS"] = document
	w.write("id", private)
	set, err := Load(t.Context(), nil, w.options())
	if err != nil {
		t.Fatal(err)
	}
	x := index.Compile(set)
	otherPrivate, _, _ := newSSHKey(t)
	otherDocument, _ := newGoogle(t)
	for name, text := range map[string]string{
		"recipient": id.Recipient().String(), "comment": "# comment of mine, as age-keygen writes it", "authorized key": public,
		"fingerprint": ssh.FingerprintSHA256(key), "public key in base64": base64.StdEncoding.EncodeToString([]byte(public)),
		"another identity": newIdentity(t).String(), "the words of age": "AGE-SECRET-KEY-1 AGE-SECRET-KEY-PQ-1", "another SSH key": otherPrivate,
		"another key of Google's": otherDocument, "Google's public fields": "my-project-12345 build@my-project-12345.iam.gserviceaccount.com 0123456789abcdef0123456789abcdef01234567",
	} {
		x.Each([]byte(text), index.Text, func(m index.Match) bool {
			t.Errorf("%s: found as %s of %s: %q", name, m.Encoding, m.Origin, text[m.Start:m.End])
			return true
		})
	}
	for name, text := range map[string]string{
		"identity": id.String(), "identity in base64": base64.StdEncoding.EncodeToString([]byte(id.String())), "SSH key": private,
		"a row of Google's key": strings.Split(google, "\n")[7], "Google's document": document,
	} {
		if !x.Has([]byte(text), index.Text) {
			t.Errorf("%s: not found", name)
		}
	}
}

// TestLoadKeepsWhatIsKnown: after an error the set has what was read before it,
// and the keys.
func TestLoadKeepsWhatIsKnown(t *testing.T) {
	w := newWorld(t)
	w.encrypt("one.yaml", "a: CANARY-first\nb: CANARY-second\n")
	w.encrypt("strange.yaml", "c: CANARY-third\n", "--age", newIdentity(t).Recipient().String())
	w.encrypt("twice.yaml", "b: CANARY-fourth\nd: CANARY-fifth # CANARY-sixth\n")
	w.write("cut.yaml", w.read("twice.yaml")[:40])
	all := []string{"CANARY-first", "CANARY-second"}
	for _, tc := range []struct {
		name  string
		lines []string
		env   map[string]string
		want  []string
	}{
		{"the second is a stranger's", []string{"one.yaml", "strange.yaml"}, nil, all},
		{"the second is not there", []string{"one.yaml", "nothing.yaml"}, nil, all},
		{"the second is cut off", []string{"one.yaml", "cut.yaml"}, nil, all},
		{"the second has an id of the first", []string{"one.yaml", "twice.yaml"}, nil, append(all, "CANARY-fourth", "CANARY-fifth", "CANARY-sixth")},
		{"no such key", []string{"one.yaml#a", "one.yaml#CANARY-first"}, nil, all},
		{"nothing was read", []string{"strange.yaml", "one.yaml"}, nil, nil},
		{"refused", []string{"one.yaml"}, map[string]string{"CI_DEBUG_TRACE": "true"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for name, value := range tc.env {
				w.env[name] = value
			}
			set, err := w.load(tc.lines...)
			if err == nil {
				t.Fatal("got no error")
			}
			x := index.Compile(set)
			for _, value := range append(tc.want, w.id.String()) {
				if !x.Has([]byte(value), index.Log) {
					t.Errorf("%q is not known", value)
				}
			}
			if len(tc.want) == 0 && len(set.Searched()) != 1 {
				t.Errorf("got %v, want the key alone", set.Searched())
			}
		})
	}
	opts := w.options()
	opts.AllowKeySource = []string{w.id.String()}
	if set, err := Load(t.Context(), nil, opts); err == nil || !index.Compile(set).Has([]byte(err.Error()), index.Log) {
		t.Errorf("got %v, want an error with the key in it, and the key", err)
	}
}
