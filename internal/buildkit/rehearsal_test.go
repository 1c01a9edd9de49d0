package buildkit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	contentlocal "github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/moby/buildkit/client"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/org/secure-build/internal/finding"
	"github.com/tonistiigi/fsutil"
)

// baseImage makes an image in a content store, for two platforms, and returns
// the store and the digest of its index.
func baseImage(t *testing.T, onbuild map[string]string) (content.Store, digest.Digest) {
	t.Helper()
	store, err := contentlocal.NewStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	put := func(mediaType string, v any) ocispecs.Descriptor {
		dt, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		desc := ocispecs.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(dt), Size: int64(len(dt))}
		if err := content.WriteBlob(t.Context(), store, desc.Digest.String(), bytes.NewReader(dt), desc); err != nil {
			t.Fatal(err)
		}
		return desc
	}
	index := ocispecs.Index{MediaType: ocispecs.MediaTypeImageIndex}
	index.SchemaVersion = 2
	for arch, trigger := range onbuild {
		img := dockerspec.DockerOCIImage{Image: ocispecs.Image{Platform: ocispecs.Platform{OS: "linux", Architecture: arch}}}
		img.Config.OnBuild = []string{trigger}
		img.Config.Env = []string{"FROM_BASE=yes"}
		m := ocispecs.Manifest{MediaType: ocispecs.MediaTypeImageManifest, Config: put(ocispecs.MediaTypeImageConfig, img)}
		m.SchemaVersion = 2
		desc := put(ocispecs.MediaTypeImageManifest, m)
		desc.Platform = &ocispecs.Platform{OS: "linux", Architecture: arch}
		index.Manifests = append(index.Manifests, desc)
	}
	return store, put(ocispecs.MediaTypeImageIndex, index).Digest
}

// rehearsed runs the check of a Dockerfile with options that a Request does not
// have.
func rehearsed(t *testing.T, dockerfile string, given Given, opt client.SolveOpt) Checked {
	t.Helper()
	dir, err := fsutil.NewFS(folderOf(t, map[string]string{"Dockerfile": dockerfile}))
	if err != nil {
		t.Fatal(err)
	}
	if opt.LocalMounts == nil {
		opt.LocalMounts = map[string]fsutil.FS{}
	}
	opt.LocalMounts["context"], opt.LocalMounts["dockerfile"] = dir, dir
	c := checking{file: "Dockerfile", text: []byte(dockerfile), given: given, rehearsal: &rehearsal{opt: opt}}
	checked, err := c.check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return checked
}

// TestBaseImageInALayout: what ONBUILD of a known base image mounts counts, for
// the platform that is built, and its variables are known.
func TestBaseImageInALayout(t *testing.T) {
	store, d := baseImage(t, map[string]string{
		"amd64": "RUN --mount=type=secret,id=intel x",
		"arm64": "RUN --mount=type=secret,id=arm x",
	})
	for platform, want := range map[string]string{"linux/amd64": "intel", "linux/arm64": "arm"} {
		checked := rehearsed(t, "FROM base\nRUN echo $FROM_BASE $NOBODYS\n", Given{}, client.SolveOpt{
			FrontendAttrs: map[string]string{"context:base": fmt.Sprintf("oci-layout://base@%s", d), "platform": platform},
			OCIStores:     map[string]content.Store{"docker.io/library/base": store, "base": store},
		})
		wantProblems(t, checked.Problems, fmt.Sprintf("error missing-secret 1 no source gives the secret %q, which an ONBUILD of the base mounts", want))
	}
}

// TestNamedContexts: a context that stands in for a stage takes its place, and
// files are copied from a folder by its own .dockerignore.
func TestNamedContexts(t *testing.T) {
	folder := func(files map[string]string) fsutil.FS {
		dir, err := fsutil.NewFS(folderOf(t, files))
		if err != nil {
			t.Fatal(err)
		}
		return dir
	}
	const dockerfile = "FROM scratch AS deps\nRUN --mount=type=secret,id=a x\nFROM scratch\nCOPY --from=deps . /\nCOPY --from=docs . /\n"
	checked := rehearsed(t, dockerfile, Given{}, client.SolveOpt{
		FrontendAttrs: map[string]string{"context:deps": "local:deps", "context:docs": "docker-image://registry.example.com/docs:1"},
		LocalMounts: map[string]fsutil.FS{"deps": folder(map[string]string{
			"id_rsa": privateKey, "server.key": privateKey, ".dockerignore": "server.key\n",
		})},
	})
	if len(checked.Mounts) > 0 {
		t.Errorf("mounts of a stage that is replaced: %v", checked.Mounts)
	}
	wantProblems(t, checked.Problems, "warning copied-secret 4 id_rsa, which has a private key")
}

func TestBrokenLayout(t *testing.T) {
	store, d := baseImage(t, map[string]string{"amd64": "RUN x"})
	dir, err := fsutil.NewFS(folderOf(t, map[string]string{"Dockerfile": "FROM base\n"}))
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{"base@" + digest.FromString("nothing").String(), "base@" + d.String()} {
		c := checking{file: "Dockerfile", text: []byte("FROM base\n"), rehearsal: &rehearsal{opt: client.SolveOpt{
			FrontendAttrs: map[string]string{"context:base": "oci-layout://" + ref, "platform": "linux/s390x"},
			OCIStores:     map[string]content.Store{"base": store, "docker.io/library/base": store},
			LocalMounts:   map[string]fsutil.FS{"context": dir, "dockerfile": dir},
		}}}
		if _, err := c.check(t.Context()); err == nil || !strings.Contains(err.Error(), "reading the image ") {
			t.Errorf("%s: got %v", ref, err)
		}
	}
}

func TestLint(t *testing.T) {
	for _, tt := range []struct{ name, dockerfile, want string }{
		{"all stages", "FROM scratch as a\nFROM scratch AS B\n", "warning FromAsCasing 1; warning StageNameCasing 2"},
		{"an unknown variable", "FROM scratch\nRUN echo $NAM\nENV NAME=x\nLABEL a=$NOBODYS\n", "warning UndefinedVar 4"},
		{"a variable of an unknown base", "FROM registry.example.com/node AS a\nLABEL a=$NODE_VERSION\nFROM a\nLABEL b=$NODE_VERSION\nFROM scratch\nLABEL a=$NOBODYS\n", "warning UndefinedVar 6"},
		{"a directive", "# check=skip=FromAsCasing\nFROM scratch as a\n", ""},
		{"in JSON", "FROM scratch\nCMD echo\nMAINTAINER me\n", "warning JSONArgsRecommended 2; warning MaintainerDeprecated 3"},
		{"ignored files", "FROM scratch\nCOPY x /\n", "warning CopyIgnoredFile 2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := folderOf(t, map[string]string{"Dockerfile": tt.dockerfile, ".dockerignore": "x\n"})
			checked, err := Check(t.Context(), Request{Context: dir}, Given{})
			if err != nil {
				t.Fatal(err)
			}
			wantProblems(t, checked.Problems, tt.want)
			for _, p := range checked.Problems {
				if !strings.HasPrefix(p.Remedy, "https://docs.docker.com/go/dockerfile/rule/") {
					t.Errorf("%s: got the remedy %q", p.Rule, p.Remedy)
				}
			}
		})
	}
}

func TestCheckValues(t *testing.T) {
	const value = "s3cr3t-value"
	req := Request{
		Context:   folderOf(t, map[string]string{"Dockerfile": "FROM scratch\nARG A\nENV X=" + value + "\nRUN --mount=type=secret,id=none x\nRUN --mount=type=secret,id=may x\n"}),
		BuildArgs: map[string]string{"A": "x" + value, "B": "fine"}, Labels: map[string]string{"l": value, "m": "fine", value: ""},
		Tags: []string{"registry.example.com/" + value + ":1"},
	}
	checked, err := Check(t.Context(), req, Given{IDs: []string{"none", "may"}})
	if err != nil {
		t.Fatal(err)
	}
	problems, err := CheckValues(req, checked, []string{"may"}, Known{
		Find: func(text string) (string, bool) { return "token", strings.Contains(text, value) },
		Len:  func(id string) (int, bool) { return 0, true },
	})
	if err != nil {
		t.Fatal(err)
	}
	var rules []string
	for _, p := range problems {
		if p.Rule == RuleValue && p.Severity == finding.Error && p.Remedy == "" {
			t.Errorf("no remedy: %v", p)
		}
		rules = append(rules, fmt.Sprintf("%s %s %d %s", p.Severity, p.Rule, p.Line, p.Message))
	}
	want := []string{
		`error known-value 0 the name of a label holds the value of the secret "token"`,
		`error known-value 0 the label l holds the value of the secret "token"`,
		`error known-value 2 the build argument A holds the value of the secret "token"`,
		`warning known-value 3 the value of the secret "token" is in this line`,
		`error empty-secret 4 the secret "none" is empty`,
	}
	for _, w := range want {
		if !strings.Contains(strings.Join(rules, "\n"), w) {
			t.Errorf("got no %q in\n%s", w, strings.Join(rules, "\n"))
		}
	}
	if len(rules) != len(want) || strings.Contains(strings.Join(rules, "\n"), value) {
		t.Errorf("got\n%s", strings.Join(rules, "\n"))
	}
}
