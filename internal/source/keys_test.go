package source

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"
	"golang.org/x/crypto/ssh"

	"github.com/org/secure-build/internal/hint"
)

func TestAge(t *testing.T) {
	w := newWorld(t)
	private := w.id.String()
	other, _ := age.GenerateX25519Identity()
	pq, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	w.encrypt("s.yaml", "a: value-a\n")
	w.encrypt("two.yaml", "a: value-a\n", "--age", other.Recipient().String()+","+w.id.Recipient().String())
	w.encrypt("pq.yaml", "a: value-a\n", "--age", pq.Recipient().String())
	w.write("keys.txt", "# created: now\n# public key: x\n\n"+other.String()+"\r\n"+private+"\n")
	w.write("home/.config/sops/age/keys.txt", private+"\n")
	w.write("xdg/sops/age/keys.txt", private+"\n")
	w.write("key.sh", "#!/bin/sh\ntest \"$SOPS_AGE_RECIPIENT\" = \"$1\" && echo "+private+"\n")
	if err := os.Chmod(filepath.Join(w.dir, "key.sh"), 0o700); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, file string
		env        map[string]string
	}{
		{"SOPS_AGE_KEY", "s.yaml", map[string]string{"SOPS_AGE_KEY": private}},
		{"two in SOPS_AGE_KEY, one line", "s.yaml", map[string]string{"SOPS_AGE_KEY": other.String() + " " + private}},
		{"two in SOPS_AGE_KEY, two lines", "s.yaml", map[string]string{"SOPS_AGE_KEY": other.String() + "\r\n" + private + "\r\n"}},
		{"a bad one beside", "s.yaml", map[string]string{"SOPS_AGE_KEY": "AGE-SECRET-KEY-1BAD\n" + private}},
		{"SOPS_AGE_KEY_FILE", "s.yaml", map[string]string{"SOPS_AGE_KEY_FILE": "keys.txt"}},
		{"SOPS_AGE_KEY_CMD", "s.yaml", map[string]string{"SOPS_AGE_KEY_CMD": "'" + w.dir + "/key.sh' " + w.id.Recipient().String()}},
		{"the user's keys", "s.yaml", map[string]string{"HOME": filepath.Join(w.dir, "home")}},
		{"the user's keys by XDG", "s.yaml", map[string]string{"XDG_CONFIG_HOME": filepath.Join(w.dir, "xdg")}},
		{"an empty variable beside", "s.yaml", map[string]string{"SOPS_AGE_KEY": private, "SOPS_AGE_KEY_FILE": "", "SOPS_AGE_KEY_CMD": ""}},
		{"several recipients", "two.yaml", map[string]string{"SOPS_AGE_KEY": private}},
		{"several recipients, the other", "two.yaml", map[string]string{"SOPS_AGE_KEY": other.String()}},
		{"post-quantum", "pq.yaml", map[string]string{"SOPS_AGE_KEY": pq.String()}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			w.env = tc.env
			if got := w.mustLoad(tc.file)["a"]; got != "value-a" {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestAgeBySSH(t *testing.T) {
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]any{"id_ed25519": ed, "id_rsa": rsaKey} {
		w := newWorld(t)
		block, err := ssh.MarshalPrivateKey(key, "")
		if err != nil {
			t.Fatal(err)
		}
		signer, err := ssh.NewSignerFromKey(key)
		if err != nil {
			t.Fatal(err)
		}
		w.write("home/.ssh/"+name, string(pem.EncodeToMemory(block)))
		w.encrypt("s.yaml", "a: value-a\n", "--age", strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))))
		home := filepath.Join(w.dir, "home")
		for _, env := range []map[string]string{
			{"HOME": home},
			{"SOPS_AGE_SSH_PRIVATE_KEY_FILE": "home/.ssh/" + name},
			{"SOPS_AGE_SSH_PRIVATE_KEY_CMD": "cat " + home + "/.ssh/" + name},
		} {
			w.env = env
			if got := w.mustLoad("s.yaml")["a"]; got != "value-a" {
				t.Errorf("%s by %v: got %q", name, env, got)
			}
		}
	}
}

// TestWrongKey holds what the error says when no key fits, and that it never
// says anything of a private key.
func TestWrongKey(t *testing.T) {
	w := newWorld(t)
	w.encrypt("s.yaml", "a: CANARY\n")
	recipient := w.id.Recipient().String()
	other, _ := age.GenerateX25519Identity()
	w.write("locked.txt", encryptedIdentity(t, w.id.String()))
	block, err := ssh.MarshalPrivateKeyWithPassphrase(newEd25519(), "", []byte("pass"))
	if err != nil {
		t.Fatal(err)
	}
	w.write("home/.ssh/id_ed25519", string(pem.EncodeToMemory(block)))
	w.write("public.txt", recipient+"\n")
	setIt := "set SOPS_AGE_KEY to the private key of " + recipient + " (it begins with AGE-SECRET-KEY-1), or SOPS_AGE_KEY_FILE to its file"
	tests := []struct {
		name       string
		env        map[string]string
		want, hint string
	}{
		{"none", nil, "decrypting s.yaml: no key fits: it is encrypted for " + recipient + "; age identities tried: none", setIt},
		{"wrong", map[string]string{"SOPS_AGE_KEY": other.String()}, "age identities tried: " + other.Recipient().String() + " (SOPS_AGE_KEY)", "add your recipient to it: sops rotate"},
		{"empty", map[string]string{"SOPS_AGE_KEY": ""}, "tried: none; SOPS_AGE_KEY is set but empty", setIt},
		{"public", map[string]string{"SOPS_AGE_KEY_FILE": "public.txt"}, "tried: none; SOPS_AGE_KEY_FILE line 1 is no age identity: it is a recipient, the public half", setIt},
		{"cut off", map[string]string{"SOPS_AGE_KEY": w.id.String()[:40]}, "SOPS_AGE_KEY line 1 is no age identity: it is damaged or cut off", setIt},
		{"no file", map[string]string{"SOPS_AGE_KEY_FILE": "no.txt"}, "SOPS_AGE_KEY_FILE cannot be read: ", setIt},
		{"passphrase", map[string]string{"SOPS_AGE_KEY_FILE": "locked.txt"}, "SOPS_AGE_KEY_FILE is protected by a passphrase, which is never asked for here", setIt},
		{"ssh passphrase", map[string]string{"HOME": filepath.Join(w.dir, "home")}, "id_ed25519 is protected by a passphrase", setIt},
		{"command fails", map[string]string{"SOPS_AGE_KEY_CMD": "false"}, "SOPS_AGE_KEY_CMD failed: exit status 1", setIt},
		{"no command", map[string]string{"SOPS_AGE_KEY_CMD": "'unbalanced"}, "SOPS_AGE_KEY_CMD is no command", setIt},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			w.env = tc.env
			_, err := w.load("s.yaml")
			if err == nil {
				t.Fatal("no error")
			}
			hints := strings.Join(hint.Of(err), "\n")
			if !strings.Contains(err.Error(), tc.want) || !strings.Contains(hints, tc.hint) {
				t.Errorf("got %q\n hint %q\nwant %q\n hint %q", err, hints, tc.want, tc.hint)
			}
			for _, private := range []string{w.id.String(), other.String()} {
				if strings.Contains(err.Error()+hints, private[16:30]) {
					t.Errorf("the error holds a part of a private key: %q", err)
				}
			}
		})
	}
}

func newEd25519() ed25519.PrivateKey {
	_, key, _ := ed25519.GenerateKey(rand.Reader)
	return key
}

func encryptedIdentity(t *testing.T, identity string) string {
	t.Helper()
	r, err := age.NewScryptRecipient("passphrase")
	if err != nil {
		t.Fatal(err)
	}
	r.SetWorkFactor(10)
	var out bytes.Buffer
	a := armor.NewWriter(&out)
	enc, err := age.Encrypt(a, r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := enc.Write([]byte(identity)); err != nil {
		t.Fatal(err)
	}
	if enc.Close() != nil || a.Close() != nil {
		t.Fatal("closing the encrypted identity")
	}
	return out.String()
}

// gpgHome makes a GNUPGHOME with one key and returns its fingerprint.
func (w *world) gpgHome(name, passphrase string) (home, fingerprint string) {
	w.t.Helper()
	home, err := os.MkdirTemp("", "gpg") // short: the agent's socket lives in it
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		kill := exec.Command("gpgconf", "--kill", "all")
		kill.Env = []string{"GNUPGHOME=" + home, "PATH=" + os.Getenv("PATH")}
		_ = kill.Run()
		_ = os.RemoveAll(home)
	})
	run := func(args ...string) string {
		cmd := exec.Command("gpg", append([]string{"--batch", "--no-tty", "--pinentry-mode=loopback", "--passphrase=" + passphrase}, args...)...)
		cmd.Env = []string{"GNUPGHOME=" + home, "PATH=" + os.Getenv("PATH")}
		out, err := cmd.Output()
		if err != nil {
			w.t.Fatalf("gpg %q: %v", args, err)
		}
		return string(out)
	}
	run("--quick-generate-key", name+" <"+name+"@example.com>", "future-default", "default", "never")
	for line := range strings.Lines(run("--list-secret-keys", "--with-colons")) {
		if fields := strings.Split(line, ":"); fields[0] == "fpr" {
			return home, fields[9]
		}
	}
	w.t.Fatal("no fingerprint")
	return "", ""
}

func TestPGP(t *testing.T) {
	t.Parallel() // most of it is waiting for gpg
	w := newWorld(t)
	home, fingerprint := w.gpgHome("one", "")
	locked, lockedFingerprint := w.gpgHome("locked", "secret")
	w.env["GNUPGHOME"] = home
	w.encrypt("s.yaml", testPlain, "--pgp", fingerprint)
	w.env["GNUPGHOME"] = locked
	w.encrypt("locked.yaml", testPlain, "--pgp", lockedFingerprint)
	// Encrypting asks for no passphrase, but making the key left it in the
	// agent's memory.
	reload := exec.Command("gpgconf", "--kill", "gpg-agent")
	reload.Env = []string{"GNUPGHOME=" + locked, "PATH=" + os.Getenv("PATH")}
	if err := reload.Run(); err != nil {
		t.Fatal(err)
	}

	w.env = map[string]string{"GNUPGHOME": home, "PATH": os.Getenv("PATH"), "CI": "true"}
	w.checkExtracts(w.mustLoad, "--pgp", fingerprint)

	tests := []struct{ name, file, home, exec, want, hint string }{
		{"other keyring", "s.yaml", locked, "", "it is encrypted for PGP " + fingerprint + "; PGP secret keys tried: " + lockedFingerprint, "GNUPGHOME"},
		{"passphrase", "locked.yaml", locked, "", "gpg says: decryption failed: ", "GNUPGHOME"},
		{"no gpg", "s.yaml", home, "/nonexistent/gpg", "/nonexistent/gpg is not installed", "GNUPGHOME"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			w.env["GNUPGHOME"], w.env["SOPS_GPG_EXEC"] = tc.home, tc.exec
			_, err := w.load(tc.file)
			if err == nil {
				t.Fatal("no error")
			}
			if hints := strings.Join(hint.Of(err), "\n"); !strings.Contains(err.Error(), tc.want) || !strings.Contains(hints, tc.hint) {
				t.Errorf("got %q (hint %q), want %q (hint %q)", err, hints, tc.want, tc.hint)
			}
		})
	}
}

// TestGPGEnvironment holds that gpg, which leaves an agent behind, does not
// get the job's secrets.
func TestGPGEnvironment(t *testing.T) {
	w := newWorld(t)
	w.env["NPM_TOKEN"], w.env["GNUPGHOME"] = "t", "h"
	env := gpg{w.options()}.environ()
	for _, e := range env {
		if strings.HasPrefix(e, "SOPS_") || strings.HasPrefix(e, "NPM_TOKEN") {
			t.Errorf("gpg gets %s", e)
		}
	}
	if !slices.Contains(env, "GNUPGHOME=h") {
		t.Errorf("gpg does not get GNUPGHOME: %q", env)
	}
}

func TestShamir(t *testing.T) {
	w := newWorld(t)
	var ids []*age.X25519Identity
	groups := "shamir_threshold: 2\n    key_groups:\n"
	for range 3 {
		id, _ := age.GenerateX25519Identity()
		ids = append(ids, id)
		groups += "      - age: [" + id.Recipient().String() + "]\n"
	}
	for _, pair := range [][2]int{{0, 1}, {1, 2}, {2, 0}} {
		w.env["SOPS_AGE_KEY"] = ids[pair[0]].String() + "\n" + ids[pair[1]].String()
		w.checkExtractsOf(w.mustLoad, func(name, plain string) { w.encryptByRule(name, plain, groups) })
	}
	w.env["SOPS_AGE_KEY"] = ids[1].String()
	for _, f := range extracts {
		_, err := w.load("x=" + f.file)
		if err == nil || !strings.Contains(err.Error(), "2 of its 3 key groups are needed and 1 opened") {
			t.Errorf("%s with one group: %v", f.file, err)
		}
	}
}

// TestShamirMixed needs an age identity, a KMS and a Vault, all three.
func TestShamirMixed(t *testing.T) {
	aws, vault, w := awsKMS(t), vaultTransit(t), newWorld(t)
	identity := w.env["SOPS_AGE_KEY"]
	w.setAll(t, awsEnv(aws, w.dir))
	w.setAll(t, map[string]string{"VAULT_ADDR": vault.server.URL, "VAULT_TOKEN": "test-token", "HOME": w.dir, "SOPS_KMS_ARN": testARN})
	w.env["SOPS_AGE_KEY"] = identity
	rule := "shamir_threshold: 3\n    key_groups:\n" +
		"      - age: [" + w.id.Recipient().String() + "]\n" +
		"      - kms: [{arn: '" + testARN + "'}]\n" +
		"      - hc_vault: ['" + vault.server.URL + "/v1/transit/keys/build']\n"
	w.checkExtractsOf(w.mustLoad, func(name, plain string) { w.encryptByRule(name, plain, rule) })

	delete(w.env, "SOPS_KMS_ARN")
	aws.calls()
	_, err := w.load("s.yaml")
	if hints := strings.Join(hint.Of(err), "\n"); err == nil || !strings.Contains(hints, "--allow-key-source "+testARN) {
		t.Errorf("one of the three is a stranger: got %v (hints %q)", err, hints)
	}
	if asked := aws.calls(); asked != nil {
		t.Errorf("the stranger was asked: %q", asked)
	}
}
