//go:build linux

package securebuild_test

import (
	"archive/tar"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/crane"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// localRegistry starts a registry and returns its address.
func localRegistry(t *testing.T) string {
	t.Helper()
	srv := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://")
}

// imageParts collects what the image holds, with another program in the place
// of ours and of buildkitd if tools is given.
func imageParts(t *testing.T, binary, tools string) (context string) {
	t.Helper()
	context = t.TempDir()
	cmd := exec.Command("go", "run", "./cmd/image", "-binary", binary, "-tools", tools, "-o", filepath.Join(context, "rootfs.tar"))
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1700000000", "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return context
}

// buildImage builds the Dockerfile by secure-build itself, with a private
// daemon that knows nothing of earlier builds, and returns what was pushed.
func buildImage(t *testing.T, context, tag string, args ...string) v1.Image {
	t.Helper()
	args = append([]string{
		"build", "--progress", "plain", "--cache-dir", t.TempDir(), "--provenance=false",
		// It holds the patterns that are looked for, and is found by one of them.
		"--fail-on", "known-value", "--build-arg", "SOURCE_DATE_EPOCH=1700000000", "-f", "Dockerfile", "-t", tag, "--push",
	}, args...)
	cmd := exec.Command("bin/secure-build", append(args, context)...)
	cmd.Env = withoutBuilder(os.Environ())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ref, err := name.ParseReference(tag)
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(ref)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func withoutBuilder(environ []string) (env []string) {
	for _, kv := range environ {
		if name, _, _ := strings.Cut(kv, "="); name != "BUILDKIT_HOST" && !strings.HasPrefix(name, "SECURE_BUILD_") && !strings.HasPrefix(name, "SOPS_") {
			env = append(env, kv)
		}
	}
	return env
}

// TestImageIsReproducible builds it twice, by two daemons, from parts that were
// collected twice. Small programs stand for the large ones.
func TestImageIsReproducible(t *testing.T) {
	parts, reg := smallParts(t), localRegistry(t)
	var digests [2]v1.Hash
	for i := range digests {
		img := buildImage(t, imageParts(t, filepath.Join(parts, "secure-build"), parts), reg+"/secure-build:test")
		var err error
		if digests[i], err = img.Digest(); err != nil {
			t.Fatal(err)
		}
	}
	if digests[0] != digests[1] {
		t.Errorf("two builds of the same parts: %v and %v", digests[0], digests[1])
	}
}

// TestImageOnAnotherBase builds it from a base in a registry, whose files it keeps.
func TestImageOnAnotherBase(t *testing.T) {
	reg := localRegistry(t)
	base, err := crane.Image(map[string][]byte{"etc/base": []byte("a base\n")})
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := base.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	cfg.Architecture, cfg.OS = runtime.GOARCH, "linux"
	if base, err = mutate.ConfigFile(base, cfg); err != nil {
		t.Fatal(err)
	}
	if err := crane.Push(base, reg+"/base:1", crane.Insecure); err != nil {
		t.Fatal(err)
	}
	parts := smallParts(t)
	img := buildImage(t, imageParts(t, filepath.Join(parts, "secure-build"), parts), reg+"/secure-build:base", "--build-arg", "BASE="+reg+"/base:1")
	files := mutate.Extract(img)
	defer files.Close()
	want := map[string]bool{"etc/base": true, "usr/bin/secure-build": true, "usr/bin/entrypoint.sh": true}
	for r := tar.NewReader(files); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		delete(want, h.Name)
	}
	if len(want) > 0 {
		t.Errorf("files that are missing: %v", want)
	}
}

// smallParts are small programs in the place of the large ones.
func smallParts(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, file := range []string{"secure-build", "buildkitd"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// theImage is the image of the real parts, in a registry that stays.
var theImage struct {
	once  sync.Once
	image v1.Image
}

// ourImage returns the image, which the first test that wants it builds.
func ourImage(t *testing.T, tools string) v1.Image {
	t.Helper()
	theImage.once.Do(func() {
		srv := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
		theImage.image = buildImage(t, imageParts(t, "bin/secure-build", tools), strings.TrimPrefix(srv.URL, "http://")+"/secure-build:test")
	})
	if theImage.image == nil {
		t.Fatal("the image could not be built")
	}
	return theImage.image
}

// packed is the size of an image's layers in a registry.
func packed(t *testing.T, img v1.Image) (size int64) {
	t.Helper()
	m, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range m.Layers {
		size += layer.Size
	}
	return size
}

// TestImage starts the image as Docker does for a job: as its user, with
// Docker's default capabilities to gain and no others, and with parts of /proc
// masked; without a seccomp profile, which rootless needs. In it the demo is
// built, scanned and pushed.
func TestImage(t *testing.T) {
	tools, err := filepath.Abs("bin/tools")
	if err != nil {
		t.Fatal(err)
	}
	reg := localRegistry(t)
	img := ourImage(t, tools)
	if size := packed(t, img); size > 64<<20 {
		t.Errorf("it has %d bytes, which is not small", size)
	}
	c := newContainer(t, img)
	c.demo(t, tools)
	c.env = append(c.env, "SOPS_AGE_KEY="+c.key, "REGISTRY="+reg)
	out := c.run(t, "sh", "-c", `set -e; id -u; cd /builds/demo
		secure-build build --progress plain --sops npmrc=secrets.env#NPMRC --sops secrets.env#DATABASE_URL --sops signing_key=secrets.env#KEY \
			-t "$REGISTRY/demo/site:1" --push .
		ls -A /dev/shm /tmp "$HOME"`)
	for _, want := range []string{"1000\n", "checking the schema of [masked:DATABASE_URL]", "the key has mode 400 and owner 1000", "clean: ", "pushed " + reg + "/demo/site:1@sha256:"} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	for _, value := range []string{"demo_Zk3v", "demo-Gx7p", "c2VjdXJl", c.key} {
		if strings.Contains(out, value) {
			t.Errorf("it shows the value %s…", value)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
	if got := c.run(t, "version"); !strings.HasPrefix(got, "secure-build ") {
		t.Errorf("the entry point says %q to version", got)
	}
}
