package source

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/org/secure-build/internal/hint"
)

// git runs the real git in a folder of the world.
func (w *world) git(dir string, args ...string) string {
	w.t.Helper()
	args = append([]string{"-C", filepath.Join(w.dir, dir), "-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "protocol.file.allow=always", "-c", "init.defaultBranch=main"}, args...)
	cmd := exec.Command("git", args...)
	cmd.Env = []string{"HOME=" + w.dir, "PATH=" + w.env["PATH"], "GIT_CONFIG_NOSYSTEM=1"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// checkouts makes a repository with two commits and what a job may have of it.
func (w *world) checkouts() (base, head string) {
	w.write("repo/Dockerfile", "FROM scratch\n")
	w.write("repo/sub/app/Dockerfile", "FROM scratch\n")
	w.git("repo", "init", "--quiet")
	w.git("repo", "add", ".")
	w.git("repo", "commit", "--quiet", "-m", "base")
	base = w.git("repo", "rev-parse", "HEAD")
	w.git("repo", "checkout", "--quiet", "-b", "team/change")
	w.git("repo", "commit", "--quiet", "--allow-empty", "-m", "head")
	head = w.git("repo", "rev-parse", "HEAD")
	for name, commit := range map[string]string{"base": base, "head": head} {
		w.git(".", "clone", "--quiet", "--no-checkout", "repo", name)
		w.git(name, "checkout", "--quiet", "--detach", commit)
	}
	return base, head
}

func TestHeadCommit(t *testing.T) {
	w := newWorld(t)
	base, head := w.checkouts()
	w.git("repo", "worktree", "add", "--quiet", w.dir+"/worktree", "main")
	w.git("base", "submodule", "--quiet", "add", w.dir+"/repo", "module")
	w.git(".", "clone", "--quiet", "repo", "packed")
	w.git("packed", "pack-refs", "--all")
	w.git(".", "init", "--quiet", "empty")
	w.write("odd/.git/HEAD", "ref: refs/../../../repo/.git/HEAD\n")
	w.write("nowhere/.git", "gitdir: /nonexistent\n")
	for folder, want := range map[string]string{
		"repo": head, "repo/sub/app": head, "repo/Dockerfile": head, "base": base, "head": head, "worktree": base,
		"base/module": head, "packed": head, "empty": "", "odd": "", "nowhere": "", ".": "", "missing": "",
		"https://github.com/org/app.git": "", "git@github.com:org/app.git": "",
	} {
		path := filepath.Join(w.dir, folder)
		if strings.Contains(folder, "@") || strings.Contains(folder, ":") {
			path = folder
		}
		got, err := headCommit(path)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: got %q (%v), want %q", folder, got, err, want)
		}
	}
}

// TestI10Decide tables what a job may do, by its event and its checkout.
func TestI10Decide(t *testing.T) {
	w := newWorld(t)
	base, head := w.checkouts()
	w.write("none/Dockerfile", "FROM scratch\n")
	pull := func(from string) string {
		return fmt.Sprintf(`{"pull_request":{"head":{"sha":%q,"repo":{"full_name":%q}},"base":{"sha":%q,"repo":{"full_name":"org/app"}}}}`, head, from, base)
	}
	w.write("own.json", pull("org/app"))
	w.write("fork.json", pull("eve/app"))
	w.write("run-fork.json", `{"repository":{"full_name":"org/app"},"workflow_run":{"event":"pull_request","head_repository":{"full_name":"eve/app"}}}`)
	w.write("run-own.json", `{"repository":{"full_name":"org/app"},"workflow_run":{"event":"push","head_repository":{"full_name":"org/app"}}}`)
	w.write("comment.json", `{"issue":{"number":1,"pull_request":{"url":"u"}}}`)
	w.write("issue.json", `{"issue":{"number":1}}`)
	const all, neither, refused = "all", "neither", "refused"
	tests := []struct{ event, file, folders, want string }{
		{"push", "missing.json", "head", all},
		{"pull_request", "own.json", "head", all},
		{"pull_request", "fork.json", "head", neither},
		{"pull_request", "missing.json", "head", neither},
		{"pull_request_target", "own.json", "head", all},
		{"pull_request_target", "fork.json", "base", neither},
		{"pull_request_target", "fork.json", "base base", neither},
		{"pull_request_target", "fork.json", "head", refused},
		{"pull_request_target", "fork.json", "base head", refused},
		{"pull_request_target", "fork.json", "none", refused},
		{"pull_request_target", "fork.json", "https://github.com/eve/app.git", refused},
		{"pull_request_target", "missing.json", "base", neither},
		{"pull_request_target", "missing.json", "head", refused},
		{"workflow_run", "run-own.json", "head", all},
		{"workflow_run", "run-fork.json", "base", neither},
		{"workflow_run", "run-fork.json", "head", refused},
		{"workflow_run", "missing.json", "head", refused},
		{"issue_comment", "issue.json", "head", all},
		{"issue_comment", "comment.json", "base", all},
		{"issue_comment", "comment.json", "head", refused},
		{"issue_comment", "missing.json", "head", refused},
		{"workflow_dispatch", "missing.json", "head", all},
	}
	for _, tc := range tests {
		t.Run(strings.Join([]string{tc.event, tc.file, tc.folders}, " "), func(t *testing.T) {
			w.env["GITHUB_EVENT_NAME"], w.env["GITHUB_EVENT_PATH"], w.env["GITHUB_SHA"] = tc.event, filepath.Join(w.dir, tc.file), base
			var folders []string
			for _, f := range strings.Fields(tc.folders) {
				if !strings.Contains(f, ":") {
					f = filepath.Join(w.dir, f)
				}
				folders = append(folders, f)
			}
			d, err := Decide(w.options(), folders...)
			got := map[bool]string{true: all, false: neither}[d.Decrypt && d.Push]
			if err != nil {
				got = refused
			}
			if got != tc.want || d.Decrypt != d.Push || (d.Why == nil) != (tc.want == all) {
				t.Errorf("got %s (%+v, %v), want %s", got, d, err, tc.want)
			}
			if tc.want != all && (!errors.Is(d.Why, ErrFork) || hint.Of(d.Why) == nil) {
				t.Errorf("it does not say why: %v", d.Why)
			}
		})
	}
}
