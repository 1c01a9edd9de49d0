package buildkit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	contentlocal "github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/org/secure-build/internal/buildkit/shim"
	"github.com/org/secure-build/internal/hint"
)

// TestMain lets the test binary become the private daemon, as ours does.
func TestMain(m *testing.M) {
	if shim.Asked {
		fmt.Fprintln(os.Stderr, shim.Err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// tools is where make tools puts the daemon.
func tools(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("SECURE_BUILD_TOOLS")
	if dir == "" {
		dir = filepath.Join("..", "..", "bin", "tools")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "buildkitd")); err != nil {
		t.Fatalf("%v (make tools builds it)", err)
	}
	return dir
}

func private(t *testing.T, cache string) *Engine {
	t.Helper()
	e, err := startPrivate(t.Context(), EngineOptions{
		CacheDir: cache, Log: io.Discard,
		Getenv: func(name string) string {
			if name == "PATH" {
				return tools(t) + ":" + os.Getenv("PATH")
			}
			return ""
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// context makes a build context whose image has a shell.
func buildContext(t *testing.T, dockerfile string) string {
	t.Helper()
	dir := t.TempDir()
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatalf("%v (the package busybox-static has it)", err)
	}
	for name, data := range map[string][]byte{"busybox": busybox, "Dockerfile": []byte(dockerfile)} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const shell = "FROM scratch AS base\nCOPY busybox /bin/sh\nRUN [\"/bin/sh\", \"--install\", \"/bin\"]\n"

// plainLog redacts one word, to show that the joiner is used.
type plainLog struct {
	dst  io.Writer
	held bytes.Buffer
}

func (l *plainLog) Write(p []byte) (int, error) { return l.held.Write(p) }
func (l *plainLog) Flush() error {
	_, err := l.dst.Write(bytes.ReplaceAll(l.held.Bytes(), []byte("canary"), []byte("[masked]")))
	l.held.Reset()
	return err
}

func output(w io.Writer) Output {
	return Output{
		W: w, Progress: "plain",
		Redact: func(s string) string { return strings.ReplaceAll(s, "canary", "[masked]") },
		NewLog: func(dst io.Writer) LogWriter { return &plainLog{dst: dst} },
	}
}

// TestPrivateDaemon runs a real one: it builds with secrets as a file and in
// the environment, keeps neither on disk while the step runs, and leaves no
// process behind.
func TestPrivateDaemon(t *testing.T) {
	cache := t.TempDir()
	e := private(t, cache)
	closed := false
	defer func() {
		if !closed {
			_ = e.Close()
		}
	}()
	const value = "s3cr3t-on-the-way-0123456789"
	dir := buildContext(t, shell+`RUN --mount=type=secret,id=file --mount=type=secret,id=env,env=TOKEN,required=true \
 test "$(cat /run/secrets/file)" = "$TOKEN" && sleep 1 && echo the canary says ok && echo ${#TOKEN} > /length
`)
	store, err := contentlocal.NewStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan string)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { done <- watchDisk(ctx, cache, value) }()
	var log bytes.Buffer
	res, err := e.Solve(t.Context(), Request{
		Context: dir, Store: store,
		Secret: func(string) ([]byte, error) { return []byte(value), nil },
	}, output(&log))
	cancel()
	if err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	if found := <-done; found != "" {
		t.Errorf("the value was on disk during the build, in %s", found)
	}
	if _, err := store.Info(t.Context(), res.Root.Digest); err != nil {
		t.Errorf("the image did not reach the store: %v", err)
	}
	if !strings.Contains(log.String(), "the [masked] says ok") || strings.Contains(log.String(), "canary") {
		t.Errorf("the log is not redacted:\n%s", &log)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	closed = true
	if out, err := exec.Command("pgrep", "-f", cache).Output(); err == nil {
		t.Errorf("processes were left: %s", out)
	}
	e = private(t, cache) // the cache is kept, and the lock was given back
	log.Reset()
	if _, err := e.Solve(t.Context(), Request{
		Context: dir, Store: store,
		Secret: func(string) ([]byte, error) { return []byte(value), nil },
	}, output(&log)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "CACHED") {
		t.Errorf("the second run used no cache:\n%s", &log)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// watchDisk looks for a value in the small files below dir until ctx ends. It
// sees the disk only: the daemon's mounts are in a namespace of its own.
func watchDisk(ctx context.Context, dir, value string) (found string) {
	for ctx.Err() == nil {
		_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil
			}
			if fi, err := d.Info(); err != nil || fi.Size() > 1<<16 {
				return nil
			}
			if b, err := os.ReadFile(path); err == nil && bytes.Contains(b, []byte(value)) {
				found = path
			}
			return nil
		})
	}
	return found
}

func TestConnectNamesTheAddress(t *testing.T) {
	_, err := Connect(t.Context(), EngineOptions{Builders: []string{"unix:///nonexistent/bk.sock"}, Getenv: func(string) string { return "" }})
	if err == nil || !strings.Contains(err.Error(), "unix:///nonexistent/bk.sock") || len(hint.Of(err)) == 0 {
		t.Errorf("got %v with hints %v, want the address and a hint", err, hint.Of(err))
	}
}

// TestSteps: the instructions are in the order of the history that a real
// build makes of them, with their lines.
func TestSteps(t *testing.T) {
	e := private(t, t.TempDir())
	defer e.Close()
	dockerfile := `FROM scratch AS one
COPY busybox /bin/sh
ENV A=1 \
    B=2

FROM scratch AS other
RUN ["/nothing"]

FROM one AS Two
ONBUILD RUN true
ARG X
LABEL l=v
RUN ["/bin/sh", "-c", "true"]
USER 1
FROM two
WORKDIR /w
CMD ["x"]
`
	dir := buildContext(t, dockerfile)
	req := Request{Context: dir, Labels: map[string]string{"added": "by a flag"}, Secret: func(string) ([]byte, error) { return nil, os.ErrNotExist }}
	store, err := contentlocal.NewStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	req.Store = store
	res, err := e.Solve(t.Context(), req, output(io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Base) != 0 {
		t.Errorf("base layers of scratch: got %v", res.Base)
	}
	var m ocispecs.Manifest
	var img ocispecs.Image
	read(t, store, res.Root.Digest, &m)
	read(t, store, m.Config.Digest, &img)
	steps := Steps(req)
	if len(steps) != len(img.History) {
		t.Fatalf("got %d steps, want %d as in the history", len(steps), len(img.History))
	}
	lines := strings.Split(dockerfile, "\n")
	for i, h := range img.History {
		if !strings.HasPrefix(h.CreatedBy, steps[i].Instruction+" ") || !strings.HasPrefix(strings.TrimPrefix(lines[steps[i].Line-1], "ONBUILD "), steps[i].Instruction) {
			t.Errorf("step %d: got %+v, want %q", i, steps[i], h.CreatedBy)
		}
	}
}

func read(t *testing.T, store content.Store, d digest.Digest, into any) {
	t.Helper()
	b, err := content.ReadBlob(t.Context(), store, ocispecs.Descriptor{Digest: d})
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}
