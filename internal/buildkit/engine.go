// Package buildkit finds or starts a BuildKit daemon, checks a Dockerfile's
// secrets against those that there are, runs one build and exports its result
// into a content store of ours. It is the only importer of BuildKit.
package buildkit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/org/secure-build/internal/hint"
	"github.com/sirupsen/logrus"
	"google.golang.org/grpc/grpclog"

	// The schemes that BUILDKIT_HOST may have beside unix:// and tcp://.
	_ "github.com/moby/buildkit/client/connhelper/dockercontainer"
	_ "github.com/moby/buildkit/client/connhelper/kubepod"
	_ "github.com/moby/buildkit/client/connhelper/nerdctlcontainer"
	_ "github.com/moby/buildkit/client/connhelper/podmancontainer"
	_ "github.com/moby/buildkit/client/connhelper/ssh"
)

// dialTimeout bounds the wait for a daemon that should be there already.
const dialTimeout = 20 * time.Second

// EngineOptions say which daemon to use.
type EngineOptions struct {
	Builder    string              // address, such as tcp://host:1234; "" looks for one
	CacheDir   string              // the private daemon keeps its state below this folder
	Getenv     func(string) string // BUILDKIT_HOST, XDG_RUNTIME_DIR, PATH
	Log        io.Writer           // notes to the user, such as waiting for a lock
	Executable string              // our own binary: the private daemon is looked for beside it
}

// An Engine is a daemon that answers.
type Engine struct {
	Kind    string // "builder", "socket" or "private"
	Address string
	Version string

	client *client.Client
	trace  *trace // of the last build
	stop   func() error
}

// Connect returns the first engine that answers: the builder that was asked
// for (--builder, BUILDKIT_HOST), a daemon on its usual socket, or a private
// buildkitd that is started now and stopped by Close. A builder that was asked
// for and does not answer is an error, not a reason to go on looking.
func Connect(ctx context.Context, opts EngineOptions) (*Engine, error) {
	if opts.Builder == "" {
		opts.Builder = opts.Getenv("BUILDKIT_HOST")
	}
	if opts.Builder != "" {
		e, err := dial(ctx, "builder", opts.Builder, dialTimeout)
		return e, hint.Wrap(err, "is a buildkitd listening there? without --builder and BUILDKIT_HOST a private one is started")
	}
	for _, sock := range UsualSockets(opts.Getenv) {
		if !answers(sock) {
			continue
		}
		if e, err := dial(ctx, "socket", "unix://"+sock, dialTimeout); err == nil {
			return e, nil
		}
	}
	return startPrivate(ctx, opts)
}

// UsualSockets lists where a buildkitd that somebody else runs listens: the
// system's, and the user's own rootless one.
func UsualSockets(getenv func(string) string) []string {
	socks := []string{"/run/buildkit/buildkitd.sock"}
	if dir, _, _ := strings.Cut(getenv("XDG_RUNTIME_DIR"), ":"); dir != "" {
		socks = append(socks, filepath.Join(dir, "buildkit", "buildkitd.sock"))
	}
	return socks
}

// answers says whether something listens on a Unix socket that we may use.
func answers(sock string) bool {
	fi, err := os.Stat(sock)
	if err != nil || fi.Mode()&os.ModeSocket == 0 {
		return false
	}
	conn, err := net.DialTimeout("unix", sock, time.Second)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// dial connects and waits until the daemon has answered once.
func dial(ctx context.Context, kind, address string, timeout time.Duration) (*Engine, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	c, err := client.New(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("connecting to BuildKit at %s: %w", address, err)
	}
	info, err := c.Info(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connecting to BuildKit at %s: %w", address, err), c.Close())
	}
	return &Engine{Kind: kind, Address: address, Version: info.BuildkitVersion.Version, client: c}, nil
}

// String says which daemon it is, for a report.
func (e *Engine) String() string {
	if e.Kind == "private" { // its address means nothing to anybody else
		return "private buildkitd " + e.Version
	}
	return fmt.Sprintf("buildkitd %s at %s", e.Version, e.Address)
}

// Close ends the connection, and the daemon if it is ours.
func (e *Engine) Close() error {
	err := e.client.Close()
	if e.stop != nil {
		err = errors.Join(err, e.stop())
	}
	return err
}

// Quiet sends what BuildKit's libraries log by themselves (connection losses,
// a file system without fs-verity) to w. By default they write to the
// process's standard error, past every redactor.
func Quiet(w io.Writer) {
	logrus.SetOutput(w)
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(w, w, w))
}
