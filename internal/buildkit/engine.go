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
	"slices"
	"strings"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/org/secure-build/internal/hint"
	"github.com/sirupsen/logrus"
	"google.golang.org/grpc/grpclog"

	// The schemes that BUILDKIT_HOST may have beside unix://, tcp:// and
	// docker-container:// (boot.go).
	_ "github.com/moby/buildkit/client/connhelper/kubepod"
	_ "github.com/moby/buildkit/client/connhelper/nerdctlcontainer"
	_ "github.com/moby/buildkit/client/connhelper/podmancontainer"
	_ "github.com/moby/buildkit/client/connhelper/ssh"
)

// dialTimeout bounds the wait for a daemon that should be there already.
const dialTimeout = 20 * time.Second

// EngineOptions say which daemon to use.
type EngineOptions struct {
	Builders   []string            // [PLATFORM=]NAME|ADDRESS, such as tcp://host:1234; none looks for one
	TLSDir     string              // ca.pem, cert.pem and key.pem for builders at tcp://
	Allow      []string            // entitlements that a private daemon is started with
	CacheDir   string              // the private daemon keeps its state below this folder
	Getenv     func(string) string // BUILDKIT_HOST, XDG_RUNTIME_DIR, PATH
	Log        io.Writer           // notes to the user, such as waiting for a lock
	Executable string              // our own binary: the private daemon is looked for beside it
	Image      string              // of BuildKit, for docker; "" is the pinned one
}

// An Engine is a daemon that answers.
type Engine struct {
	Kind    string // "builder", "socket", "private" or "docker"
	Address string
	Version string

	dockerfile string // version of its own Dockerfile frontend, as provenance has it; "" if it does not tell

	client    *client.Client
	stop      func() error
	kill      func()    // ends a daemon of ours that hangs; stop is still due
	trace     *trace    // of the last build
	root      string    // of the state of a private daemon
	node      string    // BUILDER/NODE, if buildx knows it
	platforms []string  // that it was named for; none for any
	named     bool      // by --builder, and so for no others
	can       []string  // platforms that it says it can build, if there are others
	shared    bool      // other builds of this run are on it too
	others    []*Engine // the other builders of this build
	pulse     pulse     // zero for the usual one
}

// Connect returns the first engine that answers: the builder that was asked
// for (--builder, BUILDKIT_HOST, BUILDX_BUILDER), the one that buildx uses, a daemon on its
// usual socket, or a private buildkitd, or BuildKit's image through docker, that
// is started now and stopped by Close. A builder that was asked for and does not answer is an error, not a
// reason to go on looking.
func Connect(ctx context.Context, opts EngineOptions) (*Engine, error) {
	if builders := opts.builders(); len(builders) > 0 {
		opts.Builders = builders
		nodes, err := chosen(ctx, opts)
		if err == nil {
			err = boot(ctx, nodes, opts.Log)
		}
		if err != nil {
			return nil, err
		}
		return dialAll(ctx, nodes)
	}
	if e, err := current(ctx, opts); e != nil || err != nil {
		return e, err
	}
	for _, sock := range UsualSockets(opts.Getenv) {
		if !answers(sock) {
			continue
		}
		e, err := dial(ctx, "socket", "unix://"+sock, dialTimeout)
		if err == nil || ctx.Err() != nil {
			return e, err
		}
		fmt.Fprintf(opts.Log, "secure-build: warning: the daemon at %s can not be used: %s; looking for another\n", sock, firstLine(err.Error()))
	}
	return startOwn(ctx, opts, startPrivate)
}

// builders are those that were asked for.
func (o EngineOptions) builders() []string {
	if host := o.Getenv("BUILDKIT_HOST"); len(o.Builders) == 0 && host != "" {
		return []string{host}
	}
	return o.Builders
}

// Begin is Connect for a run that has other things to do before it needs the
// daemon: if it is to be a private one, it starts meanwhile. Everything else is
// done when the func is called, since programs that are started there inherit our
// environment, which has the keys for as long as there is something to decrypt.
//
// The func has to be called, once, after the end of ctx too.
func Begin(ctx context.Context, opts EngineOptions) func() (*Engine, error) {
	if !opts.alone() {
		return func() (*Engine, error) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			return Connect(ctx, opts)
		}
	}
	return beginPrivate(ctx, opts)
}

// beginPrivate is Begin where the daemon is to be a private one.
func beginPrivate(ctx context.Context, opts EngineOptions) func() (*Engine, error) {
	var e *Engine
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil { // which would end the process with everything that it has open
				err = fmt.Errorf("starting buildkitd: internal error: %v", p)
			}
		}()
		e, err = startPrivate(ctx, opts)
	}()
	return func() (*Engine, error) {
		return startOwn(ctx, opts, func(context.Context, EngineOptions) (*Engine, error) { <-done; return e, err })
	}
}

// alone says whether nothing was asked for and nothing is there, so that Connect
// starts a daemon.
func (o EngineOptions) alone() bool {
	if name := currentBuilder(buildxDir(o.Getenv), o.Getenv); len(o.builders()) > 0 || name != "" && name != "default" {
		return false
	}
	return !slices.ContainsFunc(UsualSockets(o.Getenv), answers)
}

// startOwn starts a daemon for this run: a private buildkitd, or if there is
// none to be had BuildKit's image, if docker leads to an engine.
func startOwn(ctx context.Context, opts EngineOptions, private func(context.Context, EngineOptions) (*Engine, error)) (*Engine, error) {
	e, err := private(ctx, opts)
	if err == nil || ctx.Err() != nil {
		return e, err
	}
	e, derr := startContainer(ctx, opts)
	if errors.Is(derr, errNoDocker) {
		return nil, err // which says all that there is to say
	}
	if derr != nil {
		return nil, errors.Join(err, derr)
	}
	return e, nil
}

// dialAll connects to every daemon of a build. The first one speaks for all.
func dialAll(ctx context.Context, nodes []node) (*Engine, error) {
	var first *Engine
	for _, n := range nodes {
		e, err := n.dial(ctx, dialTimeout)
		if err == nil && len(nodes) > 1 {
			if e.can, err = e.workers(ctx); err != nil {
				err = errors.Join(err, e.Close())
			}
		}
		if err != nil {
			if first != nil {
				err = errors.Join(err, first.Close())
			}
			return nil, hint.Wrap(err, "is a buildkitd listening there? without --builder and BUILDKIT_HOST a private one is started")
		}
		if first == nil {
			first = e
		} else {
			first.others = append(first.others, e)
		}
	}
	return first, nil
}

// current is the builder that buildx would use, if that can be used here. One
// that is named in BUILDX_BUILDER was asked for; that Docker itself may be is
// for buildx, and no reason to stop here.
func current(ctx context.Context, opts EngineOptions) (*Engine, error) {
	dir := buildxDir(opts.Getenv)
	name := currentBuilder(dir, opts.Getenv)
	if name == "" || name == "default" {
		return nil, nil
	}
	b, err := readInstance(dir, name)
	var nodes []node
	if err == nil {
		nodes, err = b.nodes(ctx)
	}
	if errors.Is(err, errNoExport) {
		return nil, nil // Docker itself, which most people have never chosen
	}
	if err == nil {
		err = boot(ctx, nodes, opts.Log)
	}
	var e *Engine
	if err == nil {
		e, err = dialAll(ctx, nodes)
	}
	if err != nil && ctx.Err() != nil {
		return nil, err
	}
	if err != nil && opts.Getenv("BUILDX_BUILDER") != "" {
		return nil, fmt.Errorf("using the builder of BUILDX_BUILDER: %w", err)
	}
	if err != nil {
		fmt.Fprintf(opts.Log, "secure-build: warning: buildx uses the builder %s, which can not be used: %s; looking for another\n", name, firstLine(err.Error()))
	}
	return e, nil
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
func dial(ctx context.Context, kind, address string, timeout time.Duration, opts ...client.ClientOpt) (*Engine, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	c, err := client.New(ctx, address, append(opts, buffers())...)
	if err != nil {
		return nil, fmt.Errorf("connecting to BuildKit at %s: %w", address, err)
	}
	info, err := c.Info(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connecting to BuildKit at %s: %w", address, err), c.Close())
	}
	return &Engine{Kind: kind, Address: address, Version: info.BuildkitVersion.Version, dockerfile: info.BuildkitVersion.DockerfileVersion, client: c}, nil
}

// dial connects to a daemon that was asked for, with a certificate if it has
// to show one.
func (n node) dial(ctx context.Context, timeout time.Duration) (*Engine, error) {
	var opts []client.ClientOpt
	if n.ca != "" || n.serverName != "" {
		opts = append(opts, client.WithServerConfig(n.serverName, n.ca))
	}
	if n.cert != "" || n.key != "" {
		opts = append(opts, client.WithCredentials(n.cert, n.key))
	}
	if n.container == "" {
		n.container, n.engine = inContainer(n.address)
	}
	if n.container != "" {
		opts = append(opts, n.dialer())
	}
	e, err := dial(ctx, "builder", n.address, timeout, opts...)
	if err != nil {
		return nil, err
	}
	e.platforms, e.named, e.node = n.platforms, n.named, n.name
	return e, nil
}

// label is the engine in the form that buildx has for it, BUILDER/NODE.
func (e *Engine) label() string {
	if e.node != "" {
		return e.node
	}
	return "secure-build/" + e.Kind
}

// String says which daemon it is, for a report.
func (e *Engine) String() string {
	if e.Kind == "private" { // its address means nothing to anybody else
		return "private buildkitd " + e.Version
	}
	text := fmt.Sprintf("buildkitd %s at %s", e.Version, e.Address)
	for _, other := range e.others {
		text += ", " + other.String()
	}
	return text
}

// Share returns the engine for one of several builds that run on it at the same
// time. Each has a trace of its own; only the first engine is to be closed.
func (e *Engine) Share() *Engine {
	one := *e
	one.shared = true
	one.others = nil
	for _, other := range e.others {
		one.others = append(one.others, other.Share())
	}
	return &one
}

// Close ends the connection, and the daemon if it is ours.
func (e *Engine) Close() error {
	err := e.client.Close()
	for _, other := range e.others {
		err = errors.Join(err, other.Close())
	}
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
