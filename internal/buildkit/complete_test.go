package buildkit

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	contentlocal "github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/org/secure-build/internal/held"
)

const (
	statementV1 = `{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"https://slsa.dev/provenance/v1","subject":[{"name":"<x>","digest":{"sha256":"00"}}],"predicate":{
"buildDefinition":{"buildType":"b","externalParameters":{"configSource":{},"request":{"secrets":[{"id":"b@mac","optional":true},{"id":"a@mac"},{"id":"c@mac"}],"ssh":[{"id":"default"}],"locals":[{"name":"context"}],"later":1.50}},
"internalParameters":{"buildConfig":{"llbDefinition":[{"id":"step0"}]},"builderPlatform":"linux/amd64","custom":{"number":12345678901234567890}},
"resolvedDependencies":[{"uri":"https://example.com/app.git#main","digest":{"sha1":"c0ffee"}}],"later":true},
"runDetails":{"builder":{"id":""},"metadata":{"buildkit_metadata":{"later":{}},"buildkit_completeness":{"request":false,"resolvedDependencies":true}}}}}`
	statementV02 = `{"predicateType":"https://slsa.dev/provenance/v0.2","predicate":{"builder":{"id":""},
"invocation":{"configSource":{},"parameters":{"locals":[{"name":"context"}]},"environment":{"platform":"linux/amd64","dockerfileVersion":"of the configuration"}},
"materials":[{"uri":"https://example.com/app.git#main","digest":{"sha1":"c0ffee"}}],
"metadata":{"completeness":{"parameters":false,"environment":true,"materials":true},"https://mobyproject.org/buildkit@v1#metadata":{}}}}`
)

// request is what the frontend was sent in these tests.
func request() sent {
	args := map[string]string{
		"context": "https://example.com/app.git#main:sub", "filename": "Dockerfile", "platform": "linux/amd64", "attest:provenance": "x", "target": "t",
		"build-arg:A": "<1>", "label:l": "2", "vcs:source": "https://me@example.com/app.git", "vcs:revision": "c0ffee", "vcs:none": "",
	}
	return sent{
		frontend: builtin, args: args, root: args, version: "1.99.0",
		original: func(id string) string { return map[string]string{"a@mac": "z"}[id] + strings.TrimSuffix(id, "a@mac") },
	}
}

// TestFill: a statement has what BuildKit would have recorded, and all else that
// it had.
func TestFill(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"v1", statementV1, `{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"https://slsa.dev/provenance/v1","subject":[{"name":"<x>","digest":{"sha256":"00"}}],"predicate":{
"buildDefinition":{"buildType":"b","externalParameters":{"configSource":{"uri":"https://example.com/app.git#main:sub","digest":{"sha1":"c0ffee"},"path":"Dockerfile"},
"request":{"frontend":"dockerfile.v0","args":{"target":"t","build-arg:A":"<1>","label:l":"2"},
"root":{"configSource":{"uri":"https://example.com/app.git#main:sub","path":"Dockerfile"},"request":{"args":{"target":"t","build-arg:A":"<1>","label:l":"2","vcs:source":"https://me@example.com/app.git","vcs:revision":"c0ffee","vcs:none":""}}},
"secrets":[{"id":"b@mac","optional":true},{"id":"c@mac"},{"id":"z"}],"ssh":[{"id":"default"}],"locals":[{"name":"context"}],"later":1.50}},
"internalParameters":{"buildConfig":{"llbDefinition":[{"id":"step0"}]},"builderPlatform":"linux/amd64","custom":{"number":12345678901234567890},"dockerfileVersion":"1.99.0"},
"resolvedDependencies":[{"uri":"https://example.com/app.git#main","digest":{"sha1":"c0ffee"}}],"later":true},
"runDetails":{"builder":{"id":""},"metadata":{"buildkit_metadata":{"later":{},"vcs":{"source":"https://xxxxx@example.com/app.git","revision":"c0ffee"}},"buildkit_completeness":{"request":true,"resolvedDependencies":true}}}}}`},
		{"v0.2 of mode=min", statementV02, `{"predicateType":"https://slsa.dev/provenance/v0.2","predicate":{"builder":{"id":""},
"invocation":{"configSource":{"uri":"https://example.com/app.git#main:sub","digest":{"sha1":"c0ffee"},"entryPoint":"Dockerfile"},"parameters":{"frontend":"dockerfile.v0","args":{"target":"t"},
"root":{"configSource":{"uri":"https://example.com/app.git#main:sub","path":"Dockerfile"},"request":{"args":{"target":"t","vcs:source":"https://me@example.com/app.git","vcs:revision":"c0ffee","vcs:none":""}}},
"locals":[{"name":"context"}]},"environment":{"platform":"linux/amd64","dockerfileVersion":"of the configuration"}},
"materials":[{"uri":"https://example.com/app.git#main","digest":{"sha1":"c0ffee"}}],
"metadata":{"completeness":{"parameters":false,"environment":true,"materials":true},"https://mobyproject.org/buildkit@v1#metadata":{"vcs":{"source":"https://xxxxx@example.com/app.git","revision":"c0ffee"}}}}}`},
	} {
		var st struct{ PredicateType string }
		if err := json.Unmarshal([]byte(tt.text), &st); err != nil {
			t.Fatal(err)
		}
		got, err := request().fill([]byte(tt.text), st.PredicateType)
		if diff := cmp.Diff(parsed(t, tt.want), parsed(t, string(got))); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", tt.name, err, diff)
		}
		if again, err := request().fill(got, st.PredicateType); err != nil || again != nil {
			t.Errorf("%s: what has a request already: got %s, %v, want it left alone", tt.name, again, err)
		}
	}
	none := request()
	none.frontend = ""
	if got, err := none.fill([]byte(statementV1), v1); err != nil || got != nil {
		t.Errorf("of an unknown frontend: got %s, %v, want it left alone", got, err)
	}
}

// parsed reads JSON without making numbers of numbers.
func parsed(t *testing.T, text string) (v any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

// TestFrontend: who has made a graph, as the daemon's frontend decides it.
func TestFrontend(t *testing.T) {
	const labs = "# syntax=docker/dockerfile:1-labs x\nFROM scratch\n"
	for _, tt := range []struct {
		name, context, inline string
		args                  map[string]string
		text                  string // that the daemon has read
		frontend, source      string
	}{
		{"built in", ".", "FROM scratch\n", nil, "", builtin, ""},
		{"served", ".", "# syntax=docker/dockerfile:1\nFROM scratch\n", map[string]string{"cmdline": "docker/dockerfile:1"}, "", builtin, ""},
		{"another", ".", labs, nil, "FROM scratch\n", "gateway.v0", "docker/dockerfile:1-labs"},
		{"by an argument", ".", labs, map[string]string{"build-arg:BUILDKIT_SYNTAX": " own/one y"}, "", "gateway.v0", "own/one"},
		{"fetched", "https://example.com/a.git", "", nil, "FROM scratch\n", builtin, ""},
		{"fetched, another", "https://example.com/a.git", "", nil, labs, "gateway.v0", "docker/dockerfile:1-labs"},
		{"fetched, by an argument", "https://example.com/a.git", "", map[string]string{"build-arg:BUILDKIT_SYNTAX": "own/one"}, "", "gateway.v0", "own/one"},
		{"fetched, and nothing is known", "https://example.com/a.git", "", nil, "", "", ""},
	} {
		var text []byte
		if tt.text != "" {
			text = []byte(tt.text)
		}
		frontend, args := Request{Context: tt.context, Inline: tt.inline}.frontend(tt.args, text)
		if frontend != tt.frontend || args["source"] != tt.source {
			t.Errorf("%s: got %s with %v, want %s of %q", tt.name, frontend, args, tt.frontend, tt.source)
		}
	}
}

const v1 = "https://slsa.dev/provenance/v1"

// exported is a store with an image of one platform that has provenance and a
// list of its contents.
func exported(t *testing.T, statement, typ string) (content.Store, ocispecs.Descriptor) {
	t.Helper()
	store, err := contentlocal.NewStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	put := func(desc ocispecs.Descriptor, value any) ocispecs.Descriptor {
		text, ok := value.(string)
		if !ok {
			dt, err := json.Marshal(value)
			if err != nil {
				t.Fatal(err)
			}
			text = string(dt)
		}
		desc.Digest, desc.Size = digest.FromString(text), int64(len(text))
		if err := content.WriteBlob(t.Context(), store, desc.Digest.String(), strings.NewReader(text), desc); err != nil {
			t.Fatal(err)
		}
		return desc
	}
	attestation := func(typ string) ocispecs.Descriptor {
		return ocispecs.Descriptor{MediaType: "application/vnd.in-toto+json", Annotations: map[string]string{"in-toto.io/predicate-type": typ}}
	}
	image := put(ocispecs.Descriptor{MediaType: ocispecs.MediaTypeImageManifest, Platform: &ocispecs.Platform{OS: "linux", Architecture: "amd64"}}, `{}`)
	layers := []ocispecs.Descriptor{put(attestation("https://spdx.dev/Document"), `{"predicate":{}}`), put(attestation(typ), statement)}
	config := ocispecs.Image{RootFS: ocispecs.RootFS{Type: "layers", DiffIDs: []digest.Digest{layers[0].Digest, layers[1].Digest}}}
	manifest := ocispecs.Manifest{Config: put(ocispecs.Descriptor{MediaType: ocispecs.MediaTypeImageConfig}, config), Layers: layers}
	desc := put(ocispecs.Descriptor{MediaType: ocispecs.MediaTypeImageManifest, Annotations: map[string]string{
		"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image.Digest.String()}}, manifest)
	return store, put(ocispecs.Descriptor{MediaType: ocispecs.MediaTypeImageIndex, Annotations: map[string]string{"x": "y"}}, ocispecs.Index{Manifests: []ocispecs.Descriptor{image, desc}})
}

func completes(t *testing.T, store content.Store, root ocispecs.Descriptor) (Result, error) {
	t.Helper()
	res := Result{Root: root, Metadata: map[string]string{}}
	c := completion{store, func(string) sent { return request() }, map[digest.Digest]digest.Digest{}}
	return res, c.result(t.Context(), &res, nil)
}

// TestComplete: an image with another statement is whole, the metadata is of it,
// and nothing of the one before is left.
func TestComplete(t *testing.T) {
	store, root := exported(t, statementV1, v1)
	res, err := completes(t, store, root)
	if err != nil {
		t.Fatal(err)
	}
	named, err := rootOf(res.Metadata)
	if diff := cmp.Diff(res.Root, named); err != nil || diff != "" || res.Root.Digest == root.Digest || res.Root.Annotations["x"] != "y" {
		t.Errorf("the metadata is of another image than %v: %v\n%s", res.Root, err, diff)
	}
	var index ocispecs.Index
	var manifest ocispecs.Manifest
	var config ocispecs.Image
	read(t, store, res.Root.Digest, &index)
	read(t, store, index.Manifests[1].Digest, &manifest)
	read(t, store, manifest.Config.Digest, &config)
	want := []digest.Digest{res.Root.Digest, index.Manifests[0].Digest, index.Manifests[1].Digest, manifest.Config.Digest, manifest.Layers[0].Digest, manifest.Layers[1].Digest}
	var got []digest.Digest
	if err := store.Walk(t.Context(), func(info content.Info) error { got = append(got, info.Digest); return nil }); err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("blobs in the store (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]digest.Digest{manifest.Layers[0].Digest, manifest.Layers[1].Digest}, config.RootFS.DiffIDs); diff != "" {
		t.Errorf("layers in the configuration (-want +got):\n%s", diff)
	}
}

// TestCompleteNot: an image whose provenance cannot be read or completed is none.
func TestCompleteNot(t *testing.T) {
	for name, tt := range map[string]struct{ statement, says string }{
		"no JSON":           {"{", "unexpected end"},
		"no object":         {"[]", "cannot unmarshal array"},
		"another type":      {strings.Replace(statementV1, v1, "https://example.com/v1", 1), `its type is "https://example.com/v1"`},
		"another request":   {strings.Replace(statementV1, `"request":{`, `"request":[],"x":{`, 1), "externalParameters.request: "},
		"other parameters":  {strings.Replace(statementV1, `"externalParameters":{`, `"externalParameters":1,"x":{`, 1), "externalParameters.request: "},
		"other materials":   {strings.Replace(statementV1, `"resolvedDependencies":[`, `"resolvedDependencies":["x",`, 1), "resolvedDependencies: "},
		"other metadata":    {strings.Replace(statementV1, `"buildkit_metadata":{`, `"buildkit_metadata":"","x":{`, 1), "buildkit_metadata.vcs: "},
		"more than is read": {statementV1 + strings.Repeat(" ", maxStatement), "has more than "},
	} {
		store, root := exported(t, tt.statement, v1)
		if res, err := completes(t, store, root); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: got %v, %v, want an error that says %q", name, res.Root.Digest, err, tt.says)
		}
	}
	store, root := exported(t, statementV1, v1)
	if _, err := completes(t, changed{store}, root); !errors.Is(err, held.ErrChanged) {
		t.Errorf("blobs that are not what their digests say: got %v, want %v", err, held.ErrChanged)
	}
}

// changed is a store in which each blob has one byte more.
type changed struct{ content.Store }

func (s changed) ReaderAt(ctx context.Context, desc ocispecs.Descriptor) (content.ReaderAt, error) {
	text, err := content.ReadBlob(ctx, s.Store, desc)
	return blobAt{strings.NewReader(string(text) + " ")}, err
}

type blobAt struct{ *strings.Reader }

func (blobAt) Close() error { return nil }
