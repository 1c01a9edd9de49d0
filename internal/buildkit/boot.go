package buildkit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/org/secure-build/internal/hint"
)

// containerOf is the container of a node of buildx' driver docker-container,
// and how docker gets to the engine that it is on: the builder may have been
// made for another one than docker leads to now, and its nodes for several.
func containerOf(name, endpoint string) (container string, engine []string) {
	switch {
	case endpoint == "" || endpoint == "default":
	case strings.Contains(endpoint, "://"):
		engine = []string{"--host", endpoint}
	default:
		engine = []string{"--context", endpoint}
	}
	return "buildx_buildkit_" + name, engine
}

// docker runs the docker command on the node's engine.
func (n node) docker(ctx context.Context, args ...string) (string, error) {
	return docker(ctx, dockerTimeout, append(slices.Clone(n.engine), args...)...)
}

// dialer reaches a daemon in a container as BuildKit's own helper does, which
// knows contexts only.
func (n node) dialer() client.ClientOpt {
	args := append(slices.Clone(n.engine), "exec", "-i", n.container, "buildctl", "dial-stdio")
	return client.WithContextDialer(func(context.Context, string) (net.Conn, error) { return dialStdio(args...) })
}

// inContainer takes an address docker-container://NAME[?context=CONTEXT] apart.
func inContainer(address string) (container string, engine []string) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "docker-container" {
		return "", nil
	}
	if name := u.Query().Get("context"); name != "" {
		engine = []string{"--context", name}
	}
	return u.Hostname(), engine
}

// What may be wrong with a container that a builder should be in. Both are
// mended by a build.
var (
	errStopped = errors.New("its container does not run")
	errUnmade  = errors.New("its container has not been made yet")
)

// running says whether a node's container runs, if it is in one.
func (n node) running(ctx context.Context) error {
	if n.container == "" {
		return nil
	}
	running, err := n.docker(ctx, "container", "inspect", "--format", "{{.State.Running}}", n.container)
	switch {
	case err != nil && strings.Contains(strings.ToLower(err.Error()), "no such container"):
		return errUnmade
	case err == nil && running != "true":
		return errStopped
	}
	return err
}

// boot starts the containers of builders that do not run, as buildx does before
// a build: what was stopped by docker, and by buildx what nobody has made yet.
func boot(ctx context.Context, nodes []node, log io.Writer) error {
	var unmade []string
	for _, n := range nodes {
		builder, _, _ := strings.Cut(n.name, "/")
		err := n.running(ctx)
		switch {
		case errors.Is(err, errUnmade):
			unmade, err = append(unmade, builder), nil
		case errors.Is(err, errStopped):
			fmt.Fprintf(log, "secure-build: starting the builder %s\n", n.name)
			if _, err = n.docker(ctx, "start", n.container); err == nil {
				err = n.awake(ctx)
			}
		}
		if err != nil {
			return fmt.Errorf("starting the builder %s: %w", n.name, err)
		}
	}
	for _, name := range slices.Compact(unmade) {
		fmt.Fprintf(log, "secure-build: starting the builder %s, by buildx\n", name)
		if err := buildx(ctx, "inspect", "--bootstrap", name); err != nil {
			return hint.Wrap(fmt.Errorf("starting the builder %s: %w: %w", name, errUnmade, err), "docker buildx inspect --bootstrap %s starts it", name)
		}
	}
	return nil
}

// awake waits for the daemon of a container that has just been started.
func (n node) awake(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		_, err := n.docker(ctx, "exec", n.container, "buildctl", "debug", "workers")
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// buildx runs buildx, which is a plugin of docker, or a program of its own. It
// may have to pull BuildKit's image.
func buildx(ctx context.Context, args ...string) error {
	_, err := docker(ctx, pullTimeout, append([]string{"buildx"}, args...)...)
	if err == nil || ctx.Err() != nil {
		return err
	}
	if _, missing := exec.LookPath("buildx"); missing != nil {
		return err
	}
	_, err = run(ctx, pullTimeout, "buildx", args...)
	return err
}
