package rules

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFalseAlarms searches Go's own sources: a hundred megabytes of text about
// keys and tokens, with none in it but the private keys of a few tests.
func TestFalseAlarms(t *testing.T) {
	r, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(goroot(t), "src")
	if testing.Short() {
		root = filepath.Join(root, "crypto")
	}
	var total, files int
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		files++
		total += len(text)
		for _, h := range hits(r, name, string(text)) {
			if h.Rule == "private-key" && strings.Contains(string(text[h.Offset:h.Offset+40]), "PRIVATE KEY-----") {
				continue
			}
			t.Errorf("%s: %s at %d", name, h.Rule, h.Offset)
		}
		return nil
	})
	if err != nil || files < 100 {
		t.Errorf("read %d files, %d bytes: %v", files, total, err)
	}
}
