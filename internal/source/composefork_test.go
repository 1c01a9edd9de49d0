package source

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestPublic: a stranger's Compose file is given no variable that may hold a
// secret of the job.
func TestPublic(t *testing.T) {
	environ := []string{
		"CI=true", "CI_COMMIT_SHA=1", "CI_PROJECT_PATH=a/b", "CI_REGISTRY_IMAGE=r/a/b", "GITHUB_SHA=1", "COMPOSE_PROJECT_NAME=x",
		"CI_JOB_TOKEN=s", "CI_REGISTRY_PASSWORD=s", "CI_REGISTRY_USER=s", "CI_DEPLOY_PASSWORD=s", "CI_JOB_JWT_V2=s", "CI_REPOSITORY_URL=s", "CI_BUILD_TOKEN=s",
		"GITHUB_TOKEN=s", "ACTIONS_RUNTIME_TOKEN=s", "ACTIONS_ID_TOKEN_REQUEST_TOKEN=s", "SOPS_AGE_KEY=s", "AWS_SECRET_ACCESS_KEY=s",
		"CI_PROJECT_TOKEN=s", "CI_PROJECT_ACCESS_TOKEN=s", "CI_COMMIT_TOKEN=s", "CI_COMMIT_SIGNING_KEY=s", // people's own names
		"NPM_TOKEN=s", "HOME=/root", "MY_CI_COMMIT_SHA=s", "ci_commit_sha=s", "=s", "",
	}
	if got, want := public(environ), environ[:6]; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// strangersJob is a job for a fork's pull request, which has variables of its own.
func strangersJob(t *testing.T, event, payload string) Options {
	t.Helper()
	name := filepath.Join(t.TempDir(), "event.json")
	if err := os.WriteFile(name, []byte(payload), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"GITHUB_EVENT_NAME": event, "GITHUB_EVENT_PATH": name, "NPM_TOKEN": "npm_dG9rZW4tb2YtdGhlLWpvYg"}
	return Options{
		LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		Environ:   func() []string { return []string{"NPM_TOKEN=" + env["NPM_TOKEN"]} },
	}
}

const forkEvent = `{"pull_request":{"head":{"repo":{"full_name":"eve/app"}},"base":{"repo":{"full_name":"org/app"}}}}`

// TestForkCacheFrom: credentials of a cache are added from the job's variables,
// so that a stranger's file must not say where they go.
func TestForkCacheFrom(t *testing.T) {
	file := composeFiles(t, map[string]string{"compose.yaml": `
services:
  app:
    build:
      context: .
      cache_from:
        - r.example.com/app:cache
        - type=registry,ref=r.example.com/app:other
        - type=gha,version=1,url=https://evil.example.com/
        - type=s3,bucket=b,region=r,endpoint_url=https://evil.example.com
        - type=azblob,account_url=https://evil.example.com
        - type=local,src=/srv
        - type=registry,type=gha,url=https://evil.example.com/
        - type=registry,ref=r.example.com/x,TYPE=local,src=/srv
        - ref=r.example.com/x, type=gha
        - '"type=gha","url=https://evil.example.com/"'
        - 'type=registry,"'
        - ref=r.example.com/x
        - ""
`})
	all, err := Compose(t.Context(), []string{file}, nil, strangersJob(t, "pull_request", forkEvent))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := all[0].Lists["cache-from"], []string{"r.example.com/app:cache", "type=registry,ref=r.example.com/app:other"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := len(all[0].Warnings), 11; got != want {
		t.Errorf("got %d warnings, want %d", got, want)
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
		os.Symlink("..", filepath.Join(root, "up")), os.Symlink("ctx", filepath.Join(root, "down")), os.Symlink("up/other", filepath.Join(root, "two")), os.Symlink("../missing", filepath.Join(root, "nothing")),
	); err != nil {
		t.Fatal(err)
	}
	t.Chdir(root)
	for path, want := range map[string]bool{
		".": true, "ctx": true, root: true, "down": true, "ctx/missing": true, root + "/ctx/missing": true, "missing/deep": true, "ctx/..": false, "./ctx/..": false, "up/..": false, root + "/up/..": false, root + "/up/../checkout/ctx": false, "./.": true, "./ctx": true, "../checkout/ctx": true, root + "//ctx": true, "..ctx": true,
		"..": false, parent: false, "up": false, "up/other": false, "two": false, "up/missing": false, "nothing": false, "nothing/deep": false, "../missing": false, "/": false, root + "2": false,
		"https://example.com/x.git": true, "git@example.com:a/b.git": true, "docker-image://alpine": true, "target:base": true,
		"git@x/../..": false, "x:/../../other": false,
	} {
		if got := inside(root, path); got != want {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	}
}

// TestForkPathsAsOpened: what is judged is what is opened, also where a link and
// ".." meet, a digest follows, or a context is fetched or looks as if it were.
func TestForkPathsAsOpened(t *testing.T) {
	parent, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	root, home := filepath.Join(parent, "checkout"), filepath.Join(parent, "home", "docker")
	if err := errors.Join(
		os.MkdirAll(filepath.Join(root, "ctx"), 0o755), os.MkdirAll(filepath.Join(root, "ftp:", "x"), 0o755), os.MkdirAll(home, 0o755),
		os.Symlink(home, filepath.Join(root, "up")), os.MkdirAll(filepath.Join(root, "y=docker-image:"), 0o755), os.Symlink(home, filepath.Join(root, "y=docker-image:", "z")),
		os.Mkdir(filepath.Join(root, "ign"), 0o755), os.Symlink(home, filepath.Join(root, "ign", ".dockerignore")), os.Symlink(home, filepath.Join(root, "ign", "D.dockerignore")),
		os.WriteFile(filepath.Join(parent, "home", "config"), []byte("services: {x: {build: .}}"), 0o600),
		os.WriteFile(filepath.Join(root, "config"), nil, 0o600), // what a cleaned path would find
	); err != nil {
		t.Fatal(err)
	}
	t.Chdir(root)
	for name, tt := range map[string]struct{ service, want string }{
		"context":            {"build: {context: ROOT/up/..}", "build.context is outside"},
		"named":              {"build: {context: ctx, additional_contexts: {x: ROOT/up/..}}", "build.additional_contexts.x is outside"},
		"dockerfile":         {"build: {context: ctx, dockerfile: ROOT/up/../config}", "build.dockerfile is outside"},
		"extends":            {"extends: {file: ROOT/up/../config, service: x}", "is outside of the checkout"},
		"layout":             {"build: {context: ctx, additional_contexts: {x: 'oci-layout://up/../x'}}", "build.additional_contexts.x is outside"},
		"layout by tag":      {"build: {context: ctx, additional_contexts: {x: 'oci-layout://up:1'}}", "build.additional_contexts.x is outside"},
		"layout by digest":   {"build: {context: ctx, additional_contexts: {x: 'oci-layout://up@sha256:00'}}", "build.additional_contexts.x is outside"},
		"cut elsewhere":      {"build: {context: ctx, additional_contexts: {'x=y': 'docker-image://z'}}", "build.additional_contexts.x=y: a name has no ="},
		"what is ignored":    {"build: {context: ctx, additional_contexts: {x: ign}}", "the .dockerignore of build.additional_contexts.x is outside"},
		"ignored by context": {"build: {context: ign}", "the .dockerignore of build.context is outside"},
		"by the Dockerfile":  {"build: {context: ctx, dockerfile: ../ign/D}", "the .dockerignore of build.dockerfile is outside"},
		"fetched":            {"build: {context: 'https://example.com/x.git', dockerfile: PARENT/home/config}", "build.dockerfile is outside"},
		"a name of a folder": {"build: {context: 'ftp://x', dockerfile: ../home/config}", "build.dockerfile is outside"},
		"fine":               {"build: {context: ROOT/ctx, dockerfile: ../config, additional_contexts: {a: 'oci-layout://ctx:1', b: 'oci-layout://ROOT/ctx@sha256:00', c: ctx}}", ""},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.NewReplacer("ROOT", root, "PARENT", parent).Replace("services: {app: {" + tt.service + "}}")
			if err := os.WriteFile("compose.yaml", []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Compose(t.Context(), []string{"compose.yaml"}, nil, strangersJob(t, "pull_request", forkEvent))
			if got := fmt.Sprint(err); tt.want == "" && err != nil || !strings.Contains(got, tt.want) {
				t.Errorf("got %s, want %q", got, tt.want)
			}
		})
	}
}

// TestComposeFileIsALink: what the job names as a Compose file is the stranger's
// to put in its place.
func TestComposeFileIsALink(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	file := filepath.Join(dir, "compose.yaml")
	if err := errors.Join(os.Mkdir(filepath.Join(dir, ".git"), 0o755), os.WriteFile(filepath.Join(other, "x"), []byte("services: {x: {build: .}}"), 0o600),
		os.Symlink(filepath.Join(other, "x"), file)); err != nil {
		t.Fatal(err)
	}
	_, err := Compose(t.Context(), []string{file}, nil, strangersJob(t, "pull_request", forkEvent))
	if got, want := fmt.Sprint(err), "is outside of the checkout"; !strings.Contains(got, want) {
		t.Errorf("got %s, want %q", got, want)
	}
	if _, err := Compose(t.Context(), []string{file}, nil, strangersJob(t, "push", "{}")); err != nil {
		t.Errorf("the repository's own: %v", err)
	}
}

// TestComposeOfAComment: a job that a comment on a pull request has started does
// not know whose change it has checked out. (chat-ops)
func TestComposeOfAComment(t *testing.T) {
	file := composeFiles(t, map[string]string{"compose.yaml": "services: {app: {build: ., image: 'x ${NPM_TOKEN} y'}}", "args.yaml": "services: {app: {build: {context: ., args: {ONE: '${NPM_TOKEN}'}}}}"})
	args := filepath.Join(filepath.Dir(file), "args.yaml")
	opts := strangersJob(t, "issue_comment", `{"issue":{"pull_request":{}}}`)
	_, err := Compose(t.Context(), []string{file}, nil, opts)
	if strings.Contains(fmt.Sprint(err), "npm_") {
		t.Errorf("an error quotes a variable of the job: %v", err)
	}
	all, err := Compose(t.Context(), []string{args}, nil, opts)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := all[0].Lists["build-arg"], []string{"ONE="}; !all[0].Fork || !slices.Equal(got, want) {
		t.Errorf("got %v %q, want %q", all[0].Fork, got, want)
	}
	all, err = Compose(t.Context(), []string{args}, nil, strangersJob(t, "issue_comment", `{"issue":{}}`)) // of no pull request
	if err != nil {
		t.Fatal(err)
	}
	if got := all[0].Lists["build-arg"]; all[0].Fork || slices.Equal(got, []string{"ONE="}) {
		t.Errorf("the repository's own: got %v %q", all[0].Fork, got)
	}
}

// TestCheckoutOf: the root is a whole path, wherever the job stands.
func TestCheckoutOf(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{".git", "sub/deep", "other"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for from, files := range map[string][]string{
		".": {"compose.yaml", "sub/deep/compose.yaml"}, "sub": {"../compose.yaml", "deep/compose.yaml", "../other/compose.yaml", root + "/compose.yaml"},
	} {
		t.Chdir(filepath.Join(root, from))
		for _, file := range files {
			if got := checkoutOf(file); got != root {
				t.Errorf("%s from %s: got %s, want %s", file, from, got, root)
			}
		}
	}
}

// TestForkSecretFiles: nothing is said of a file outside, not even whether it is
// there.
func TestForkSecretFiles(t *testing.T) {
	outside := t.TempDir()
	there := filepath.Join(outside, "there.yaml")
	if err := os.WriteFile(there, []byte("name-of-a-key: ENC[AES256_GCM,data:AAAA\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, name := range []string{there, filepath.Join(outside, "missing.yaml"), "link"} {
		file := composeFiles(t, map[string]string{"compose.yaml": "services: {app: {build: {context: ., secrets: [s]}}}\nsecrets: {s: {file: '" + name + "'}}\n"})
		if err := os.Symlink(there, filepath.Join(filepath.Dir(file), "link")); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(filepath.Dir(file), ".git"), 0o755); err != nil {
			t.Fatal(err)
		}
		all, err := Compose(t.Context(), []string{file}, nil, strangersJob(t, "pull_request", forkEvent))
		got := strings.ReplaceAll(fmt.Sprint(err), filepath.Dir(file), "CHECKOUT")
		if want := `service app: the file of the secret "s" is outside of CHECKOUT`; !strings.Contains(got, want) || len(all) > 0 {
			t.Errorf("%s: got %s %v, want %s", name, got, all, want)
		}
		said = append(said, got)
	}
	if len(slices.Compact(said)) != 1 {
		t.Errorf("what is there is told from what is not: %q", said)
	}
	file := composeFiles(t, map[string]string{"s.txt": "x", "compose.yaml": "services: {app: {build: {context: ., secrets: [s, m]}}}\nsecrets: {s: {file: s.txt}, m: {file: missing}}\n"})
	if all, err := Compose(t.Context(), []string{file}, nil, strangersJob(t, "pull_request", forkEvent)); err != nil || len(all[0].Refs) != 2 {
		t.Errorf("its own files: got %v %v", all, err)
	}
}

// TestComposeFolderIsALink: nor does the checkout begin where a folder of the
// stranger's leads to. It does where the job itself names a file elsewhere.
func TestComposeFolderIsALink(t *testing.T) {
	parent, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	root, other := filepath.Join(parent, "checkout"), filepath.Join(parent, "other")
	if err := errors.Join(os.MkdirAll(filepath.Join(root, ".git"), 0o755), os.Mkdir(filepath.Join(root, "sub"), 0o755), os.MkdirAll(filepath.Join(other, ".git"), 0o755),
		os.Symlink(root, filepath.Join(parent, "named")), os.Symlink(other, filepath.Join(root, "deploy")), os.Symlink("sub", filepath.Join(root, "down")),
		os.WriteFile(filepath.Join(other, "compose.yaml"), []byte("services: {app: {build: .}}"), 0o600),
		os.WriteFile(filepath.Join(root, "sub", "compose.yaml"), []byte("services: {app: {build: .}}"), 0o600),
		os.WriteFile(filepath.Join(root, "args.yaml"), []byte("services: {app: {build: {args: {A: b}}}}"), 0o600),
		os.WriteFile(filepath.Join(root, "theirs.yaml"), []byte("services: {app: {build: {dockerfile_inline: 'COPY . /'}}}"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, wd := range []string{parent + "/named", parent + "/named/sub"} { // as PWD has it
		t.Chdir(wd)
		for _, tt := range []struct {
			files []string
			want  string
		}{
			{[]string{root + "/deploy/compose.yaml"}, "is outside of the checkout"},
			{[]string{root + "/deploy/compose.yaml", root + "/theirs.yaml"}, "is outside of the checkout"},
			{[]string{other + "/compose.yaml", root + "/theirs.yaml"}, "is outside of the checkout"},
			{[]string{parent + "/named/deploy/compose.yaml"}, "is outside of the checkout"},
			{[]string{other + "/compose.yaml"}, ""},
			{[]string{root + "/down/compose.yaml", root + "/args.yaml"}, ""},
		} {
			_, err := Compose(t.Context(), tt.files, nil, strangersJob(t, "pull_request", forkEvent))
			if got := fmt.Sprint(err); tt.want == "" && err != nil || !strings.Contains(got, tt.want) {
				t.Errorf("%s: %s: got %s, want %q", wd, tt.files, got, tt.want)
			}
		}
	}
}
