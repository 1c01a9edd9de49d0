package main_test

import (
	"errors"
	"fmt"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// A forge is a server with the repository that the component is published in,
// as somebody's GitLab would have it: by git over HTTP, with a release.
type forge struct {
	*httptest.Server
}

// newForge publishes the component as org/secure-build, version 1.0.0.
func newForge(root string) (*forge, error) {
	f := &forge{}
	template, err := os.ReadFile(filepath.Join("..", "..", "templates", "secure-build.yml"))
	if err != nil {
		return nil, err
	}
	source := filepath.Join(root, "source")
	if err := os.MkdirAll(filepath.Join(source, "templates"), 0o700); err != nil {
		return nil, err
	}
	for _, name := range []string{filepath.Join("templates", "secure-build.yml"), "gitlab-component.yml"} {
		if err := os.WriteFile(filepath.Join(source, name), template, 0o600); err != nil {
			return nil, err
		}
	}
	bare := filepath.Join(root, "org", "secure-build.git")
	for _, args := range [][]string{
		{"-C", source, "init", "-q", "-b", "main"},
		{"-C", source, "add", "."},
		{"-C", source, "commit", "-q", "-m", "Release 1.0.0"},
		{"-C", source, "tag", "1.0.0"},
		{"clone", "-q", "--bare", source, bare},
		{"-C", bare, "config", "uploadpack.allowFilter", "true"}, // GitLab allows it
		{"-C", bare, "config", "http.receivepack", "false"},
	} {
		if err := git(args...); err != nil {
			return nil, err
		}
	}
	f.Server = httptest.NewServer(&cgi.Handler{
		Path: "/bin/sh", Args: []string{"-c", `exec "$(git --exec-path)/git-http-backend"`},
		Env: []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "PATH=" + os.Getenv("PATH"), "HOME=" + root, "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"},
	})
	return f, nil
}

func git(args ...string) error {
	cmd := exec.Command("git", append([]string{"-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1"}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// gitlab-project FOLDER: makes a folder the checkout of a project, whose GitLab
// has the component. gitlab-ci-local finds the server in the remote's address.
func (s *scene) gitlabProjectCmd(ts *testscript.TestScript, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: gitlab-project FOLDER")
	}
	root, err := os.MkdirTemp(s.work, "forge")
	if err != nil {
		return err
	}
	f, err := newForge(root)
	if err != nil {
		return err
	}
	ts.Defer(f.Close)
	dir := ts.MkAbs(args[0])
	for _, args := range [][]string{
		{"init", "-q", "-b", "main"},
		{"remote", "add", "origin", f.URL + "/team/app.git"},
		{"add", "."},
		{"commit", "-q", "-m", "A project"},
	} {
		if err := git(append([]string{"-C", dir}, args...)...); err != nil {
			return err
		}
	}
	return nil
}

// gitlab FOLDER CODE ARG…: runs gitlab-ci-local there, as a runner with a shell
// executor. The project's variables are in plain/variables.yml. What a job may
// have in its environment it has, so nobody looks at the processes.
func (s *scene) gitlabCmd(ts *testscript.TestScript, args []string) error {
	if len(args) < 2 {
		return errors.New("usage: gitlab FOLDER CODE ARG…")
	}
	tools, err := toolsDir()
	if err != nil {
		return err
	}
	modules := filepath.Join(tools, "node", "node_modules")
	node, _ := filepath.Glob(filepath.Join(modules, "node-linux-*", "bin", "node")) // newer than Debian's
	if len(node) != 1 {
		return fmt.Errorf("no node in %s (make test installs it)", modules)
	}
	cmd := exec.Command(node[0], append([]string{
		filepath.Join(modules, "gitlab-ci-local", "dist", "index.js"), "--force-shell-executor", "--color=false", "--home", filepath.Join(s.work, "home"), "--variables-file", "../plain/variables.yml",
	}, args[2:]...)...)
	cmd.Dir = ts.MkAbs(args[0])
	cmd.Env = append(s.environment(ts), "GIT_CONFIG_NOSYSTEM=1", "FORCE_COLOR=0")
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	s.runs = append(s.runs, run{stdout.String(), stderr.String()})
	_, _ = ts.Stdout().Write([]byte(stdout.String()))
	_, _ = ts.Stderr().Write([]byte(stderr.String()))
	if errors.As(err, new(*exec.ExitError)) {
		err = nil
	}
	if got := fmt.Sprint(cmd.ProcessState.ExitCode()); err == nil && got != args[1] {
		err = fmt.Errorf("exit code: got %s, want %s", got, args[1])
	}
	return err
}

// gitlab-example FOLDER NAME: makes a file of examples/gitlab the folder's
// .gitlab-ci.yml.
func (s *scene) gitlabExampleCmd(ts *testscript.TestScript, args []string) error {
	if len(args) != 2 {
		return errors.New("usage: gitlab-example FOLDER NAME")
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "examples", "gitlab", args[1]))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(ts.MkAbs(args[0]), ".gitlab-ci.yml"), text, 0o600)
}

// valid-reports FOLDER: the two reports that GitLab reads keep to its schemas.
func (s *scene) validReportsCmd(ts *testscript.TestScript, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: valid-reports FOLDER")
	}
	var errs []error
	for report, rules := range map[string]string{
		"gl-secret-detection.json": "gitlab-secret-detection.schema.json", "gl-codequality.json": "gitlab-codequality.schema.json",
	} {
		schema, err := jsonschema.NewCompiler().Compile(filepath.Join("..", "..", "internal", "report", "testdata", rules))
		if err != nil {
			return err
		}
		text, err := jsonschema.UnmarshalJSON(strings.NewReader(ts.ReadFile(filepath.Join(args[0], report))))
		errs = append(errs, err, schema.Validate(text))
	}
	return errors.Join(errs...)
}
