package buildkit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	contentlocal "github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/org/secure-build/internal/hint"
)

// processOf is the private daemon of a cache, seen from outside.
func processOf(t *testing.T, cache string) int {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range dirs {
		line, _ := os.ReadFile(path)
		name, args, _ := strings.Cut(string(line), "\x00")
		var pid int
		if _, err := fmt.Sscanf(path, "/proc/%d/", &pid); err == nil && filepath.Base(name) == "buildkitd" && strings.Contains(args, cache) {
			return pid
		}
	}
	t.Fatal("the daemon is not there")
	return 0
}

// A tripwire calls a function once, when a text was written to it.
type tripwire struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	text string
	once sync.Once
	pull func()
}

func (w *tripwire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf.Write(p)
	if strings.Contains(w.buf.String(), w.text) {
		w.once.Do(w.pull)
	}
	return len(p), nil
}

// TestHangingDaemon stops the daemon by SIGSTOP under a build: the build ends
// with an error that says so, and Close ends the daemon. The same daemon, left
// alone, gets through a build that is much longer than its patience.
func TestHangingDaemon(t *testing.T) {
	for _, hangs := range []bool{false, true} {
		t.Run(fmt.Sprintf("hangs=%v", hangs), func(t *testing.T) {
			t.Parallel()
			cache := t.TempDir()
			e := private(t, cache)
			defer e.Close()
			e.pulse = pulse{every: 100 * time.Millisecond, within: 700 * time.Millisecond, most: 2 * time.Second}
			pid := processOf(t, cache)
			var stopped time.Time
			out := &tripwire{text: "now-it-runs", pull: func() {
				if stopped = time.Now(); hangs {
					_ = syscall.Kill(pid, syscall.SIGSTOP)
				}
			}}
			store, err := contentlocal.NewStore(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			_, err = e.Solve(t.Context(), Request{
				Context: buildContext(t, shell+"RUN echo now-it-r\"\"uns && sleep 4\n"),
				Store:   store, Secret: func(string) ([]byte, error) { return nil, os.ErrNotExist },
			}, output(out))
			if stopped.IsZero() {
				t.Fatalf("the step never ran: %v\n%s", err, &out.buf)
			}
			if !hangs {
				if err != nil {
					t.Errorf("got %v, want no error", err)
				}
				return
			}
			if !errors.Is(err, errHangs) || len(hint.Of(err)) == 0 {
				t.Errorf("got %v with the hints %q, want that it hangs, with a hint", err, hint.Of(err))
			}
			if err := e.Close(); err != nil {
				t.Errorf("closing: %v", err)
			}
			// Generous: a machine under load takes its time.
			if took := time.Since(stopped); took > 30*time.Second {
				t.Errorf("it ended %v later", took)
			}
			if err := syscall.Kill(pid, 0); err == nil {
				t.Error("the daemon is still there")
			}
		})
	}
}

// TestHangingPurge: what comes after the build is bounded too.
func TestHangingPurge(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	e := private(t, cache)
	defer e.Close()
	e.kill = nil // as on a daemon that is not ours
	e.pulse = pulse{every: 50 * time.Millisecond, within: 300 * time.Millisecond, most: time.Second}
	e.trace = &trace{began: time.Now(), names: map[string]bool{}}
	pid := processOf(t, cache)
	stop(t, pid)
	defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, _, err := e.Purge(ctx); !errors.Is(err, errHangs) {
		t.Errorf("got %v, want that it hangs", err)
	}
}

// stop stops a process, and returns when none of its threads runs any more: the
// signal takes its time, and a daemon could answer meanwhile.
func stop(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		runs := slices.ContainsFunc(threads, func(name string) bool {
			stat, err := os.ReadFile(name)
			return err == nil && !bytes.Contains(stat, []byte(") T "))
		})
		if len(threads) > 0 && !runs {
			return
		}
	}
	t.Fatal("the process does not stop")
}

// TestSilentSocket: a socket that takes connections and never answers is no
// daemon, after a bounded time.
func TestSilentSocket(t *testing.T) {
	sock := filepath.Join(t.TempDir(), "s.sock")
	l, err := net.Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	began := time.Now()
	e, err := dial(t.Context(), "socket", "unix://"+sock, 500*time.Millisecond)
	if err == nil {
		_ = e.Close()
		t.Fatal("got an engine, want an error")
	}
	if took := time.Since(began); took > 15*time.Second || !strings.Contains(err.Error(), sock) {
		t.Errorf("after %v: got %v, want an error with the socket's path, soon", took, err)
	}
}
