package buildkit

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestCommitRunsNothing: what a repository names is not run, and a folder that was
// checked out is no repository though it looks like one. (That the rest is the
// same as with buildx is shown with both: TestProvenanceOfRotation.)
func TestCommitRunsNothing(t *testing.T) {
	root := t.TempDir()
	git := func(dir string, args ...string) {
		t.Helper()
		if out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	ran, program, bare := filepath.Join(t.TempDir(), "ran"), filepath.Join(root, "program"), filepath.Join(root, "bare")
	write(t, filepath.Join(root, "Dockerfile"), "FROM scratch\n")
	if err := os.WriteFile(program, []byte("#!/bin/sh\ntouch "+ran+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	git(root, "init", "-q", "-b", "main")
	git(root, "add", ".")
	git(root, "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-q", "-m", "first")
	git(root, "config", "core.fsmonitor", program)
	git(root, "clone", "-q", "--bare", root, bare)
	git(bare, "config", "core.bare", "false")
	git(bare, "config", "core.worktree", root)
	git(bare, "config", "core.fsmonitor", program)
	env := func(name string) string { return map[string]string{"BUILDX_GIT_CHECK_DIRTY": "1"}[name] }
	for _, dir := range []string{root, bare} {
		attrs, _ := Commit(t.Context(), Request{Context: dir}, env)
		if _, err := os.Stat(ran); err == nil {
			t.Errorf("%s: the program of the repository ran", dir)
		}
		if revision := attrs["vcs:revision"]; dir == root && !strings.HasSuffix(revision, "-dirty") || dir == bare && revision != "" {
			t.Errorf("%s: got the revision %q", dir, revision)
		}
		_ = os.Remove(ran)
	}
}
