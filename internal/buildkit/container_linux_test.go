package buildkit

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// refusingDocker is an engine that takes no privileged containers, which the
// tests' real one does (cmd/secure-build's docker-image.txtar). It fails on
// everything that it does not know.
const refusingDocker = `#!/bin/sh
env >> STATE/environ
case "$*" in
"version --format {{.Server.Version}}") echo 29.1.0 ;;
"ps --all --quiet --filter label=secure-build.owner="*) ;;
"run --detach --rm --privileged --name secure-build-"*)
	echo "Unable to find image locally" >&2
	echo "docker: Error response from daemon: privileged mode is incompatible with user namespaces." >&2
	echo "Run 'docker run --help' for more information" >&2; exit 125 ;;
"--host unix:///far.sock exec -i one buildctl dial-stdio") echo "Error: No such container: one" >&2; exit 1 ;;
*) echo "unexpected: $*" >&2; exit 1 ;;
esac
`

// dockerScene puts it into PATH.
func dockerScene(t *testing.T) (state string) {
	t.Helper()
	state = t.TempDir()
	write(t, filepath.Join(state, "docker"), strings.ReplaceAll(refusingDocker, "STATE", state))
	t.Setenv("PATH", state+":"+os.Getenv("PATH"))
	t.Setenv("SOPS_AGE_KEY", "AGE-SECRET-KEY-not-for-docker")
	t.Setenv("DOCKER_HOST", "unix:///docker.sock")
	return state
}

// TestNoContainer: that an engine refuses is said, in its words.
func TestNoContainer(t *testing.T) {
	dockerScene(t)
	_, err := startOwn(t.Context(), EngineOptions{CacheDir: t.TempDir(), Log: io.Discard, Getenv: func(string) string { return "" }}, startPrivate)
	for _, want := range []string{"no buildkitd is in PATH", "docker run: exit status 125: docker: Error response from daemon: privileged mode is incompatible"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
	t.Setenv("PATH", t.TempDir())
	_, err = startOwn(t.Context(), EngineOptions{CacheDir: t.TempDir(), Log: io.Discard, Getenv: func(string) string { return "" }}, startPrivate)
	if err == nil || strings.Contains(err.Error(), "docker") {
		t.Errorf("without docker: got %v, want no word of it", err)
	}
}

// TestContainerEnvironment: of what we have, docker gets a list, whether it is
// asked something or leads to a daemon.
func TestContainerEnvironment(t *testing.T) {
	state := dockerScene(t)
	if _, err := engineOf(t.Context()); err != nil {
		t.Fatal(err)
	}
	n := node{address: "docker-container://one", container: "one", engine: []string{"--host", "unix:///far.sock"}}
	if _, err := n.dial(t.Context(), dialTimeout); err == nil || !strings.Contains(err.Error(), "docker ended: Error: No such container: one") {
		t.Errorf("got %v, want what docker says", err)
	}
	environ, err := os.ReadFile(filepath.Join(state, "environ"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(environ), "SOPS_AGE_KEY") || strings.Count(string(environ), "DOCKER_HOST=") < 2 {
		t.Errorf("docker was given:\n%s", environ)
	}
}

// TestOwnerOfALock: a container is whose lock it was started under, wherever
// that lies under the same name.
func TestOwnerOfALock(t *testing.T) {
	dir := t.TempDir()
	owners := map[string]string{}
	for _, text := range []string{"", "0123456789ab", "0123456", "0123456789ab\n--all"} {
		name := filepath.Join(dir, "docker.lock")
		write(t, name, text)
		first, err := ownerOf(name)
		second, err2 := ownerOf(name)
		if err != nil || err2 != nil || first != second || !ownerName.MatchString(first) || owners[first] != "" || (first == text) != (text == "0123456789ab") {
			t.Errorf("%q: got %q, %v, then %q, %v; others: %q", text, first, err, second, err2, owners)
		}
		owners[first] = first
	}
	if _, err := ownerOf(filepath.Join(dir, "none")); err == nil {
		t.Error("a lock that is not there has an owner")
	}
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

// TestBoot: a builder that can not be started is an error that says what would
// start it. What can be is shown on a real engine.
func TestBoot(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir+":/usr/bin:/bin")
	for name, tt := range map[string]struct{ docker, want string }{
		"no buildx":   {`case $* in *container*) echo "Error response from daemon: No such container: x" >&2;; *) echo "docker: unknown command: docker buildx" >&2;; esac; exit 1`, "starting the builder b: its container has not been made yet: docker buildx: exit status 1: docker: unknown command"},
		"down":        {`echo "Cannot connect to the Docker daemon" >&2; exit 1`, "starting the builder b/b0: docker container: exit status 1: Cannot connect"},
		"starts not":  {`case $* in *inspect*) echo false;; *) echo "Error response from daemon: no space left" >&2; exit 1;; esac`, "starting the builder b/b0: docker start: exit status 1: Error response from daemon: no space left"},
		"runs":        {`case $* in "--host unix:///x.sock container inspect"*) echo true;; *) exit 1;; esac`, ""},
		"no progress": {`case $* in *inspect*bootstrap*) printf '#1 booting\nERROR: no image\n' >&2; exit 1;; *) echo "no such container" >&2; exit 1;; esac`, "docker buildx: exit status 1: ERROR: no image"},
	} {
		t.Run(name, func(t *testing.T) {
			write(t, filepath.Join(dir, "docker"), "#!/bin/sh\n"+tt.docker+"\n")
			b := instance{Name: "b", Driver: "docker-container"}
			if err := json.Unmarshal([]byte(`[{"Name":"b0","Endpoint":"unix:///x.sock"}]`), &b.Nodes); err != nil {
				t.Fatal(err)
			}
			nodes, err := b.nodes(t.Context())
			if err == nil {
				err = boot(t.Context(), nodes, io.Discard)
			}
			if !says(err, tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
