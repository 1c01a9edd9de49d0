package buildkit

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// inlineAttestations is the exporter's attribute that has them all in the image.
var inlineAttestations = string(exptypes.OptKeyForceInlineAttestations)

// maxRecorded bounds the blobs among which a record's index is looked for, in
// bytes.
const maxRecorded = 1 << 20

// A Record collects what a metadata file says beyond the exporter's answer: how
// the image was built, and what BuildKit has warned of.
//
// buildx reads the first from the daemon's history, which our builds are kept
// out of. An image that has no attestation (type=oci, say) is exported a second
// time by the same solve, with it. The layers are the same, so none is sent
// again, and the image is not touched: its own export has the last word. What
// the second one has made leaves by the metadata file only, and the caller scans
// it before.
//
// There is none for several platforms, or with an SBOM, where nobody wants the
// provenance: BuildKit would put it into the image as well.
type Record struct {
	Mode string // of the provenance: min, max or disabled

	mu       sync.Mutex
	blobs    []digest.Digest // small ones of the export, the index among them
	warnings []client.VertexWarning
}

// ProvenanceMode reads BUILDX_METADATA_PROVENANCE as buildx does.
func ProvenanceMode(value string) string {
	if on, err := strconv.ParseBool(value); value == "disabled" || err == nil && !on {
		return "disabled"
	}
	if value == "max" {
		return value
	}
	return "min"
}

// attested says whether the image gets what is only for a registry (inline-only):
// it is a part of what goes there, and of what a daemon's own store would have.
func (r Request) attested() bool {
	return r.Attests["provenance"] != "" && r.Outputs.Has(OutputPush, OutputImage)
}

// Attested says whether somebody has asked for attestations in every output: the
// default ones are only for a registry.
func (r Request) Attested() bool {
	p := r.Attests["provenance"]
	return r.Attests["sbom"] != "" || p != "" && !strings.Contains(p, "inline-only=true")
}

// records says whether the build needs an export of its own for the record.
func (r Request) records() bool {
	if r.Record == nil || r.Record.Mode == "disabled" || r.Store == nil || r.attested() {
		return false
	}
	_, several := r.BuildArgs["BUILDKIT_MULTI_PLATFORM"]
	return !several && len(r.Platforms) < 2 && !r.Attested() && r.Outputs.Image[inlineAttestations] == ""
}

// provenance is the attribute of the frontend that asks for it.
func (r Request) provenance() string {
	asked := r.Attests["provenance"]
	if r.records() && (asked == "" || asked == defaultProvenance) {
		return "mode=" + r.Record.Mode + ",inline-only=true"
	}
	return asked
}

// recordExport goes into the store of the image's export. (BuildKit has one store
// a session, and its client would not name it twice.) The media types of Docker
// have no room for attestations.
func (r Request) recordExport() client.ExportEntry {
	attrs := map[string]string{"tar": "false", inlineAttestations: "true"}
	for k, v := range r.Outputs.Image {
		if k != "oci-mediatypes" {
			attrs[k] = v
		}
	}
	return client.ExportEntry{Type: client.ExporterOCI, Attrs: attrs}
}

// recorded is a store that tells a record of the blobs.
type recorded struct {
	content.Store
	record *Record
}

func (s recorded) Writer(ctx context.Context, opts ...content.WriterOpt) (content.Writer, error) {
	var wo content.WriterOpts
	for _, opt := range opts {
		if err := opt(&wo); err != nil {
			return nil, err
		}
	}
	if wo.Desc.Size <= maxRecorded && wo.Desc.Digest.Validate() == nil {
		s.record.mu.Lock()
		s.record.blobs = append(s.record.blobs, wo.Desc.Digest)
		s.record.mu.Unlock()
	}
	return s.Store.Writer(ctx, opts...)
}

// fresh is a record for one solve, whose blobs are taken over at its end.
func (r *Record) fresh() *Record {
	if r == nil {
		return nil
	}
	return &Record{Mode: r.Mode}
}

// take takes the blobs of a solve over, with the names that they have by now.
func (r *Record) take(from *Record, moved map[digest.Digest]digest.Digest) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range from.blobs {
		if to, ok := moved[d]; ok {
			d = to
		}
		r.blobs = append(r.blobs, d)
	}
}

// Roots are the indexes that were exported for the record: one for each daemon
// that has built without attestations.
func (r *Record) Roots(root ocispecs.Descriptor, open func(digest string) (io.ReadCloser, error)) []ocispecs.Descriptor {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []ocispecs.Descriptor
	for i, d := range r.blobs {
		var index ocispecs.Index
		if d == root.Digest || slices.Contains(r.blobs[:i], d) || decode(d, &index, open) != nil {
			continue // most blobs are something else
		}
		if slices.ContainsFunc(index.Manifests, attests) {
			all = append(all, ocispecs.Descriptor{MediaType: ocispecs.MediaTypeImageIndex, Digest: d})
		}
	}
	return all
}

func attests(m ocispecs.Descriptor) bool { return m.Annotations["vnd.docker.reference.type"] != "" }

// Forget removes from the store what only a record's index has: an image's
// blobs are kept for the next build, and these were none.
func Forget(ctx context.Context, store content.Store, root, record ocispecs.Descriptor, open func(digest string) (io.ReadCloser, error)) error {
	keep := below(root, open)
	var errs []error
	for _, d := range below(record, open) {
		if _, err := store.Info(ctx, d); err == nil && !slices.Contains(keep, d) {
			errs = append(errs, store.Delete(ctx, d))
		}
	}
	return errors.Join(errs...)
}

// below lists an index, its manifests, and the blobs of its attestations.
func below(root ocispecs.Descriptor, open func(string) (io.ReadCloser, error)) []digest.Digest {
	all := []digest.Digest{root.Digest}
	var index ocispecs.Index
	if decode(root.Digest, &index, open) != nil {
		return all
	}
	for _, m := range index.Manifests {
		all = append(all, m.Digest)
		var manifest ocispecs.Manifest
		if !attests(m) || decode(m.Digest, &manifest, open) != nil {
			continue
		}
		for _, d := range append(manifest.Layers, manifest.Config) {
			all = append(all, d.Digest)
		}
	}
	return all
}

// warn keeps a warning that was redacted. The same one of another platform, or
// of the solve for a cache, is left out, as buildx does.
func (r *Record) warn(w client.VertexWarning) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.ContainsFunc(r.warnings, func(old client.VertexWarning) bool { return sameWarning(old, w) }) {
		r.warnings = append(r.warnings, w)
	}
}

func sameWarning(a, b client.VertexWarning) bool {
	a.Vertex, b.Vertex = "", ""
	one, err1 := json.Marshal(a)
	two, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && string(one) == string(two)
}

// Warnings are what BuildKit has warned of, redacted, as [MetadataJSON] takes
// them; "" for nothing.
func (r *Record) Warnings() (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.warnings) == 0 {
		return "", nil
	}
	text, err := json.Marshal(r.warnings)
	return base64.StdEncoding.EncodeToString(text), err
}
