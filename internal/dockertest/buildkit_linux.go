package dockertest

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/compression"
	"github.com/google/go-containerregistry/pkg/crane"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// BuildKitImage is the image that buildx starts for its driver docker-container.
const BuildKitImage = "moby/buildkit:buildx-stable-1"

// LoadBuildKit makes an image of BuildKit on this engine, from the programs in
// tools and this machine's runc, and names it BuildKitImage. It is laid out as
// the published one is; buildx takes it from the engine when it cannot pull.
func LoadBuildKit(e *Engine, tools string) error {
	archive := filepath.Join(e.dir, "buildkit.tar")
	defer os.Remove(archive)
	err := writeBuildKit(archive, tools)
	if err == nil {
		_, err = e.Docker("import", "--change", `ENTRYPOINT ["buildkitd"]`, "--change", "VOLUME /var/lib/buildkit", "--change", "ENV "+searchPath, archive, BuildKitImage)
	}
	if err != nil {
		return fmt.Errorf("making an image of BuildKit: %w", err)
	}
	return nil
}

// PushBuildKit pushes the same image, and returns it by its digest. Its layer is
// not packed, which would take longer than all else.
func PushBuildKit(repository, tools string) (ref string, err error) {
	dir, err := os.MkdirTemp("", "bki")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	archive := filepath.Join(dir, "buildkit.tar")
	if err := writeBuildKit(archive, tools); err != nil {
		return "", err
	}
	layer, err := tarball.LayerFromFile(archive, tarball.WithCompression(compression.None))
	if err != nil {
		return "", err
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return "", err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return "", err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Config = v1.Config{Entrypoint: []string{"buildkitd"}, Env: []string{searchPath}, Volumes: map[string]struct{}{"/var/lib/buildkit": {}}}
	if img, err = mutate.ConfigFile(img, config); err != nil {
		return "", err
	}
	if err := crane.Push(img, repository); err != nil {
		return "", fmt.Errorf("pushing an image of BuildKit: %w", err)
	}
	digest, err := img.Digest()
	return repository + "@" + digest.String(), err
}

const searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func writeBuildKit(archive, tools string) error {
	return writeArchive(archive, map[string]string{
		"usr/bin/buildkitd":     filepath.Join(tools, "buildkitd"),
		"usr/bin/buildctl":      filepath.Join(tools, "buildctl"),
		"usr/bin/buildkit-runc": "runc",
	})
}

// LoadPrograms makes an image of programs of this machine on this engine, as
// NAME. It begins with a shell, if it has one.
func LoadPrograms(e *Engine, name string, programs map[string]string) error {
	archive := filepath.Join(e.dir, "programs.tar")
	defer os.Remove(archive)
	err := writeArchive(archive, programs)
	if err == nil {
		_, err = e.Docker("import", "--change", `CMD ["/bin/sh"]`, archive, name)
	}
	if err != nil {
		return fmt.Errorf("making the image %s: %w", name, err)
	}
	return nil
}

// writeArchive archives programs, by their places in the image, with the
// libraries that they load.
func writeArchive(name string, programs map[string]string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	w := tar.NewWriter(f)
	err = w.WriteHeader(&tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777})
	seen := map[string]bool{}
	add := func(place, path string) error {
		if seen[place] {
			return nil
		}
		seen[place] = true
		return addFile(w, place, path)
	}
	for _, place := range slices.Sorted(maps.Keys(programs)) {
		program := programs[place]
		path, loads, lerr := libraries(program)
		err = errors.Join(err, lerr, add(place, path))
		for _, library := range loads {
			err = errors.Join(err, add(strings.TrimPrefix(library, "/"), library))
		}
	}
	return errors.Join(err, w.Close(), f.Close())
}

// libraries finds a program, in PATH or where Debian keeps those of root, and
// what it loads.
func libraries(program string) (path string, loads []string, err error) {
	if path, err = exec.LookPath(program); err != nil {
		if path, err = exec.LookPath(filepath.Join("/usr/sbin", program)); err != nil {
			return "", nil, err
		}
	}
	out, _ := exec.Command("ldd", path).Output() // it fails for a static one
	for line := range strings.Lines(string(out)) {
		if i := strings.IndexByte(line, '/'); i >= 0 {
			loads = append(loads, strings.Fields(line[i:])[0])
		}
	}
	return path, loads, nil
}

func addFile(w *tar.Writer, place, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if err := w.WriteHeader(&tar.Header{Name: place, Typeflag: tar.TypeReg, Mode: 0o755, Size: fi.Size()}); err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return err
}
