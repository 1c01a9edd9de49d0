package source

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestI2SilentLibrary holds that nothing is printed while decrypting: the sops
// library warns on stderr about a comment that is not encrypted, and quotes it.
func TestI2SilentLibrary(t *testing.T) {
	w := newWorld(t)
	w.encrypt("s.yaml", "a: CANARY-a # CANARY-c\n")
	w.write("s.yaml", strings.Replace(w.read("s.yaml"), "a: ENC", "# CANARY-by-hand\na: ENC", 1))
	if _, err := w.sops("decrypt", "s.yaml"); err != nil {
		t.Fatal(err)
	}
	got, printed := inChild(t, w.environ(), w.dir+"/s.yaml")
	if diff := cmp.Diff(map[string]string{"a": "CANARY-a"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if printed != "" {
		t.Errorf("it printed %q", printed)
	}

	// A comment that was not encrypted is no secret.
	set, err := w.load("s.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a=CANARY-a", "comment= CANARY-c"}, searched(set)); diff != "" {
		t.Errorf("masked (-want +got):\n%s", diff)
	}
}

// TestSilentFailure holds the same for an error, and with a PGP key that has a
// passphrase, for which the library would ask on the terminal.
func TestSilentFailure(t *testing.T) {
	w := newWorld(t)
	home, fingerprint := w.gpgHome("one", "")
	w.env["GNUPGHOME"] = home
	w.encrypt("s.yaml", testPlain, "--pgp", fingerprint, "--age", w.id.Recipient().String())
	w.env["GNUPGHOME"], _ = w.gpgHome("other", "")
	delete(w.env, "SOPS_AGE_KEY")
	got, printed := inChild(t, w.environ(), w.dir+"/s.yaml")
	if !strings.Contains(got["error"], "no key fits") || strings.Contains(got["error"], "\n") {
		t.Errorf("got %q", got["error"])
	}
	if printed != "" {
		t.Errorf("it printed %q", printed)
	}
}
