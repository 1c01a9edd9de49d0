package buildkit

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestBegin: a daemon that was begun is the one that is used, or is gone with
// everything that it holds.
func TestBegin(t *testing.T) {
	opts := EngineOptions{CacheDir: t.TempDir(), Log: io.Discard, Getenv: func(name string) string {
		if name == "PATH" {
			return tools(t) + ":" + os.Getenv("PATH")
		}
		return ""
	}}
	begin := Begin
	if !opts.alone() { // another daemon is on its usual socket
		begin = beginPrivate
	}
	ctx, giveUp := context.WithCancel(t.Context())
	begun := begin(ctx, opts)
	giveUp()
	began := time.Now()
	if e, err := begun(); err == nil {
		err = e.Close() // it was faster
		if err != nil {
			t.Error(err)
		}
	} else if !errors.Is(err, context.Canceled) {
		t.Errorf("given up: got %v", err)
	}
	if took := time.Since(began); took > stopTimeout/2 {
		t.Errorf("giving up took %v", took)
	}

	begun = begin(t.Context(), opts) // waits for no lock that was left
	socket := filepath.Join(opts.CacheDir, "buildkit", "run", "buildkitd.sock")
	for deadline := time.Now().Add(startTimeout); !answers(socket); time.Sleep(startPoll) {
		if time.Now().After(deadline) {
			t.Fatal("nothing starts before it is asked for")
		}
	}
	e, err := begun()
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil || e.Kind != "private" {
		t.Errorf("got %q, %v", e.Kind, err)
	}
}

// TestBeginNothing: where a daemon was asked for, or is there, none is started.
func TestBeginNothing(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "buildkit", "buildkitd.sock")
	if err := os.Mkdir(filepath.Dir(socket), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for name, opts := range map[string]EngineOptions{
		"--builder":      {Builders: []string{"tcp://127.0.0.1:1"}, Getenv: func(string) string { return "" }},
		"BUILDKIT_HOST":  {Getenv: func(n string) string { return map[string]string{"BUILDKIT_HOST": "tcp://127.0.0.1:1"}[n] }},
		"BUILDX_BUILDER": {Getenv: func(n string) string { return map[string]string{"BUILDX_BUILDER": "mine"}[n] }},
		"a usual socket": {Getenv: func(n string) string { return map[string]string{"XDG_RUNTIME_DIR": dir}[n] }},
	} {
		if opts.alone() {
			t.Errorf("%s: a private daemon would be started", name)
		}
		// Nor is one looked for when the run has ended before it needs one.
		ctx, giveUp := context.WithCancel(t.Context())
		giveUp()
		var log bytes.Buffer
		opts.Log, opts.CacheDir = &log, t.TempDir()
		_, err := Begin(ctx, opts)()
		if left, _ := os.ReadDir(opts.CacheDir); !errors.Is(err, context.Canceled) || log.Len() > 0 || len(left) > 0 {
			t.Errorf("%s: given up: got %v, %q and %v", name, err, &log, left)
		}
	}
}
