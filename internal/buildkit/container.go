package buildkit

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/org/secure-build/internal/buildkit/shim"
	"github.com/org/secure-build/internal/hint"
)

const (
	// containerImage is the last rung: BuildKit's own image, of the version that
	// this module is built with, by its digest (that of the index of all
	// platforms), so that nobody can put another one in its place.
	containerImage = "moby/buildkit:v0.33.1@sha256:cec9f139f45e93c5c69c60f8b07cfad9f43f4ef6b6a6cd917527fea5ff2e3dea"
	// containerLabel marks our containers. Its value says whose they are.
	containerLabel = "secure-build.owner"

	pullTimeout   = 10 * time.Minute // docker run, which may pull the image
	dockerTimeout = 30 * time.Second // every other call of docker
)

// dockerEnv lists what the docker command is given of our environment. What
// else is there (SOPS keys, tokens) is not for it.
var dockerEnv = append([]string{
	"DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY", "DOCKER_API_VERSION", "SSH_AUTH_SOCK",
	"DOCKER_TLS", "DOCKER_CUSTOM_HEADERS", "BUILDX_CONFIG",
}, daemonEnv...)

// A container has a buildkitd in it, which docker started for this run.
type container struct {
	name, owner string
	image       string
	allow       []string // entitlements
}

// engineOf says which engine the docker command leads to. An error says why
// there is none.
func engineOf(ctx context.Context) (version string, err error) {
	if _, err := exec.LookPath("docker"); err != nil {
		return "", errNoDocker
	}
	return docker(ctx, dockerTimeout, "version", "--format", "{{.Server.Version}}")
}

var errNoDocker = errors.New("no docker is in PATH")

// startContainer starts BuildKit's image by docker, and waits until it answers.
// The container and all that it has kept are removed by Close. A SIGKILL to us
// leaves it behind: the next run with the same cache folder removes it.
func startContainer(ctx context.Context, opts EngineOptions) (_ *Engine, err error) {
	version, err := engineOf(ctx)
	if err != nil {
		return nil, fmt.Errorf("starting BuildKit by docker: %w", err)
	}
	if err := os.MkdirAll(opts.CacheDir, 0o700); err != nil {
		return nil, fmt.Errorf("starting BuildKit by docker: %w", err)
	}
	name := filepath.Join(opts.CacheDir, "docker.lock")
	unlock, err := lock(ctx, name, func() {
		fmt.Fprintf(opts.Log, "waiting for another secure-build that uses %s\n", opts.CacheDir)
	})
	if err != nil {
		return nil, fmt.Errorf("starting BuildKit by docker: %w", err)
	}
	owner, err := ownerOf(name)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting BuildKit by docker: %w", err), unlock())
	}
	c := container{owner: owner, image: cmp.Or(opts.Image, containerImage), allow: opts.Allow}
	c.name = "secure-build-" + c.owner
	end := func() error { return errors.Join(c.remove(), unlock()) }
	fmt.Fprintf(opts.Log, "secure-build: starting %s by Docker %s, as a privileged container\n", c.image, version)
	// The lock is ours, so what a run that was killed has left is nobody's.
	err = c.remove()
	if err == nil {
		_, err = docker(ctx, pullTimeout, c.args(os.Getenv)...)
	}
	var e *Engine
	if err == nil {
		e, err = c.wait(ctx)
	}
	if err != nil {
		return nil, errors.Join(hint.Wrap(fmt.Errorf("starting BuildKit by docker: %w", err),
			"does this engine allow privileged containers, and reach Docker Hub? otherwise set BUILDKIT_HOST"), end())
	}
	e.stop = end
	e.kill = func() { _, _ = docker(context.Background(), dockerTimeout, "kill", c.name) }
	return e, nil
}

var ownerName = regexp.MustCompile(`^[0-9a-f]{12}$`)

// ownerOf is the same for all runs that share a lock, and for no others. So the
// file that is locked says it: jobs in containers use one engine under one host
// name and with the same folders, each with a file of its own.
func ownerOf(lockFile string) (string, error) {
	data, err := os.ReadFile(lockFile)
	if err != nil || ownerName.Match(data) {
		return string(data), err
	}
	random := make([]byte, 6)
	_, _ = rand.Read(random) // never fails (crypto/rand)
	owner := hex.EncodeToString(random)
	return owner, os.WriteFile(lockFile, []byte(owner), 0o600)
}

// args is docker's command line. What the daemon writes about a step that runs
// (which has the values of secrets mounted with env=) is on a tmpfs, as in
// [Shim]; its cache is in a volume that goes with the container.
func (c container) args(getenv func(string) string) []string {
	args := []string{"run", "--detach", "--rm", "--privileged", "--name", c.name, "--label", containerLabel + "=" + c.owner}
	for _, s := range shim.Snapshotters {
		args = append(args, "--tmpfs", "/var/lib/buildkit/runc-"+s+"/executor:rw,exec,nosuid,nodev,mode=711,size=256m")
	}
	args = append(args, "--tmpfs", "/run/runc:rw,nosuid,nodev,mode=700,size=256m")
	for _, name := range daemonEnv {
		if strings.HasSuffix(strings.ToLower(name), "_proxy") && getenv(name) != "" {
			args = append(args, "--env", name) // its value is docker's to take
		}
	}
	args = append(args, c.image)
	for _, e := range c.allow {
		name, _, _ := strings.Cut(e, "=")
		args = append(args, "--allow-insecure-entitlement", name)
	}
	return args
}

// wait returns when the daemon answers, has ended, or takes too long.
func (c container) wait(ctx context.Context) (*Engine, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		e, err := dial(ctx, "docker", "docker-container://"+c.name, startTimeout, node{container: c.name}.dialer())
		if err == nil {
			return e, nil
		}
		if _, gone := docker(ctx, dockerTimeout, "inspect", "--format", "{{.State.Running}}", c.name); gone != nil {
			return nil, errors.Join(err, gone)
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// remove removes every container of this owner, running or not, with its
// volumes. It goes on after a cancelled run too.
func (c container) remove() error {
	ctx := context.Background()
	var err error
	for range 5 {
		var ids string
		ids, err = docker(ctx, dockerTimeout, "ps", "--all", "--quiet", "--filter", "label="+containerLabel+"="+c.owner)
		if err != nil || ids == "" {
			break
		}
		if _, err = docker(ctx, dockerTimeout, append([]string{"rm", "--force", "--volumes"}, strings.Fields(ids)...)...); err == nil {
			break
		}
		time.Sleep(time.Second) // --rm may be at it: "removal is already in progress"
	}
	if err != nil {
		return hint.Wrap(fmt.Errorf("removing BuildKit's container: %w", err), "docker rm --force --volumes %s", c.name)
	}
	return nil
}

// docker runs the docker command, and returns what it says.
func docker(ctx context.Context, timeout time.Duration, args ...string) (string, error) {
	return run(ctx, timeout, "docker", args...)
}

// dockerEnviron is what docker and buildx are given of our environment.
func dockerEnviron() (env []string) {
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); slices.Contains(dockerEnv, name) {
			env = append(env, kv)
		}
	}
	return env
}

// run runs docker or buildx.
func run(ctx context.Context, timeout time.Duration, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.WaitDelay = time.Second
	cmd.Env = dockerEnviron()
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		for strings.HasPrefix(args[0], "--") { // which engine
			args = args[2:]
		}
		return "", fmt.Errorf("%s %s: %w: %s", program, args[0], err, complaint(said.String()))
	}
	return strings.TrimSpace(string(out)), nil
}

// complaint is the line that says what went wrong, among those that tell what
// was being done: pulling an image, starting a builder.
func complaint(said string) string {
	lines := strings.Split(strings.TrimSpace(said), "\n")
	at := slices.IndexFunc(lines, func(line string) bool {
		return strings.HasPrefix(line, "docker: ") || strings.HasPrefix(strings.ToLower(line), "error")
	})
	return lines[max(at, 0)]
}
