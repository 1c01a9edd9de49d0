package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/org/secure-build/internal/index"
)

// TestProgramID: two builds of the same sources are the same program, wherever
// they lie, and any other is another.
func TestProgramID(t *testing.T) {
	dir := t.TempDir()
	build := func(goos, out, source string, flags ...string) string {
		t.Helper()
		main := filepath.Join(t.TempDir(), "main.go")
		if err := os.WriteFile(main, []byte("package main\n\nfunc main() { println(`"+source+"`) }\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		out = filepath.Join(dir, goos+out)
		cmd := exec.Command("go", append(append([]string{"build", "-trimpath", "-o", out}, flags...), main)...)
		cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH=amd64", "CGO_ENABLED=0", "GOFLAGS=")
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		return out
	}
	for _, goos := range []string{"linux", "darwin"} {
		for _, flags := range [][]string{{"-ldflags=-s -w"}, {"-ldflags=-s -w -buildid="}} {
			one, same, other := build(goos, "one", "a", flags...), build(goos, "same", "a", flags...), build(goos, "other", "b", flags...)
			later := time.Now().Add(time.Hour)
			if err := os.Chtimes(same, later, later); err != nil {
				t.Fatal(err)
			}
			var ids []string
			for _, name := range []string{one, same, other} {
				id, err := programID(name)
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, id)
			}
			if ids[0] != ids[1] || ids[0] == ids[2] {
				t.Errorf("%s %q: got %q, want the first two alike, and not the third", goos, flags, ids)
			}
			if got, want := strings.HasPrefix(ids[0], "build ID "), !strings.Contains(flags[0], "buildid"); got != want {
				t.Errorf("%s %q: told by its build ID: got %v, want %v", goos, flags, got, want)
			}
		}
	}
	if _, err := programID(filepath.Join(dir, "absent")); err == nil {
		t.Error("want an error for a program that is not there")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if want, err := programID(self); err != nil || thisProgram() != want {
		t.Errorf("got %q, %v, want %q", thisProgram(), err, want)
	}
}

// TestMemoryOfAnotherBuild: what another build has found clean is read again,
// though both say that they are of one version.
func TestMemoryOfAnotherBuild(t *testing.T) {
	dir, set := t.TempDir(), run("AGE-1", "", time.Time{})
	x := index.Compile(set)
	book := func(build string) interface {
		Get(string) ([]byte, bool)
		Put(string, []byte) error
	} {
		return (policy{}).memoryOf(func() string { return build }, dir, set, x)
	}
	if err := book("one").Put("sha256:aaaa", []byte("clean")); err != nil {
		t.Fatal(err)
	}
	var got []bool
	for _, build := range []string{"one", "another"} {
		_, ok := book(build).Get("sha256:aaaa")
		got = append(got, ok)
	}
	if want := []bool{true, false}; !slices.Equal(got, want) {
		t.Errorf("remembered by the same and by another build: got %v, want %v", got, want)
	}
}
