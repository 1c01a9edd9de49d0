package report

import (
	"os"
	"path/filepath"
	"testing"
)

// written writes a run's reports and returns where they are.
func written(t *testing.T, run Run) string {
	t.Helper()
	dir := t.TempDir()
	if err := Write(dir, run, same); err != nil {
		t.Fatal(err)
	}
	return dir
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}
