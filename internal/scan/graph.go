package scan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/org/secure-build/internal/finding"
)

// Bounds of the walk from an image's root.
const (
	maxDescriptors = 10_000
	maxDepth       = 8        // of indexes in indexes
	maxDocument    = 8 << 20  // bytes of one manifest or config; registries take 4 MiB
	maxDocuments   = 64 << 20 // bytes of all of them
)

// A Descriptor of BuildKit's attestations names the image that they attest
// (https://github.com/moby/buildkit/blob/master/docs/attestations/attestation-storage.md).
const attestedDigest = "vnd.docker.reference.digest"

// A reference is one use of a blob in the image. The same blob may be a layer
// of several platforms, and twice one of the same.
type reference struct {
	Descriptor
	document bool // an index or a manifest
	platform string
	layer    int  // from 0; -1 for what is no layer
	base     bool // a layer of the base image
	made     step
	config   *imageConfig // of a config
}

// A graph is everything that an image's root leads to.
type graph struct {
	open  func(digest string) (io.ReadCloser, error)
	build Build

	refs      []reference
	unread    []finding.Unread
	platforms []string
	imageOf   map[string]string // digest of a manifest → its platform
	texts     map[string][]byte // documents read so far
	textBytes int
	tooMany   bool
}

func follow(root Descriptor, open func(string) (io.ReadCloser, error), build Build) *graph {
	g := &graph{open: open, build: build, imageOf: map[string]string{}, texts: map[string][]byte{}}
	g.document(root, "", 0)
	slices.Sort(g.platforms)
	g.platforms = slices.Compact(g.platforms)
	return g
}

func (g *graph) fail(digest, format string, args ...any) {
	g.unread = append(g.unread, finding.Unread{Blob: digest, Reason: fmt.Sprintf(format, args...)})
}

// add notes a use of a blob, and says whether there is room for more.
func (g *graph) add(ref reference) bool {
	if len(g.refs) >= maxDescriptors {
		if !g.tooMany {
			g.tooMany = true
			g.fail(ref.Digest, "more than %d descriptors in this image: this one and all after it were not read", maxDescriptors)
		}
		return false
	}
	g.refs = append(g.refs, ref)
	return true
}

// document follows an index or a manifest. None can be above itself, since it
// would have to hold its own digest.
func (g *graph) document(desc Descriptor, platform string, depth int) {
	if p := desc.Platform.String(); p != "" {
		platform = p
	}
	if p := g.imageOf[desc.Annotations[attestedDigest]]; p != "" {
		platform = p
	}
	text, err := g.read(desc.Digest)
	if depth == 0 && desc.Size == 0 {
		desc.Size = int64(len(text)) // whoever asks for a scan may know the digest only
	}
	var doc document
	if err == nil {
		err = json.Unmarshal(text, &doc)
	}
	var config *imageConfig
	if err == nil && doc.Config != nil {
		if config = g.config(*doc.Config); platform == "" {
			platform = config.Platform.String()
		}
	}
	if !g.add(reference{Descriptor: desc, document: true, platform: platform, layer: -1}) {
		return
	}
	switch {
	case err != nil:
		g.fail(desc.Digest, "what it points at could not be read: %v", err)
	case len(doc.FSLayers) > 0:
		g.fail(desc.Digest, "a manifest of Docker's schema 1, whose layers are not read")
	case doc.isEmpty() && !isEmptyIndex(desc):
		g.fail(desc.Digest, "a manifest of an unknown kind (%s), so what it points at was not read", desc.MediaType)
	case depth >= maxDepth:
		g.fail(desc.Digest, "indexes nested more than %d deep", maxDepth)
	default:
		g.children(doc.Manifests, platform, depth+1)
		g.image(&doc, config, desc, platform)
	}
}

// children follows an index. Attestations come last, so that the image that
// they name is known.
func (g *graph) children(list []Descriptor, platform string, depth int) {
	for _, attestations := range []bool{false, true} {
		for _, child := range list {
			if g.tooMany {
				return
			}
			if (child.Annotations[attestedDigest] != "") == attestations {
				g.document(child, platform, depth)
			}
		}
	}
}

// image notes what a manifest points at.
func (g *graph) image(doc *document, config *imageConfig, desc Descriptor, platform string) {
	if doc.Config == nil && doc.Layers == nil && doc.Blobs == nil {
		return
	}
	if platform != "" && desc.Annotations[attestedDigest] == "" {
		g.platforms = append(g.platforms, platform)
		g.imageOf[desc.Digest] = platform
	}
	if doc.Config != nil {
		g.add(reference{Descriptor: *doc.Config, platform: platform, layer: -1, config: config})
	}
	steps := make([]step, len(doc.Layers))
	var ids []string
	if config != nil {
		steps = config.layerSteps(len(doc.Layers))
		if len(config.RootFS.DiffIDs) == len(doc.Layers) {
			ids = config.RootFS.DiffIDs
		}
	}
	for i, layer := range doc.Layers {
		ref := reference{Descriptor: layer, platform: platform, layer: i, made: steps[i], base: ids != nil && slices.Contains(g.build.Base, ids[i])}
		if isJSONType(layer.MediaType) {
			ref.layer = -1 // an attestation: a document in a layer's place
		}
		if !g.add(ref) {
			return
		}
	}
	for _, blob := range doc.Blobs {
		if !g.add(reference{Descriptor: blob, platform: platform, layer: -1}) {
			return
		}
	}
}

// config reads an image's config as far as it is one. That it can be read at
// all is the scan's matter.
func (g *graph) config(desc Descriptor) *imageConfig {
	c := &imageConfig{}
	if text, err := g.read(desc.Digest); err == nil {
		_ = json.Unmarshal(text, c)
	}
	c.number(g.build.Lines)
	return c
}

// read returns a document whose digest is right.
func (g *graph) read(digest string) ([]byte, error) {
	if text, ok := g.texts[digest]; ok {
		return text, nil
	}
	if g.open == nil {
		return nil, errors.New("nothing to read it from")
	}
	r, err := g.open(digest)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	seen := newTap(digest)
	var text bytes.Buffer
	n, err := text.ReadFrom(io.TeeReader(io.LimitReader(r, maxDocument+1), seen))
	switch {
	case err != nil:
		return nil, err
	case n > maxDocument:
		return nil, fmt.Errorf("more than %d bytes", maxDocument)
	case g.textBytes+int(n) > maxDocuments:
		return nil, fmt.Errorf("more than %d bytes of manifests and configs", maxDocuments)
	case !seen.is(digest):
		return nil, errors.New("its bytes do not have its digest")
	}
	g.textBytes += int(n)
	g.texts[digest] = text.Bytes()
	return text.Bytes(), nil
}

// isEmptyIndex says whether a descriptor is of an index, which may well be
// empty: {"manifests": null} is what some tools write then.
func isEmptyIndex(desc Descriptor) bool {
	return strings.HasSuffix(desc.MediaType, ".image.index.v1+json") || strings.HasSuffix(desc.MediaType, ".manifest.list.v2+json")
}

// isJSONType says whether a media type is one of JSON (RFC 6839, section 3.1).
func isJSONType(mediaType string) bool {
	kind, _, _ := strings.Cut(mediaType, ";")
	return strings.HasSuffix(strings.TrimSpace(kind), "+json") || kind == "application/json"
}
