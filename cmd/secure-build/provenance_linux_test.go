package main_test

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestProvenanceOfRotation: the ids of a build's secrets are rotated in a graph
// that we solve, of which BuildKit records neither frontend nor arguments. What it
// would have recorded is there all the same: provenance is as without rotation, but
// for what is put behind ids in the graph itself.
func TestProvenanceOfRotation(t *testing.T) {
	address, _, err := sharedDaemon()
	if err != nil {
		t.Fatal(err)
	}
	const (
		run       = "RUN --mount=type=secret,id=token --mount=type=secret,id=another,env=ANOTHER test -s /run/secrets/token && echo $COLOR > /color\n"
		file      = "ARG COLOR\n" + run
		platforms = "FROM --platform=$BUILDPLATFORM scratch AS base\nCOPY sh /bin/sh\nRUN [\"/bin/sh\", \"--install\", \"-s\", \"/bin\"]\nARG COLOR\n" + run +
			"FROM scratch AS on-amd64\nCOPY more /more\nFROM scratch AS on-arm64\nFROM on-$TARGETARCH\nCOPY --from=base /color /\n-- ctx/more --\nm\n"
		elsewhere = "FROM scratch AS base\nCOPY --from=tools sh /bin/sh\nRUN [\"/bin/sh\", \"--install\", \"-s\", \"/bin\"]\nARG COLOR\n" + run
	)
	epoch := []string{"SOURCE_DATE_EPOCH=1700000000"}
	for _, row := range []provenanceRow{
		{name: "folder", modes: "min max", files: withShell + file, flags: []string{"--build-arg", "COLOR=blue", "--label", "l=<&>", "--no-cache-filter", "x"}, env: epoch},
		{name: "checkout", modes: "min max", files: withShell + file, flags: []string{"--build-arg", "COLOR=blue", "--build-context", "tools=tools"}, checkout: true},
		{name: "checkout in the other version", modes: "max", files: withShell + file, version: ",version=v0.2", flags: []string{"--file", "tools/Dockerfile"}, checkout: true,
			env: []string{"BUILDX_GIT_CHECK_DIRTY=1", "BUILDX_GIT_LABELS=1"}},
		{name: "no arguments", modes: "min", files: withShell + file},
		{name: "syntax", modes: "max", files: "# syntax=docker/dockerfile:1\n" + withShell + file, flags: []string{"--build-arg", "COLOR=blue"}},
		{name: "ssh and an artifact", modes: "max", files: withShell + "RUN --mount=type=secret,id=token --mount=type=ssh true\n", output: ",oci-artifact=true"},
		{name: "platforms", modes: "max", files: platforms, flags: []string{"--platform", "linux/amd64,linux/arm64", "--build-arg", "COLOR=blue"}},
		{name: "platforms in the other version", modes: "min max", files: platforms, version: ",version=v0.2", flags: []string{"--platform", "linux/amd64,linux/arm64", "--label", "a=b"}},
		{name: "git", modes: "min max", files: withShell + file, context: "git", flags: []string{"--label", "a=b"}},
		{name: "git in the other version", modes: "max", files: withShell + file, context: "git", version: ",version=v0.2"},
		{name: "git that only the Dockerfile is from", modes: "max", files: elsewhere, context: "git", flags: []string{"--build-context", "tools=tools"}},
		{name: "git that one platform is from", modes: "max", files: strings.Replace(platforms, "COPY sh", "COPY --from=tools sh", 1), context: "git",
			flags: []string{"--platform", "linux/amd64,linux/arm64", "--build-context", "tools=tools"}},
		{name: "git that is named", modes: "max", files: elsewhere, flags: []string{"--build-context", "tools=GIT"}},
		{name: "git and another Dockerfile", modes: "max", files: withShell + file, context: "git",
			flags: []string{"--file", "ABS/ctx/Dockerfile", "--build-arg", "BUILDKIT_SYNTAX=docker/dockerfile:1 x", "--shm-size", "64m", "--add-host", "h:1.2.3.4", "--network", "none"}},
		{name: "folder in the metadata alone", modes: "min max", files: withShell + file, flags: []string{"--build-arg", "COLOR=blue"}, alone: true},
		{name: "http", modes: "max", files: withShell + file, context: "http"},
	} {
		for mode := range strings.FieldsSeq(row.modes) {
			t.Run(strings.ReplaceAll(row.name, " ", "-")+"/"+mode, func(t *testing.T) { row.compare(t, address, mode) })
		}
	}
}

// A provenanceRow is a build whose provenance is compared.
type provenanceRow struct {
	name    string
	modes   string
	files   string // as besideRow has them
	context string // git or http; "" is the folder
	version string // attribute of the attestation
	output  string // more attributes of the output
	flags   []string
	env     []string
	alone   bool // the image has none; it is exported for the metadata

	checkout bool // all is in a git repository; compared with buildx as well
}

func (row provenanceRow) compare(t *testing.T, address, mode string) {
	dir := t.TempDir()
	tools, err := toolsDir()
	if err != nil {
		t.Fatal(err)
	}
	b := beside{home: t.TempDir(), tools: tools, env: append([]string{"SOURCE_DATE_EPOCH=", "BUILDX_METADATA_PROVENANCE=" + mode}, row.env...)} // with a time, BuildKit v0.33.1 fails to read folders of git repositories
	besideRow{files: "-- tools/x --\n-- token --\n" + newValue("") + "\n-- another --\n" + newValue("") + "\n"}.write(t, dir)
	besideRow{files: row.files}.write(t, dir)
	busybox, err := os.ReadFile("/bin/busybox")
	for _, name := range []string{"ctx/sh", "tools/sh"} {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), busybox, 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
	if row.checkout {
		err := errors.Join(command(dir, "cp", "ctx/Dockerfile", "tools"), command(dir, "git", "init", "-q", "-b", "main"), command(dir, "git", "add", "ctx"),
			command(dir, "git", "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-q", "-m", "first"),
			command(dir, "git", "remote", "add", "origin", "https://me:password@git.example.com/team/app.git"))
		if err != nil {
			t.Fatal(err)
		}
	}
	git, archive := row.serve(t, dir)
	where := map[string]string{"": "ctx", "git": git, "http": archive}[row.context]
	build := func(name, by, builder string, more ...string) {
		t.Helper()
		args := []string{"build", "--builder", builder, "--progress", "plain", "--secret", "id=token,src=token", "--secret", "id=another,src=another",
			"--output", "type=oci,dest=" + name + row.output, "--metadata-file", name + ".json"}
		if !row.alone {
			args = append(args, "--provenance", "mode="+mode+row.version)
		}
		for _, flag := range append(slices.Clone(row.flags), more...) {
			args = append(args, strings.NewReplacer("GIT", git, "ABS", dir).Replace(flag))
		}
		if err := b.run(dir, by, append(args, where)...); err != nil {
			t.Fatal(err)
		}
	}
	build("rotated", "secure-build", address)
	build("plain", "secure-build", address, "--no-rotation")
	if row.checkout {
		buildx := filepath.Join(b.tools, "buildx")
		if err := b.run(dir, buildx, "create", "--name", "beside", "--driver", "remote", address); err != nil {
			t.Fatal(err)
		}
		build("theirs", buildx, "beside")
		if diff := cmp.Diff(predicatesOf(t, dir, "theirs", row.alone), predicatesOf(t, dir, "plain", row.alone)); diff != "" {
			t.Errorf("what differs from buildx in the provenance (-buildx +secure-build):\n%s", diff)
		}
	}
	if diff := cmp.Diff(predicatesOf(t, dir, "plain", row.alone), predicatesOf(t, dir, "rotated", row.alone)); diff != "" {
		t.Errorf("what rotation changes in the provenance (-without +with):\n%s", diff)
	}
	if diff := cmp.Diff(metadataIn(t, filepath.Join(dir, "plain.json")), metadataIn(t, filepath.Join(dir, "rotated.json"))); diff != "" {
		t.Errorf("what rotation changes in the metadata (-without +with):\n%s", diff)
	}
}

// TestLeakInRotatedProvenance: what is put into the provenance is searched like
// all else in the image, which here has a secret there only: an argument that is
// meant to be read is not looked at before the build.
func TestLeakInRotatedProvenance(t *testing.T) {
	address, _, err := sharedDaemon()
	if err != nil {
		t.Fatal(err)
	}
	b, dir, value := beside{home: t.TempDir()}, t.TempDir(), "s"+strings.ToLower(newValue(""))
	besideRow{files: withShell + "FROM base AS " + value + "\nRUN --mount=type=secret,id=token true\n-- token --\n" + value}.write(t, dir)
	for _, how := range []string{"", "--no-rotation"} {
		args := append([]string{"build", "--builder", address, "--progress", "plain", "--secret", "id=token,src=token", "--target", value,
			"--provenance", "mode=min", "--output", "type=oci,dest=leaky", "--report-dir", "report"}, strings.Fields(how)...)
		err = b.run(dir, "secure-build", append(args, "ctx")...)
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 {
			t.Errorf("a value as a target %s: got %v, want exit status 2", how, err)
		}
		text, err := os.ReadFile(filepath.Join(dir, "report", "findings.json"))
		if err != nil || !strings.Contains(string(text), `"field": "predicate.buildDefinition.externalParameters.request.args.target"`) {
			t.Errorf("a value as a target %s: got %v and %s, want the argument's place", how, err, text)
		}
		if _, err := os.Stat(filepath.Join(dir, "leaky")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the leaky image was written: %v", err)
		}
	}
}

// serve has the folder ctx as one in a git repository, and as an archive.
func (row provenanceRow) serve(t *testing.T, dir string) (git, archive string) {
	t.Helper()
	err := errors.Join(os.MkdirAll(filepath.Join(dir, "repos", "app"), 0o755), command(dir, "cp", "-a", "ctx", "repos/app/sub"),
		os.Mkdir(filepath.Join(dir, "files"), 0o755), command(dir, "tar", "-cf", "files/ctx.tar", "-C", "ctx", "."))
	if err != nil {
		t.Fatal(err)
	}
	repos, err := gitServer(filepath.Join(dir, "repos", "app"), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(repos.Close)
	files := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(dir, "files"))))
	t.Cleanup(files.Close)
	return repos.URL + "/app/.git#main:sub", files.URL + "/ctx.tar"
}

var (
	rotatedID  = regexp.MustCompile(`@[0-9a-f]{32}$`)
	notTheSame = regexp.MustCompile(`(?i)sha256:|metadata\.(build)?(invocationId|startedOn|finishedOn) |metadata\.layers\.|^containerimage\.descriptor\.(size|annotations)|^buildx\.build\.ref |args\.sharedkey:localdir:`)
)

// flat has the values of a JSON document by their paths. Digests and times are left
// out, which layers the daemon has packed by then, and in the build's graph what is
// put behind the ids of secrets.
func flat(path string, v any) map[string]string {
	all := map[string]string{}
	switch v := v.(type) {
	case map[string]any:
		for k, in := range v {
			maps.Copy(all, flat(strings.TrimPrefix(path+"."+k, "."), in))
		}
	case []any:
		for i, in := range v {
			maps.Copy(all, flat(fmt.Sprintf("%s[%d]", path, i), in))
		}
	default:
		text := fmt.Sprint(v)
		if strings.Contains(path, "buildConfig.") {
			text = rotatedID.ReplaceAllString(text, "")
		}
		if !notTheSame.MatchString(path + " " + text) {
			all[path] = text
		}
	}
	return all
}

// metadataIn is what a metadata file says.
func metadataIn(t *testing.T, file string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(file)
	var all map[string]any
	if err = errors.Join(err, json.Unmarshal(text, &all)); err != nil {
		t.Fatal(err)
	}
	return flat("", all)
}

// predicatesOf is the provenance in an image, by platform, if it has any, and holds
// the image to its digests.
func predicatesOf(t *testing.T, dir, file string, none bool) map[string]map[string]string {
	t.Helper()
	blobs, err := untar(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	type descriptor struct {
		Digest      string
		Size        int
		Annotations map[string]string
		Platform    struct{ OS, Architecture string }
	}
	type manifest struct {
		Manifests, Layers []descriptor
		Config            descriptor
		RootFS            struct {
			DiffIDs []string `json:"diff_ids"`
		}
	}
	read := func(d descriptor, into any) {
		t.Helper()
		text := blobs["blobs/"+strings.Replace(d.Digest, ":", "/", 1)]
		if sum := fmt.Sprintf("sha256:%x", sha256.Sum256(text)); sum != d.Digest || len(text) != d.Size {
			t.Errorf("a blob is %s of %d bytes, and not %s of %d", sum, len(text), d.Digest, d.Size)
		}
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatal(err)
		}
	}
	var outer, index manifest
	if err := json.Unmarshal(blobs["index.json"], &outer); err != nil {
		t.Fatal(err)
	}
	read(outer.Manifests[0], &index)
	all, of := map[string]map[string]string{}, map[string]string{}
	for _, d := range index.Manifests {
		of[d.Digest] = d.Platform.OS + "/" + d.Platform.Architecture
		platform := of[d.Annotations["vnd.docker.reference.digest"]]
		if platform == "" {
			continue
		}
		var m, config manifest
		read(d, &m)
		read(m.Config, &config)
		for i, layer := range m.Layers {
			var statement struct {
				Type          string `json:"_type"`
				PredicateType string
				Subject       []any
				Predicate     any
			}
			read(layer, &statement)
			if ids := config.RootFS.DiffIDs; len(ids) > 0 && ids[i] != layer.Digest {
				t.Errorf("the configuration has the layer %s, and the manifest %s", ids[i], layer.Digest)
			}
			all[platform] = flat(statement.PredicateType, statement.Predicate)
			all[platform]["subjects"] = fmt.Sprint(statement.Type, len(statement.Subject))
		}
	}
	if none != (len(all) == 0) {
		t.Fatalf("%s has the provenance of %d platforms", file, len(all))
	}
	return all
}
