package main_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"github.com/org/secure-build/internal/dockertest"
	"github.com/rogpeppe/go-internal/testscript"
)

// root is the folder of the module, actDir what act runs in it.
var (
	root   = filepath.Join("..", "..")
	actDir = filepath.Join(root, "testdata", "act")
)

// act [-kill PATTERN] [-container] CODE WORKFLOW [EVENT]: runs a workflow of testdata/act by
// act, which is GitHub's runner here, on the repository in the folder repo. The
// action org/secure-build@v1 is action.yml and entrypoint.sh as they are, with
// the command beside them. EVENT is a file of testdata/act/events that is named
// after the event: pull_request.fork.json. With -kill, the job is cancelled as
// soon as the pattern is in its log. With -container, the job runs in the image
// act-job:1, and has nothing of this machine but the command.
func (s *scene) actCmd(ts *testscript.TestScript, args []string) (err error) {
	c := call{job: true}
	if len(args) > 2 && args[0] == "-kill" {
		if c.when, err = regexp.Compile(args[1]); err != nil {
			return err
		}
		c.signal, args = syscall.SIGTERM, args[2:]
	}
	contained := len(args) > 0 && args[0] == "-container"
	if contained {
		args = args[1:]
	}
	if len(args) < 2 || len(args) > 3 {
		return errors.New("usage: act [-kill PATTERN] [-container] CODE WORKFLOW [EVENT]")
	}
	event := "push"
	var payload []string
	if len(args) == 3 {
		event, _, _ = strings.Cut(args[2], ".")
		payload = []string{"--eventpath", absolute(actDir, "events", args[2])}
	}
	action, err := s.action(c.when != nil)
	if err != nil {
		return err
	}
	others, err := otherActions(args[1])
	if err != nil {
		return err
	}
	if err := commit(ts.MkAbs("repo")); err != nil {
		return err
	}
	ts.Setenv("RESULT", ts.MkAbs("result")) // a file that steps may write to
	c.want = args[0]
	c.args = append([]string{
		"act", event, "--directory", ts.MkAbs("repo"), "--workflows", absolute(actDir, args[1]), "--platform", "ubuntu-latest=-self-hosted",
		"--local-repository", "org/secure-build@v1=" + action, "--no-cache-server", "--var", "REGISTRY=" + s.registry.host(),
	}, append(others, payload...)...)
	for _, c0 := range s.canaries {
		if c0.exported { // a secret of the repository; act takes the value from its environment
			c.args = append(c.args, "--secret", c0.name)
		}
	}
	if contained {
		options, err := jobImage()
		if err != nil {
			return err
		}
		c.args = append(c.args, "--rm", "--pull=false", "--var", "OPTIONS="+options)
		return s.play(ts, c)
	}
	for _, name := range []string{"HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR", "TMPDIR", "BUILDKIT_HOST", "SECURE_BUILD_CACHE_DIR", "RUNNER_DEBUG", "RESULT", "DOCKER_HOST"} {
		if value := ts.Getenv(name); value != "" {
			c.args = append(c.args, "--env", name+"="+value)
		}
	}
	return s.play(ts, c)
}

// jobImage makes the image that a job runs in, and returns the options that bring
// what is too large for it, and the command.
func jobImage() (options string, err error) {
	tools, err := toolsDir()
	if err != nil {
		return "", err
	}
	engine, err := sharedEngine()
	if err != nil {
		return "", err
	}
	args, err := dockertest.LoadJob(engine, "act-job:1", tools)
	if err != nil {
		return "", err
	}
	command, err := exec.LookPath("secure-build")
	return strings.Join(append(args, "--volume", command+":"+command+":ro"), " "), err
}

// commit makes the folder a repository with all that is in it.
func commit(dir string) error {
	for _, args := range [][]string{
		{"init", "--quiet", "--initial-branch", "main"},
		{"add", "--all"},
		{"-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "--quiet", "--allow-empty", "--message", "t"},
	} {
		if out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
			return fmt.Errorf("git %s: %w\n%s", args[0], err, out)
		}
	}
	return nil
}

func absolute(parts ...string) string {
	path, err := filepath.Abs(filepath.Join(parts...))
	if err != nil {
		return filepath.Join(parts...)
	}
	return path
}

// action is a folder as GitHub would check the action out, with the command of
// this test in it.
func (s *scene) action(killed bool) (dir string, err error) {
	dir = filepath.Join(s.work, "action")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	for _, name := range []string{"action.yml", "entrypoint.sh"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o755); err != nil {
			return "", err
		}
	}
	command, err := exec.LookPath("secure-build") // as testscript has installed it
	if err != nil {
		return "", err
	}
	// act copies the folder with each step that it prepares; the command is large.
	launcher := fmt.Sprintf("#!/bin/sh\nexec '%s' \"$@\"\n", command)
	if !killed { // act does not read to its end what a step that fails has printed
		launcher = fmt.Sprintf("#!/bin/sh\ncode=0\n'%s' \"$@\" || code=$?\nsleep 1\nexit $code\n", command)
	}
	return dir, os.WriteFile(filepath.Join(dir, "secure-build"), []byte(launcher), 0o755)
}

var pinnedAction = regexp.MustCompile(`(?:actions|docker)/([a-z-]+)@[0-9a-f]{40}`)

// otherActions tells act where the actions are that a workflow and action.yml
// use beside ours: those of testdata/act. (act does the checkout itself.)
func otherActions(workflow string) (args []string, err error) {
	for _, path := range []string{filepath.Join(root, "action.yml"), filepath.Join(actDir, workflow)} {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		for _, pin := range pinnedAction.FindAllStringSubmatch(string(text), -1) {
			if pin[1] != "checkout" {
				args = append(args, "--local-repository", pin[0]+"="+absolute(actDir, pin[1]))
			}
		}
	}
	return args, nil
}
