package source

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestPublic: a stranger's Compose file is given no variable that may hold a
// secret of the job.
func TestPublic(t *testing.T) {
	environ := []string{
		"CI=true", "CI_COMMIT_SHA=1", "CI_PROJECT_PATH=a/b", "CI_REGISTRY_IMAGE=r/a/b", "GITHUB_SHA=1", "COMPOSE_PROJECT_NAME=x",
		"CI_JOB_TOKEN=s", "CI_REGISTRY_PASSWORD=s", "CI_REGISTRY_USER=s", "CI_DEPLOY_PASSWORD=s", "CI_JOB_JWT_V2=s", "CI_REPOSITORY_URL=s", "CI_BUILD_TOKEN=s",
		"GITHUB_TOKEN=s", "ACTIONS_RUNTIME_TOKEN=s", "ACTIONS_ID_TOKEN_REQUEST_TOKEN=s", "SOPS_AGE_KEY=s", "AWS_SECRET_ACCESS_KEY=s",
		"NPM_TOKEN=s", "HOME=/root", "MY_CI_COMMIT_SHA=s", "ci_commit_sha=s", "=s", "",
	}
	if got, want := public(environ), environ[:6]; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestInside(t *testing.T) {
	parent, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(parent, "checkout")
	if err := errors.Join(
		os.MkdirAll(filepath.Join(root, "git@x"), 0o755), os.Mkdir(filepath.Join(root, "ctx"), 0o755), os.Mkdir(filepath.Join(parent, "other"), 0o755),
		os.Symlink("..", filepath.Join(root, "up")), os.Symlink("ctx", filepath.Join(root, "down")), os.Symlink("up/other", filepath.Join(root, "two")),
	); err != nil {
		t.Fatal(err)
	}
	t.Chdir(root)
	for path, want := range map[string]bool{
		".": true, "ctx": true, root: true, "down": true, "ctx/missing": true, "missing/deep": true, "ctx/..": true,
		"..": false, parent: false, "up": false, "up/other": false, "two": false, "up/missing": false, "../missing": false, "/": false, root + "2": false,
		"https://example.com/x.git": true, "git@example.com:a/b.git": true, "docker-image://alpine": true, "target:base": true,
		"git@x/../..": false, "x:/../../other": false,
	} {
		if got := inside(root, path); got != want {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	}
}
