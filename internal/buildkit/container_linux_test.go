package buildkit

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	contentlocal "github.com/containerd/containerd/v2/plugins/content/local"
)

// standInDocker keeps docker's rules as far as they are used here, and fails on
// everything that it does not know: a name is used once, what is not there can
// not be run in or removed, and exec leads to a real buildkitd.
const standInDocker = `#!/bin/sh
cd STATE || exit 1
echo "$*" >> log
env >> environ
fail() { echo "docker: $*" >&2; exit 125; }
case $1 in
version)
	[ "$*" = "version --format {{.Server.Version}}" ] || fail "unexpected: $*"
	[ -e down ] && { echo "Cannot connect to the Docker daemon" >&2; exit 1; }
	echo 29.1.0 ;;
ps)
	[ "$1 $2 $3 $4" = "ps --all --quiet --filter" ] && [ $# = 5 ] || fail "unexpected: $*"
	for c in containers/*; do
		[ -e "$c" ] && [ "label=$(cat "$c")" = "$5" ] && basename "$c"
	done
	exit 0 ;;
run)
	shift; name= label= privileged= detach= rm=
	while :; do
		case $1 in
		--detach) detach=1; shift ;;
		--rm) rm=1; shift ;;
		--privileged) privileged=1; shift ;;
		--name) name=$2; shift 2 ;;
		--label) label=$2; shift 2 ;;
		--tmpfs) case $2 in /*:rw,*) shift 2 ;; *) fail "invalid tmpfs $2" ;; esac ;;
		--env) case $2 in *=*) fail "a value in argv: $2" ;; *) shift 2 ;; esac ;;
		-*) fail "unknown flag: $1" ;;
		*) break ;;
		esac
	done
	[ "$1" = "IMAGE" ] || fail "unexpected image $1"
	shift
	[ "$*" = "" ] || [ "$*" = "--allow-insecure-entitlement network.host" ] || fail "unexpected: $*"
	[ "$detach$rm$privileged" = 111 ] || fail "not detached, removed and privileged"
	[ -e "containers/$name" ] && fail "Conflict. The container name \"/$name\" is already in use"
	[ -e refuses ] && fail "privileged mode is incompatible with user namespaces"
	echo "$label" > "containers/$name"; echo 0123456789ab ;;
exec)
	[ "$2 $4 $5" = "-i buildctl dial-stdio" ] && [ $# = 5 ] || fail "unexpected: $*"
	[ -e "containers/$3" ] || fail "No such container: $3"
	exec BUILDCTL --addr unix://SOCKET dial-stdio ;;
inspect)
	[ "$2 $3" = "--format {{.State.Running}}" ] && [ $# = 4 ] || fail "unexpected: $*"
	[ -e "containers/$4" ] || fail "No such object: $4"
	echo true ;;
rm)
	[ "$2 $3" = "--force --volumes" ] && [ $# -ge 4 ] || fail "unexpected: $*"
	shift 3
	for c; do rm "containers/$c" || fail "No such container: $c"; done ;;
*) fail "unexpected: $*" ;;
esac
`

// dockerScene puts the stand-in into PATH, before a real daemon.
func dockerScene(t *testing.T) (state string, opts EngineOptions) {
	t.Helper()
	state = t.TempDir()
	behind := private(t, t.TempDir())
	t.Cleanup(func() { _ = behind.Close() })
	write(t, filepath.Join(state, "bin", "docker"), strings.NewReplacer(
		"STATE", state, "IMAGE", containerImage, "BUILDCTL", filepath.Join(tools(t), "buildctl"), "SOCKET", strings.TrimPrefix(behind.Address, "unix://"),
	).Replace(standInDocker))
	if err := os.Mkdir(filepath.Join(state, "containers"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Join(state, "bin")+":"+os.Getenv("PATH"))
	t.Setenv("SOPS_AGE_KEY", "AGE-SECRET-KEY-not-for-docker")
	t.Setenv("HTTPS_PROXY", "")
	// The private daemon is not to be had: nothing of it is in this PATH.
	return state, EngineOptions{CacheDir: t.TempDir(), Log: io.Discard, Allow: []string{"network.host"}, Getenv: func(string) string { return "" }}
}

func containers(t *testing.T, state string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(state, "containers"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestContainer builds in a container that docker starts, which is gone after
// it, as is one that a killed run has left. Another owner's stays.
func TestContainer(t *testing.T) {
	state, opts := dockerScene(t)
	name := "secure-build-" + ownerOf(opts.CacheDir)
	write(t, filepath.Join(state, "containers", name), containerLabel+"="+ownerOf(opts.CacheDir)+"\n") // left behind
	write(t, filepath.Join(state, "containers", "other"), containerLabel+"=0\n")
	e, err := startOwn(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if got := containers(t, state); len(got) != 2 || e.Kind != "docker" {
		t.Errorf("got the containers %q and the engine %s, want ours and the other", got, e.Kind)
	}
	store, err := contentlocal.NewStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	_, err = e.Solve(t.Context(), Request{
		Context: buildContext(t, shell), Store: store, Secret: func(string) ([]byte, error) { return nil, os.ErrNotExist },
	}, output(io.Discard))
	if err != nil {
		t.Error(err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if got := containers(t, state); len(got) != 1 || got[0] != "other" {
		t.Errorf("got the containers %q after it, want the other one's only", got)
	}
	log, _ := os.ReadFile(filepath.Join(state, "log"))
	if !strings.Contains(string(log), "--tmpfs /var/lib/buildkit/runc-overlayfs/executor:") {
		t.Errorf("what runc writes about a step is on no tmpfs:\n%s", log)
	}
}

// TestContainerEnvironment: of what we have, docker's own calls get a list.
// (exec is BuildKit's library's, which gives it all: cmd/secure-build sheds.)
func TestContainerEnvironment(t *testing.T) {
	state, _ := dockerScene(t)
	t.Setenv("DOCKER_HOST", "unix:///docker.sock")
	if _, err := engineOf(t.Context()); err != nil {
		t.Fatal(err)
	}
	environ, err := os.ReadFile(filepath.Join(state, "environ"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(environ), "SOPS_AGE_KEY") || !strings.Contains(string(environ), "DOCKER_HOST=") {
		t.Errorf("docker was given:\n%s", environ)
	}
}

// TestNoContainer: each reason is said, and nothing is left.
func TestNoContainer(t *testing.T) {
	for _, tt := range []struct{ file, want string }{
		{"down", "Cannot connect to the Docker daemon"},
		{"refuses", "privileged mode is incompatible"},
	} {
		t.Run(tt.file, func(t *testing.T) {
			state, opts := dockerScene(t)
			write(t, filepath.Join(state, tt.file), "")
			e, err := startOwn(t.Context(), opts)
			if err == nil {
				_ = e.Close()
				t.Fatal("got an engine, want an error")
			}
			for _, want := range []string{"no buildkitd is in PATH", tt.want} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q in it", err, want)
				}
			}
			if got := containers(t, state); len(got) != 0 {
				t.Errorf("these are left: %q", got)
			}
		})
	}
	t.Run("none", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		_, err := startOwn(context.Background(), EngineOptions{CacheDir: t.TempDir(), Log: io.Discard, Getenv: func(string) string { return "" }})
		if err == nil || strings.Contains(err.Error(), "docker") {
			t.Errorf("got %v, want no word of docker", err)
		}
	})
}

// TestContainerVersion: the image is of the version that we are built with.
func TestContainerVersion(t *testing.T) {
	mod, err := os.ReadFile(filepath.Join("..", "..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	tag, _, _ := strings.Cut(strings.TrimPrefix(containerImage, "moby/buildkit:"), "@")
	if want := "github.com/moby/buildkit " + tag + "\n"; !strings.Contains(string(mod), want) {
		t.Errorf("go.mod has no line %q: set the image's tag and digest to the version there", want)
	}
}
