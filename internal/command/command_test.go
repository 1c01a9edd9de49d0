//go:build unix

package command

import (
	"bytes"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/org/secure-build/internal/hint"
)

func TestRunPassesOnTheExitCode(t *testing.T) {
	tests := []struct {
		script string
		code   int
		stdout string
		stderr string
	}{
		{"echo out; echo err >&2", 0, "out\n", "err\n"},
		{"exit 7", 7, "", ""},
		{"kill -TERM $$", 128 + 15, "", ""},
		{"kill -KILL $$", 128 + 9, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.script, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code, err := Run(t.Context(), Options{Args: []string{"/bin/sh", "-c", tt.script}, Stdout: &stdout, Stderr: &stderr})
			if err != nil || code != tt.code || stdout.String() != tt.stdout || stderr.String() != tt.stderr {
				t.Errorf("got %d, %v, %q, %q, want %d, nil, %q, %q", code, err, &stdout, &stderr, tt.code, tt.stdout, tt.stderr)
			}
		})
	}
}

func TestRunCannotStart(t *testing.T) {
	for _, args := range [][]string{{"no-such-command-here"}, {"/etc/passwd"}, nil} {
		_, err := Run(t.Context(), Options{Args: args})
		if err == nil || args != nil && len(hint.Of(err)) == 0 {
			t.Errorf("%q: got %v, want an error with a hint", args, err)
		}
	}
}

// TestRunPassesOnSignals: the command decides what a signal means.
func TestRunPassesOnSignals(t *testing.T) {
	signals := make(chan os.Signal, 1)
	ready := &notify{when: "ready", c: make(chan bool)}
	go func() { <-ready.c; signals <- syscall.SIGTERM }()
	code, err := Run(t.Context(), Options{
		Args:   []string{"/bin/sh", "-c", "trap 'exit 42' TERM; echo ready; while :; do sleep 0.05; done"},
		Stdout: ready, Signals: signals,
	})
	if err != nil || code != 42 {
		t.Errorf("got %d, %v, want 42", code, err)
	}
}

// TestRunKeepsATerminal: with a screen the command's three streams are a
// terminal of the size of ours, and ours is as it was afterwards.
func TestRunKeepsATerminal(t *testing.T) {
	ours, user, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	defer user.Close()
	if err := pty.Setsize(user, &pty.Winsize{Rows: 31, Cols: 97}); err != nil {
		t.Fatal(err)
	}
	var screen locked
	code, err := Run(t.Context(), Options{
		Args:  []string{"/bin/sh", "-c", "test -t 0 && test -t 1 && test -t 2 && stty size && exit 5"},
		Env:   os.Environ(),
		Stdin: user, Screen: &screen,
	})
	if err != nil || code != 5 || !strings.Contains(screen.String(), "31 97") {
		t.Errorf("got %d, %v, screen %q, want 5 and 31 97", code, err, screen.String())
	}
}

// TestRunDoesNotWaitForStragglers: a background process that keeps the pipes
// open does not keep us.
func TestRunDoesNotWaitForStragglers(t *testing.T) {
	began := time.Now()
	var stdout bytes.Buffer
	code, err := Run(t.Context(), Options{Args: []string{"/bin/sh", "-c", "sleep 30 & exit 3"}, Stdout: &stdout, Stderr: &stdout})
	if err != nil || code != 3 || time.Since(began) > 10*time.Second {
		t.Errorf("got %d, %v after %v, want 3 within %v", code, err, time.Since(began), outputDelay)
	}
}

type notify struct {
	when string
	c    chan bool
	once sync.Once
}

func (n *notify) Write(p []byte) (int, error) {
	if strings.Contains(string(p), n.when) {
		n.once.Do(func() { close(n.c) })
	}
	return len(p), nil
}

type locked struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}
func (l *locked) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.buf.String() }
