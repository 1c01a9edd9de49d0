package main_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestProvenanceOfRotation: BuildKit keeps the frontend's arguments in the
// provenance of a graph that its frontend has solved itself, and the ids of a
// build's secrets are rotated in a graph that we solve. So what a build loses that
// mounts a secret is this, and no more.
func TestProvenanceOfRotation(t *testing.T) {
	address, _, err := sharedDaemon()
	if err != nil {
		t.Fatal(err)
	}
	b, dir, value := beside{home: t.TempDir()}, t.TempDir(), newValue("")
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte(value), 0o600); err != nil {
		t.Fatal(err)
	}
	besideRow{files: withShell + "ARG COLOR\nRUN --mount=type=secret,id=token test -s /run/secrets/token && echo $COLOR > /color\n"}.write(t, dir)
	build := func(name string, more ...string) error {
		args := append([]string{"build", "--builder", address, "--progress", "plain", "--secret", "id=token,src=token", "--provenance", "mode=max", "--output", "type=oci,dest=" + name}, more...)
		return b.run(dir, "secure-build", append(args, "ctx")...)
	}
	if err := errors.Join(build("rotated", "--build-arg", "COLOR=blue"), build("plain", "--build-arg", "COLOR=blue", "--no-rotation")); err != nil {
		t.Fatal(err)
	}
	plain, rotated := predicateOf(t, filepath.Join(dir, "plain")), predicateOf(t, filepath.Join(dir, "rotated"))
	var got []string
	for path, value := range plain {
		if rotated[path] != value {
			got = append(got, fmt.Sprintf("%s: %s, not %s", path, rotated[path], value))
		}
		delete(rotated, path)
	}
	for path := range rotated {
		got = append(got, path+" is new")
	}
	const external = "buildDefinition.externalParameters."
	want := []string{
		external + "configSource.path: , not Dockerfile",
		external + "request.args.build-arg:COLOR: , not blue",
		external + "request.args.build-arg:SOURCE_DATE_EPOCH: , not 1700000000",
		external + "request.frontend: , not dockerfile.v0",
		external + "request.root.configSource.path: , not Dockerfile",
		external + "request.root.request.args.build-arg:COLOR: , not blue",
		external + "request.root.request.args.build-arg:SOURCE_DATE_EPOCH: , not 1700000000",
		"buildDefinition.internalParameters.dockerfileVersion: , not " + plain["buildDefinition.internalParameters.dockerfileVersion"],
		"runDetails.metadata.buildkit_completeness.request: false, not true",
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what rotation takes from the provenance (-want +got):\n%s", diff)
	}

	// The arguments are not there, and are looked at all the same.
	err = build("leaky", "--build-arg", "COLOR="+value)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 || !strings.Contains(err.Error(), `the build argument COLOR holds the value of the secret "token"`) {
		t.Errorf("a value in a build argument: got %v, want exit status 3", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "leaky")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the leaky image was written: %v", err)
	}
}

var (
	rotatedID  = regexp.MustCompile(`@[0-9a-f]{32}$`)
	notTheSame = regexp.MustCompile(`sha256:|runDetails\.metadata\.(invocationId|startedOn|finishedOn) |buildkit_metadata\.layers\..*\.size `)
)

// predicateOf is the provenance in an image, by the paths of its values. Digests,
// times, the sizes of layers with times in them, and what is put behind the ids of
// secrets are left out.
func predicateOf(t *testing.T, file string) map[string]string {
	t.Helper()
	blobs, err := untar(file)
	if err != nil {
		t.Fatal(err)
	}
	flat := map[string]string{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, in := range v {
				walk(strings.TrimPrefix(path+"."+k, "."), in)
			}
		case []any:
			for i, in := range v {
				walk(fmt.Sprintf("%s[%d]", path, i), in)
			}
		default:
			if text := rotatedID.ReplaceAllString(fmt.Sprint(v), ""); !notTheSame.MatchString(path + " " + text) {
				flat[path] = text
			}
		}
	}
	for _, text := range blobs {
		var statement struct{ Predicate map[string]any }
		if json.Unmarshal(text, &statement) == nil && statement.Predicate != nil {
			walk("", statement.Predicate)
		}
	}
	if len(flat) == 0 {
		t.Fatalf("%s has no provenance", file)
	}
	return flat
}
