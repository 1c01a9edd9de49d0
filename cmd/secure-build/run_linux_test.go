package main_test

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/org/secure-build/internal/config"
	"github.com/rogpeppe/go-internal/testscript"
)

// patience is how long a command may take, and swift how long after a signal.
const (
	patience = 2 * time.Minute
	swift    = 5 * time.Second
)

// A run is one command that a script ran, with what it printed.
type run struct{ stdout, stderr string }

// A call is what a script wants to run.
type call struct {
	want   string // an exit code, or "killed"
	stdin  string // file
	tty    bool   // stderr is a terminal
	signal syscall.Signal
	act    func() error    // what is done to what it uses, instead of a signal
	within time.Duration   // of that it has to end; 0 is swift
	when   *regexp.Regexp  // in stderr (of a job, in stdout): then the signal is sent
	also   <-chan struct{} // the same for something else
	job    bool            // it is a CI's runner: its jobs may have what was exported
	args   []string
}

// exits [-tty] [-stdin FILE] CODE COMMAND ARG…: runs it and holds it to its
// exit code. With -tty, stderr is a terminal.
func (s *scene) exitsCmd(ts *testscript.TestScript, args []string) error {
	var c call
	if len(args) > 1 && args[0] == "-tty" {
		c.tty, args = true, args[1:]
	}
	if len(args) > 2 && args[0] == "-stdin" {
		c.stdin, args = ts.MkAbs(args[1]), args[2:]
	}
	if len(args) < 2 {
		return errors.New("usage: exits [-tty] [-stdin FILE] CODE COMMAND ARG…")
	}
	c.want, c.args = args[0], args[1:]
	return s.play(ts, c)
}

// interrupts SIGNAL PATTERN CODE COMMAND ARG…: sends the signal as soon as the
// pattern is in stderr, or, if it is "the push", something is sent to a registry
// that was told to stall. INT goes to the whole process group, as from a
// terminal; others to the command alone. The end has to come within seconds.
func (s *scene) interruptsCmd(ts *testscript.TestScript, args []string) error {
	if len(args) < 4 {
		return errors.New("usage: interrupts SIGNAL PATTERN CODE COMMAND ARG…")
	}
	signals := map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "KILL": syscall.SIGKILL}
	if signals[args[0]] == 0 {
		return fmt.Errorf("no signal %s", args[0])
	}
	c := call{want: args[2], signal: signals[args[0]], args: args[3:]}
	if args[1] == "the push" {
		c.also = s.registry.stalled
		return s.play(ts, c)
	}
	var err error
	if c.when, err = regexp.Compile(args[1]); err != nil {
		return err
	}
	return s.play(ts, c)
}

func (s *scene) play(ts *testscript.TestScript, c call) error {
	cmd := exec.Command(c.args[0], c.args[1:]...)
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if path, err := exec.LookPath(filepath.Join(dir, c.args[0])); err == nil {
			cmd.Path, cmd.Err = path, nil
			break
		}
	}
	cmd.Dir, cmd.Env = ts.MkAbs("."), s.environment(ts)
	if c.stdin != "" {
		in, err := os.Open(c.stdin)
		if err != nil {
			return err
		}
		defer in.Close()
		cmd.Stdin = in
	}
	r, code, err := s.run(cmd, c)
	_, _ = ts.Stdout().Write([]byte(r.stdout))
	_, _ = ts.Stderr().Write([]byte(r.stderr))
	if err != nil {
		return err
	}
	if code != c.want {
		return fmt.Errorf("exit code: got %s, want %s", code, c.want)
	}
	return nil
}

// environment is the script's: testscript does not give it away as a whole, so
// a variable that a script may set has to be known here.
func (s *scene) environment(ts *testscript.TestScript) []string {
	names := append([]string{"WORK", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_URL", "BUILDKIT_PROGRESS", "BUILDX_BUILDER", "BUILDX_CONFIG", "BUILDX_METADATA_PROVENANCE", "BUILDX_METADATA_WARNINGS", "BUILDX_NO_DEFAULT_ATTESTATIONS", "BUILDX_GIT_CHECK_DIRTY", "BUILDX_GIT_INFO", "BUILDX_GIT_LABELS", "DOCKER_CONFIG", "DOCKER_DEFAULT_PLATFORM", "EXPERIMENTAL_BUILDKIT_SOURCE_POLICY", "DOCKER_HOST", "NO_COLOR", "NPM_TOKEN", "SOPS_AGE_KEY_FILE",
		"CI_DEBUG_TRACE", "CI_MERGE_REQUEST_PROJECT_ID", "CI_MERGE_REQUEST_SOURCE_PROJECT_ID", "CI_PIPELINE_SOURCE", "CI_PROJECT_DIR", "CI_PROJECT_ID",
		"GITHUB_EVENT_NAME", "GITHUB_EVENT_PATH", "GITHUB_OUTPUT", "GITHUB_SHA", "GITHUB_STEP_SUMMARY", "GITHUB_SERVER_URL", "GITLAB_CI", "GITHUB_ACTIONS",
		"KUBECONFIG", "LOOKS_LIKE_A_PATH", "RUNNER_DEBUG", "SHORT"}, s.vars...)
	for _, o := range config.Build {
		names = append(names, o.Env())
	}
	var env []string
	for _, name := range names {
		if value := ts.Getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// run runs a command in a process group of its own, watched by the sampler.
func (s *scene) run(cmd *exec.Cmd, c call) (r run, code string, err error) {
	stdout, stderr := &trigger{fired: make(chan struct{})}, &trigger{fired: make(chan struct{})}
	watchedFor := stderr
	if c.job {
		watchedFor = stdout
	}
	watchedFor.pattern = c.when
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 10 * time.Second // a process that is left may hold stderr open
	screen := func() error { return nil }
	if c.tty {
		if screen, err = terminalFor(cmd, stderr); err != nil {
			return r, "", err
		}
	}
	if err := cmd.Start(); err != nil {
		return r, "", err
	}
	watched := s.canaries
	if c.job {
		watched = slices.DeleteFunc(slices.Clone(watched), func(c canary) bool { return c.exported })
	}
	stop := s.sampler.watch(cmd.Process.Pid, watched)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	fired := c.also
	if c.when != nil {
		fired = watchedFor.fired
	}
	err = s.attend(cmd.Process.Pid, c, fired, ended)
	stop()
	err = errors.Join(err, screen())
	r = run{stdout.String(), stderr.String()}
	s.runs = append(s.runs, r)
	if cmd.ProcessState.ExitCode() == -1 {
		return r, "killed", err
	}
	return r, strconv.Itoa(cmd.ProcessState.ExitCode()), err
}

// attend waits for the end of a command, and sends the signal of its call.
func (s *scene) attend(pid int, c call, fired <-chan struct{}, ended <-chan error) error {
	late := time.After(patience)
	if c.job { // of several steps, each of which starts the command
		late = time.After(3 * patience)
	}
	within := cmp.Or(c.within, swift)
	var sent time.Time
	var err error
	for {
		select {
		case <-ended:
			switch took := time.Since(sent); {
			case err != nil || c.signal == 0 && c.act == nil:
			case sent.IsZero():
				err = errors.New("it ended before the signal could be sent")
			case took > within:
				err = fmt.Errorf("it ended %v after the signal", took)
			}
			return err
		case <-fired:
			fired, sent = nil, time.Now()
			late = time.After(4 * within)
			if c.act != nil {
				if err = c.act(); err != nil {
					_ = syscall.Kill(-pid, syscall.SIGKILL)
				}
				break
			}
			to := pid
			if c.signal == syscall.SIGINT {
				to = -pid
			}
			_ = syscall.Kill(to, c.signal)
		case <-late:
			late = nil
			err = errors.New("it does not end")
			_ = syscall.Kill(-pid, syscall.SIGKILL)
		}
	}
}

// A trigger keeps what is written and says when a pattern is in it.
type trigger struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	pattern *regexp.Regexp
	fired   chan struct{}
}

func (t *trigger) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf.Write(p)
	if t.pattern != nil && t.pattern.Match(t.buf.Bytes()) {
		t.pattern = nil
		close(t.fired)
	}
	return len(p), nil
}

func (t *trigger) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}

// shell FOLDER: puts busybox into a context, for images with a shell.
func (s *scene) shellCmd(ts *testscript.TestScript, args []string) error {
	for _, dir := range args {
		busybox, err := os.ReadFile("/bin/busybox")
		if err != nil {
			return fmt.Errorf("%w (the package busybox-static has it)", err)
		}
		if err := os.WriteFile(filepath.Join(ts.MkAbs(dir), "busybox"), busybox, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// setenv NAME FILE: the content of a file, line breaks too, is the value of a
// variable.
func (s *scene) setenvCmd(ts *testscript.TestScript, args []string) error {
	if len(args) != 2 {
		return errors.New("usage: setenv NAME FILE")
	}
	ts.Setenv(args[0], ts.ReadFile(args[1]))
	return nil
}

// rawjson: the logs in the last command's stderr as one text, to stdout, and
// into the hunt: in rawjson each chunk is base64 by itself.
func (s *scene) rawjsonCmd(ts *testscript.TestScript, _ []string) error {
	var text strings.Builder
	for line := range strings.Lines(ts.ReadFile("stderr")) {
		if !strings.HasPrefix(line, "{") {
			continue
		}
		var status struct{ Logs []struct{ Data string } }
		if err := json.Unmarshal([]byte(line), &status); err != nil {
			return fmt.Errorf("%w: %s", err, line)
		}
		for _, l := range status.Logs {
			data, err := base64.StdEncoding.DecodeString(l.Data)
			if err != nil {
				return err
			}
			text.Write(data)
		}
	}
	s.runs = append(s.runs, run{stdout: text.String()})
	_, _ = ts.Stdout().Write([]byte(text.String()))
	return nil
}
