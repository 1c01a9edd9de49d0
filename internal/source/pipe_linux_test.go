package source

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/org/secure-build/internal/index"
	"golang.org/x/sys/unix"
)

// TestPipeIsReadOnce: SOPS_AGE_KEY_FILE=<(pass show age) gives the key once, to
// the decryption; nobody waits for a pipe that is not needed.
func TestPipeIsReadOnce(t *testing.T) {
	w := newWorld(t)
	w.encrypt("s.yaml", "a: CANARY-a\n")
	delete(w.env, "SOPS_AGE_KEY")
	w.env["SOPS_AGE_KEY_FILE"] = filepath.Join(w.dir, "pipe")
	if err := unix.Mkfifo(w.env["SOPS_AGE_KEY_FILE"], 0o600); err != nil {
		t.Fatal(err)
	}
	if set := JobKeys(w.options()); len(set.Searched()) > 0 {
		t.Errorf("got %v", set.Searched())
	}
	go func() { _ = os.WriteFile(w.env["SOPS_AGE_KEY_FILE"], []byte(w.id.String()), 0o600) }()
	set, err := w.load("s.yaml")
	if err != nil || !index.Compile(set).Has([]byte(w.id.String()), index.Log) {
		t.Errorf("got %v, %v, want the value and the key", set.Searched(), err)
	}
}
