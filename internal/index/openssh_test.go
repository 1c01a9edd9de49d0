package index

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// TestSSHPublicKeyIsNoLeak: a private key's file holds its public key in the
// very base64 in which authorized_keys has it, or not, by the length of the
// comment. What the file has beside that is found, line by line.
func TestSSHPublicKeyIsNoLeak(t *testing.T) {
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		key, public any
		secret      int // lines that are looked for, at least
	}{"ed25519": {edKey, edKey.Public(), 2}, "rsa": {rsaKey, rsaKey.Public(), 12}} {
		for _, comment := range []string{"", "a", "build@ci", "the-key-of-2026@ci.example.com"} {
			block, err := ssh.MarshalPrivateKey(tc.key, comment)
			if err != nil {
				t.Fatal(err)
			}
			public, err := ssh.NewPublicKey(tc.public)
			if err != nil {
				t.Fatal(err)
			}
			value := pem.EncodeToMemory(block)
			x := compile(t, string(value))
			x.Each(ssh.MarshalAuthorizedKey(public), Text, func(m Match) bool {
				t.Errorf("%s %q: the public key is found as %s: bytes %d to %d", name, comment, m.Encoding, m.Start, m.End)
				return false
			})
			x.Each(pem.EncodeToMemory(another(t, tc.key, comment)), Text, func(m Match) bool {
				t.Errorf("%s %q: another key is found as %s: bytes %d to %d", name, comment, m.Encoding, m.Start, m.End)
				return false
			})
			found := 0
			for line := range strings.Lines(string(value)) {
				if x.Has([]byte(strings.TrimSpace(line)), Text) {
					found++
				}
			}
			if found < tc.secret {
				t.Errorf("%s %q: %d lines are found, want %d", name, comment, found, tc.secret)
			}
			if !x.Has(bytes.ReplaceAll(value, []byte("\n"), nil), Text) {
				t.Errorf("%s %q: not found on one line", name, comment)
			}
		}
	}
}

// another is a key of the same kind.
func another(t *testing.T, key any, comment string) *pem.Block {
	t.Helper()
	var err error
	if _, ok := key.(*rsa.PrivateKey); ok {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		_, key, err = newEd25519()
	}
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, comment)
	if err != nil {
		t.Fatal(err)
	}
	return block
}

func newEd25519() (public, private any, err error) { return ed25519.GenerateKey(rand.Reader) }

// FuzzSSHPublic: whatever a value looks like, no mark is outside it.
func FuzzSSHPublic(f *testing.F) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(pem.EncodeToMemory(block))
	f.Add([]byte("b3BlbnNzaC1rZXktdjE="))
	f.Add([]byte("b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gt"))
	f.Fuzz(func(t *testing.T, v []byte) {
		if marks := sshPublic(v); marks != nil && len(marks) != len(v) {
			t.Errorf("%d marks of %d bytes", len(marks), len(v))
		}
		sshPublicLines(v)
	})
}
