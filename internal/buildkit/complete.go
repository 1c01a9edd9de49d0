package buildkit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/org/secure-build/internal/hint"
)

// A completion adds to the provenance in an image what BuildKit records only for
// a graph that its frontend has solved itself: the frontend, its arguments, and
// what follows from them. A rotated graph is solved by us, and we know what the
// frontend was asked, since we have asked it. It is done in the store that the
// image was exported to, before anybody reads it from there: what is scanned,
// pushed and written to the metadata is the image with the whole provenance.
type completion struct {
	store content.Store
	sent  func(platform string) sent
	moved map[digest.Digest]digest.Digest // blobs that are others now
}

// complete completes the provenance in a result, and in what was exported for
// its record. If no graph was rotated, all stays as BuildKit has made it.
func (e *Engine) complete(ctx context.Context, req Request, rotation *rotation, record *Record, res *Result) error {
	c := completion{store: req.Store, moved: map[digest.Digest]digest.Digest{}}
	if len(rotation.graphs) > 0 {
		c.sent = func(platform string) sent { return rotation.sent(req, platform, e.dockerfile) }
		if err := c.result(ctx, res, record); err != nil {
			return hint.Wrap(fmt.Errorf("completing the provenance: %w", err), "--no-rotation leaves it as BuildKit has made it, and --provenance mode=min makes it small")
		}
	}
	req.Record.take(record, c.moved)
	return nil
}

// sent is what the frontend was asked for the graph of a platform. The version
// is that of the daemon's own Dockerfile frontend.
func (r *rotation) sent(req Request, platform, version string) sent {
	r.mu.Lock()
	defer r.mu.Unlock()
	g, ok := r.graphs[platform]
	if !ok { // of a build for one, which has no name
		for _, other := range r.graphs {
			g.text, g.sources = other.text, append(g.sources, other.sources...)
		}
	}
	a := sent{root: r.args, sources: g.sources, version: version, original: r.original}
	a.frontend, a.args = req.frontend(r.args, g.text)
	return a
}

// result is of one solve.
func (c completion) result(ctx context.Context, res *Result, record *Record) (err error) {
	roots := []ocispecs.Descriptor{res.Root}
	if record != nil {
		roots = append(roots, record.Roots(res.Root, c.open(ctx))...)
	}
	for i, root := range roots {
		if root.MediaType != ocispecs.MediaTypeImageIndex {
			continue // an image without attestations
		}
		if roots[i], err = c.index(ctx, root); err != nil {
			return err
		}
	}
	if res.Root.Digest != roots[0].Digest {
		res.Root = roots[0]
		if err := res.name(); err != nil {
			return err
		}
	}
	var errs []error
	for old := range c.moved {
		errs = append(errs, c.store.Delete(ctx, old))
	}
	return errors.Join(errs...)
}

func (c completion) index(ctx context.Context, root ocispecs.Descriptor) (ocispecs.Descriptor, error) {
	var index ocispecs.Index
	if err := decode(root.Digest, &index, c.open(ctx)); err != nil {
		return root, err
	}
	of := map[string]string{} // platforms by the digest of their image
	for _, m := range index.Manifests {
		if m.Platform != nil {
			of[m.Digest.String()] = platforms.FormatAll(platforms.Normalize(*m.Platform))
		}
	}
	before := slices.Clone(index.Manifests)
	for i, m := range index.Manifests {
		if !attests(m) {
			continue
		}
		platform := of[m.Annotations["vnd.docker.reference.digest"]]
		var err error
		if index.Manifests[i], err = c.manifest(ctx, m, c.sent(platform)); err != nil {
			return root, fmt.Errorf("%s: %w", platform, err)
		}
	}
	if slices.EqualFunc(before, index.Manifests, same) {
		return root, nil
	}
	return c.replace(ctx, root, index)
}

// manifest completes one of attestations: of the layers, only those that are
// provenance.
func (c completion) manifest(ctx context.Context, desc ocispecs.Descriptor, a sent) (ocispecs.Descriptor, error) {
	var m ocispecs.Manifest
	if err := decode(desc.Digest, &m, c.open(ctx)); err != nil {
		return desc, err
	}
	before := slices.Clone(m.Layers)
	for i, layer := range m.Layers {
		typ := layer.Annotations["in-toto.io/predicate-type"]
		if _, ok := forms[typ]; !ok {
			continue
		}
		var text json.RawMessage
		err := decode(layer.Digest, &text, c.open(ctx))
		if err == nil {
			text, err = a.fill(text, typ)
		}
		if err == nil && text != nil {
			m.Layers[i], err = c.write(ctx, layer, text)
		}
		if err != nil {
			return desc, err
		}
	}
	if slices.EqualFunc(before, m.Layers, same) {
		return desc, nil
	}
	if err := c.config(ctx, &m); err != nil {
		return desc, err
	}
	return c.replace(ctx, desc, m)
}

// config names the new layers in a manifest's configuration. An artifact
// (oci-artifact=true) has none that would name them.
func (c completion) config(ctx context.Context, m *ocispecs.Manifest) error {
	if m.Config.MediaType != ocispecs.MediaTypeImageConfig {
		return nil
	}
	var img ocispecs.Image
	if err := decode(m.Config.Digest, &img, c.open(ctx)); err != nil {
		return err
	}
	for i, d := range img.RootFS.DiffIDs {
		if to, ok := c.moved[d]; ok {
			img.RootFS.DiffIDs[i] = to
		}
	}
	text, err := json.Marshal(img)
	if err == nil {
		m.Config, err = c.write(ctx, m.Config, text)
	}
	return err
}

func same(a, b ocispecs.Descriptor) bool { return a.Digest == b.Digest }

// replace writes an index or a manifest in the place of another, as BuildKit's
// exporter writes them.
func (c completion) replace(ctx context.Context, old ocispecs.Descriptor, value any) (ocispecs.Descriptor, error) {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return old, err
	}
	return c.write(ctx, old, text)
}

// write puts a blob into the store in the place of another one.
func (c completion) write(ctx context.Context, old ocispecs.Descriptor, text []byte) (ocispecs.Descriptor, error) {
	desc := old
	desc.Digest, desc.Size = digest.FromBytes(text), int64(len(text))
	if desc.Digest != old.Digest {
		c.moved[old.Digest] = desc.Digest
	}
	return desc, content.WriteBlob(ctx, c.store, desc.Digest.String(), bytes.NewReader(text), ocispecs.Descriptor{Digest: desc.Digest, Size: desc.Size})
}

// open reads blobs of the store.
func (c completion) open(ctx context.Context) func(string) (io.ReadCloser, error) {
	return func(d string) (io.ReadCloser, error) {
		ra, err := c.store.ReaderAt(ctx, ocispecs.Descriptor{Digest: digest.Digest(d)})
		if err != nil {
			return nil, err
		}
		return struct {
			io.Reader
			io.Closer
		}{content.NewReader(ra), ra}, nil
	}
}
