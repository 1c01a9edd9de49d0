package main_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/rogpeppe/go-internal/txtar"
)

// TestBesideBuildx builds the contexts of a table with docker buildx and with
// secure-build, on one daemon and with the same flags, and holds the layers and
// the configs of both against one another. The daemon's cache is shared and
// SOURCE_DATE_EPOCH is set, so that times are the same; a step that one of the
// two asked for differently would run again, and its layer's times would tell.
func TestBesideBuildx(t *testing.T) {
	address, _, err := sharedDaemon()
	if err != nil {
		t.Fatal(err)
	}
	b := beside{home: t.TempDir()}
	if b.tools, err = toolsDir(); err != nil {
		t.Fatal(err)
	}
	// Both find the daemon by the name that buildx has for it, in its own files.
	if err := b.run(b.home, filepath.Join(b.tools, "buildx"), "create", "--name", "beside", "--driver", "remote", address); err != nil {
		t.Fatal(err)
	}
	for _, row := range contexts {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b.compare(t, row)
		})
	}
}

// TestBesideBuildxFromCache imports a cache that buildx has exported, with both,
// each on a daemon that has built nothing yet. What a step makes is never the
// same twice, so layers that are came out of the cache.
func TestBesideBuildxFromCache(t *testing.T) {
	address, _, err := sharedDaemon()
	if err != nil {
		t.Fatal(err)
	}
	b, dir := beside{home: t.TempDir()}, t.TempDir()
	if b.tools, err = toolsDir(); err != nil {
		t.Fatal(err)
	}
	besideRow{files: withShell + "RUN cat /proc/uptime /proc/sys/kernel/random/uuid > /when\nFROM base AS other\nRUN cat /proc/sys/kernel/random/uuid > /other\n" +
		"FROM base\nCOPY --from=other /other /\nCOPY more /\n-- ctx/more --\nm\n"}.write(t, dir)
	r := newRecorder()
	t.Cleanup(r.Close)
	buildx := filepath.Join(b.tools, "buildx")
	build := func(who, address, command string, more ...string) {
		t.Helper()
		if err := b.run(dir, buildx, "create", "--name", who, "--driver", "remote", address); err != nil {
			t.Fatal(err)
		}
		args := append([]string{"build", "--builder", who, "--progress", "plain", "--output", "type=oci,dest=" + who + ".tar"}, more...)
		if err := b.run(dir, command, append(args, "ctx")...); err != nil {
			t.Fatal(err)
		}
	}
	ref := r.host() + "/team/cache:1"
	build("first", address, buildx, "--cache-to", "type=local,dest=kept,mode=max", "--cache-to", "type=registry,mode=max,ref="+ref)
	for i, row := range []struct{ name, command, from string }{
		{"buildx from a folder", buildx, "type=local,src=kept"},
		{"secure-build from a folder", "secure-build", "type=local,src=kept"},
		{"buildx from a registry", buildx, ref},
		{"secure-build from a registry", "secure-build", ref},
	} {
		t.Run(row.name, func(t *testing.T) {
			root, err := os.MkdirTemp("", "bk")
			if err != nil {
				t.Fatal(err)
			}
			address, process, err := daemonIn(root)
			t.Cleanup(func() { removeDaemon(process, root) })
			if err != nil {
				t.Fatal(err)
			}
			who := fmt.Sprintf("fresh%d", i)
			build(who, address, row.command, "--cache-from", row.from)
			sameImages(t, filepath.Join(dir, "first.tar"), filepath.Join(dir, who+".tar"))
		})
	}
}

// A beside is where the two meet.
type beside struct {
	home, tools string
	env         []string // of a row
}

func (b beside) run(dir, command string, args ...string) error {
	cmd := exec.Command(command, args...)
	cmd.Dir = dir
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + b.home, "BUILDX_CONFIG=" + filepath.Join(b.home, "buildx"), "SOURCE_DATE_EPOCH=1700000000",
		"SECURE_BUILD_CACHE_DIR=" + filepath.Join(b.home, "cache"), "XDG_RUNTIME_DIR=" + b.home, "PASSED_ON=from the environment",
	}, b.env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", filepath.Base(command), strings.Join(args, " "), err, out)
	}
	return nil
}

func (b beside) compare(t *testing.T, row besideRow) {
	dir := t.TempDir()
	row.write(t, dir)
	if row.layout {
		if err := b.run(dir, filepath.Join(b.tools, "buildx"), "build", "--builder", "beside", "--provenance=false", "--output", "type=oci,tar=false,dest=layout", "base"); err != nil {
			t.Fatal(err)
		}
	}
	to := "type=oci,dest=WHO.tar" + row.output
	if row.to != "" {
		to = row.to
	}
	if strings.Contains(to, "REGISTRY") {
		r := newRecorder()
		t.Cleanup(r.Close)
		to = strings.ReplaceAll(to, "REGISTRY", r.host())
	}
	b.env = row.env
	build := func(who, command string) {
		t.Helper()
		args := append([]string{"build", "--builder", "beside", "--progress", "plain", "--metadata-file", who + ".json", "--output", strings.ReplaceAll(to, "WHO", who)}, row.flags...)
		if err := b.run(dir, command, append(args, "ctx")...); err != nil {
			t.Fatal(err)
		}
	}
	build("theirs", filepath.Join(b.tools, "buildx"))
	build("ours", "secure-build")
	if row.to == "" {
		sameImages(t, filepath.Join(dir, "theirs.tar"), filepath.Join(dir, "ours.tar"))
	}
	theirs := slices.DeleteFunc(keysOf(t, filepath.Join(dir, "theirs.json")), func(k string) bool { return slices.Contains(row.lacks, k) })
	if diff := cmp.Diff(theirs, keysOf(t, filepath.Join(dir, "ours.json"))); diff != "" {
		t.Errorf("the keys of the metadata differ (-buildx +secure-build):\n%s", diff)
	}
}

func sameImages(t *testing.T, a, b string) {
	t.Helper()
	theirs, err := describe(a)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := describe(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(theirs, ours); diff != "" {
		t.Errorf("the images differ (-buildx +secure-build):\n%s", diff)
	}
}

func keysOf(t *testing.T, file string) []string {
	t.Helper()
	data, err := os.ReadFile(file)
	var all map[string]json.RawMessage
	if err == nil {
		err = json.Unmarshal(data, &all)
	}
	if err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(all))
}

// An imageSketch is what has to be the same of an image of one platform.
type imageSketch struct {
	Config      string // digest
	Layers      []string
	Annotations map[string]string
	Attested    []string // predicate types
}

// describe reads an archive of an OCI layout: a sketch for each platform.
func describe(file string) (map[string]*imageSketch, error) {
	blobs, err := untar(file)
	if err != nil {
		return nil, err
	}
	blob := func(d ocispecs.Descriptor, into any) error {
		return json.Unmarshal(blobs["blobs/sha256/"+d.Digest.Encoded()], into)
	}
	var index ocispecs.Index
	if err := json.Unmarshal(blobs["index.json"], &index); err != nil {
		return nil, err
	}
	list := index.Manifests[:1]
	if list[0].MediaType == ocispecs.MediaTypeImageIndex {
		if err := blob(list[0], &index); err != nil {
			return nil, err
		}
		list = index.Manifests
	}
	all, of := map[string]*imageSketch{}, map[string]*imageSketch{}
	for _, d := range list {
		var m ocispecs.Manifest
		if err := blob(d, &m); err != nil {
			return nil, err
		}
		if about := of[d.Annotations["vnd.docker.reference.digest"]]; about != nil {
			for _, l := range m.Layers {
				about.Attested = append(about.Attested, l.Annotations["in-toto.io/predicate-type"])
			}
			continue
		}
		s := &imageSketch{Config: m.Config.Digest.String(), Annotations: m.Annotations}
		for _, l := range m.Layers {
			s.Layers = append(s.Layers, l.MediaType+" "+l.Digest.String())
		}
		all[d.Platform.OS+"/"+d.Platform.Architecture+"/"+d.Platform.Variant], of[d.Digest.String()] = s, s
	}
	return all, nil
}

func untar(file string) (map[string][]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	files := map[string][]byte{}
	for tr := tar.NewReader(f); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if files[h.Name], err = io.ReadAll(tr); err != nil {
			return nil, err
		}
	}
}

// A besideRow is one context.
type besideRow struct {
	name   string
	files  string // txtar; a Dockerfile without a header
	flags  []string
	env    []string
	output string   // more attributes of the output
	to     string   // an output that is no layout, of which the metadata is compared
	lacks  []string // keys of the metadata that we cannot have; see buildkit.Record
	layout bool     // there is an OCI layout beside the context
	more   func(dir string) error
}

// write makes the folder ctx, and what stands beside it.
func (row besideRow) write(t *testing.T, dir string) {
	t.Helper()
	a := txtar.Parse([]byte(row.files))
	a.Files = append(a.Files, txtar.File{Name: "ctx/Dockerfile", Data: bytes.TrimLeft(a.Comment, "\n")})
	for _, f := range a.Files {
		if f.Name == "ctx/Dockerfile" && len(f.Data) == 0 {
			continue
		}
		name := filepath.Join(dir, f.Name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, f.Data, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Contains(row.files, "COPY sh ") {
		busybox, err := os.ReadFile("/bin/busybox")
		if err = errors.Join(err, os.WriteFile(filepath.Join(dir, "ctx", "sh"), busybox, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	if row.layout {
		name := filepath.Join(dir, "base", "Dockerfile")
		if err := errors.Join(os.Mkdir(filepath.Dir(name), 0o755), os.WriteFile(name, []byte("FROM scratch\nCOPY Dockerfile /etc/name\n"), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if row.more != nil {
		if err := row.more(dir); err != nil {
			t.Fatal(err)
		}
	}
}
