package buildkit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/identity"
	"github.com/org/secure-build/internal/hint"
)

const (
	startTimeout = 60 * time.Second     // a cold start with a large cache takes a few
	startPoll    = 5 * time.Millisecond // between two looks for its socket; a warm run takes half a second
	stopTimeout  = 10 * time.Second     // from SIGTERM to SIGKILL
	logTail      = 8 << 10              // bytes of the daemon's log that are kept for an error
	maxSocket    = 100                  // a Unix socket's path may have 107 bytes (sun_path)
)

// daemonEnv lists what a private daemon inherits of our environment. It is an
// allow-list, since ours holds SOPS keys, registry tokens and whatever else a
// CI job carries.
var daemonEnv = []string{
	"PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "XDG_CONFIG_HOME", "XDG_DATA_HOME",
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
	"SSL_CERT_FILE", "SSL_CERT_DIR", "DBUS_SESSION_BUS_ADDRESS",
}

// A private daemon: its parts, and where it keeps what.
type daemon struct {
	buildkitd   string // the binary
	runtime     string // runc or crun
	rootlesskit string // "" for who may mount
	root        string // state: the cache, kept between runs
	socket      string
	allow       []string // entitlements
	log         *tail
}

// startPrivate starts our own buildkitd and waits until it answers. One run at
// a time uses the cache; a second one waits and says so.
func startPrivate(ctx context.Context, opts EngineOptions) (_ *Engine, err error) {
	d, err := findDaemon(opts)
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{d.root, d.tmp(), filepath.Dir(d.socket)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("starting buildkitd: %w", err)
		}
	}
	unlock, err := lock(ctx, filepath.Join(d.root, "secure-build.lock"), func() {
		fmt.Fprintf(opts.Log, "waiting for another secure-build that uses the cache in %s\n", d.root)
	})
	if err != nil {
		return nil, fmt.Errorf("locking the build cache: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return nil, errors.Join(err, unlock())
	}
	// The lock is ours, so whatever a run that was killed has left here is nobody's.
	if err := errors.Join(os.RemoveAll(d.tmp()), os.Mkdir(d.tmp(), 0o700)); err != nil {
		return nil, errors.Join(fmt.Errorf("starting buildkitd: %w", err), unlock())
	}
	_ = os.Remove(d.socket)
	killed, err := d.mark()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting buildkitd: %w", err), unlock())
	}

	stop, died, err := d.start(d.env(os.Environ()))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting buildkitd: %w", err), unlock())
	}
	e, err := d.wait(ctx, died)
	if err != nil {
		stop(0) // it has done nothing yet, and may not listen to signals
		return nil, errors.Join(err, unlock())
	}
	e.stop = func() error {
		if stop(stopTimeout) {
			_ = os.Remove(d.marker())
		}
		return unlock()
	}
	e.kill, e.root = func() { stop(0) }, d.root
	if killed {
		e.settle(ctx)
	}
	return e, nil
}

// findDaemon looks for the parts of a private daemon in PATH, beside our
// binary and in the folder "tools" beside it (where make tools puts them).
func findDaemon(opts EngineOptions) (*daemon, error) {
	// Debian keeps runc where an ordinary user's PATH does not look.
	dirs := append(filepath.SplitList(opts.Getenv("PATH")), "/usr/local/sbin", "/usr/sbin", "/sbin")
	if opts.Executable != "" {
		self := filepath.Dir(opts.Executable)
		dirs = append([]string{self, filepath.Join(self, "tools")}, dirs...)
	}
	find := func(names ...string) string {
		for _, name := range names {
			for _, dir := range dirs {
				if p, err := exec.LookPath(filepath.Join(dir, name)); err == nil && filepath.IsAbs(p) {
					return p
				}
			}
		}
		return ""
	}
	d := &daemon{
		buildkitd: find("buildkitd"),
		runtime:   find("buildkit-runc", "runc", "crun"),
		root:      filepath.Join(opts.CacheDir, "buildkit"),
		allow:     opts.Allow,
		log:       &tail{max: logTail},
	}
	if d.buildkitd == "" {
		return nil, hint.Wrap(errors.New("no BuildKit: none was named, none listens on its usual socket, and no buildkitd is in PATH"),
			"set BUILDKIT_HOST, or put buildkitd and runc in PATH (make tools builds buildkitd; runc is a package of Debian and Ubuntu)")
	}
	if d.runtime == "" {
		return nil, hint.Wrap(errors.New("starting buildkitd: neither runc nor crun is in PATH"), "install the package runc")
	}
	if !privileged() {
		if d.rootlesskit = find("rootlesskit"); d.rootlesskit == "" {
			return nil, hint.Wrap(errors.New("starting buildkitd without privileges: rootlesskit is not in PATH"),
				"install the packages rootlesskit and uidmap, or set BUILDKIT_HOST")
		}
	}
	d.socket = filepath.Join(d.root, "run", "buildkitd.sock")
	if len(d.socket) > maxSocket {
		d.socket = filepath.Join(os.TempDir(), fmt.Sprintf("secure-build-%d", os.Geteuid()), "buildkitd.sock")
	}
	return d, nil
}

// marker is there while a daemon runs, and after one that was killed.
func (d *daemon) marker() string { return filepath.Join(d.root, "running") }

// mark makes the marker, and says whether there was one.
func (d *daemon) mark() (killed bool, err error) {
	_, err = os.Stat(d.marker())
	return err == nil, os.WriteFile(d.marker(), nil, 0o600)
}

// settleTries is how often a daemon is asked to make something: once to trip, and
// once to see that it does not.
const settleTries = 3

// settle lets a daemon trip over what one that was killed has left, before a build
// does. A snapshotter that is killed between making a folder and noting it makes
// one of the same name next, fails, and removes the old one
// (containerd's plugins/snapshots/overlay, createSnapshot). What else may be wrong
// the build will tell.
func (e *Engine) settle(ctx context.Context) {
	for range settleTries {
		name := "/settled-" + identity.NewID() // or it would be cached
		def, err := llb.Scratch().File(llb.Mkfile(name, 0o600, nil)).Marshal(ctx)
		if err == nil {
			_, err = e.client.Solve(ctx, def, client.SolveOpt{Internal: true}, nil)
		}
		if err == nil || ctx.Err() != nil {
			return
		}
	}
}

func (d *daemon) tmp() string { return filepath.Join(d.root, "tmp") }

// args is the daemon's command line. What is not said here is the daemon's
// default or comes from its own buildkitd.toml (registry mirrors, for example).
func (d *daemon) args() []string {
	args := []string{
		"--root", d.root,
		"--addr", "unix://" + d.socket,
		"--oci-worker=true", "--oci-worker-binary", d.runtime, "--containerd-worker=false",
		"--otel-socket-path", filepath.Join(filepath.Dir(d.socket), "otel.sock"),
	}
	for _, e := range d.allow {
		name, _, _ := strings.Cut(e, "=")
		args = append(args, "--allow-insecure-entitlement", name)
	}
	return args
}

// env cuts ours down to the allow-list. What the daemon and a rootless runc
// keep for as long as they run goes to a folder that the next start empties.
func (d *daemon) env(environ []string) []string {
	var env []string
	for _, kv := range environ {
		if name, _, _ := strings.Cut(kv, "="); slices.Contains(daemonEnv, name) {
			env = append(env, kv)
		}
	}
	return append(env, "TMPDIR="+d.tmp(), "XDG_RUNTIME_DIR="+d.tmp())
}

// wait returns when the daemon answers, has died, or takes too long.
func (d *daemon) wait(ctx context.Context, died <-chan error) (*Engine, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		select {
		case err := <-died:
			return nil, hint.Wrap(fmt.Errorf("starting buildkitd: it ended: %w\n%s", err, d.log), "%s", d.advice())
		case <-ctx.Done():
			return nil, fmt.Errorf("starting buildkitd: %w\n%s", ctx.Err(), d.log)
		case <-time.After(startPoll):
		}
		if !answers(d.socket) {
			continue
		}
		e, err := dial(ctx, "private", "unix://"+d.socket, startTimeout)
		if err == nil {
			return e, nil
		}
	}
}

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	max int
	buf []byte
}

var _ io.Writer = (*tail)(nil)

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - t.max; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.buf))
}
