package buildkit

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/platforms"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/org/secure-build/internal/hint"
	"golang.org/x/sync/errgroup"
)

// A share is what one daemon of several builds.
type share struct {
	engine    *Engine
	platforms []string
}

// workers lists the platforms that a daemon can build.
func (e *Engine) workers(ctx context.Context) (can []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	all, err := e.client.ListWorkers(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking BuildKit at %s for its platforms: %w", e.Address, err)
	}
	for _, w := range all {
		for _, p := range w.Platforms {
			can = append(can, platforms.FormatAll(platforms.Normalize(p)))
		}
	}
	return can, nil
}

// shares deals the platforms out: to the daemon that is named for one, or else
// to the first that says it can build it, or else to one that was named for none.
// If none are wanted, those are that were named with --builder; or else the first
// daemon builds its own, as with buildx.
func (e *Engine) shares(wanted []string) ([]share, error) {
	all := append([]*Engine{e}, e.others...)
	dealt := make([]share, len(all))
	if len(wanted) == 0 {
		for _, one := range all {
			if one.named {
				wanted = append(wanted, one.platforms...)
			}
		}
	}
	if len(wanted) == 0 {
		return []share{{engine: e}}, nil
	}
	for _, p := range wanted {
		at := -1
		for _, fits := range []func(*Engine) bool{
			func(one *Engine) bool { return slices.Contains(one.platforms, p) },
			func(one *Engine) bool { return !one.named && slices.Contains(one.can, p) },
			func(one *Engine) bool { return len(one.platforms) == 0 },
		} {
			if at = slices.IndexFunc(all, fits); at >= 0 {
				break
			}
		}
		if at < 0 {
			return nil, hint.Wrap(fmt.Errorf("building for %s: no builder was named for it", p), "--builder %s=ADDRESS", p)
		}
		dealt[at].engine = all[at]
		dealt[at].platforms = append(dealt[at].platforms, p)
	}
	return slices.DeleteFunc(dealt, func(s share) bool { return s.engine == nil }), nil
}

// together builds each platform where it belongs, at the same time, and joins
// what comes back in one index, in the same store. Nothing is scanned or pushed
// before that index is there.
func (e *Engine) together(ctx context.Context, req Request, out Output) (Result, error) {
	shares, err := e.shares(req.Platforms)
	if err != nil {
		return Result{}, err
	}
	if req.Outputs.Files != nil && len(shares) > 1 {
		return Result{}, hint.Wrap(errors.New("reading --output: local and tar come from one builder, and there are several"), "build them with one --builder")
	}
	if len(shares) > 1 && out.Progress != "rawjson" && out.Progress != "quiet" {
		out.Progress = "plain" // one terminal shows one display
	}
	if slices.ContainsFunc(req.CacheTo, func(c Cache) bool { return c.Type != "inline" }) {
		return Result{}, hint.Wrap(errors.New("reading --cache-to: a cache is of one builder, and there are several"), "--cache-to type=inline, or one --builder")
	}
	results := make([]Result, len(shares))
	eg, ctx := errgroup.WithContext(ctx)
	for i, s := range shares {
		eg.Go(func() (err error) {
			one := *s.engine
			one.others = nil
			own, shown := req, out
			own.Platforms = s.platforms
			if len(shares) > 1 {
				shown.label = out.label + strings.Join(s.platforms, ",") + " "
			}
			results[i], err = one.Solve(ctx, own, shown)
			s.engine.trace = one.trace
			if err != nil {
				return fmt.Errorf("%s: %w", strings.Join(s.platforms, ","), err)
			}
			return nil
		})
	}
	if err := eg.Wait(); err != nil {
		return Result{}, err
	}
	if len(results) == 1 {
		return results[0], nil
	}
	return join(ctx, req.Store, results, shares)
}

// join makes one index of several results.
func join(ctx context.Context, store content.Store, results []Result, shares []share) (Result, error) {
	index := ocispecs.Index{MediaType: ocispecs.MediaTypeImageIndex}
	index.SchemaVersion = 2
	all := Result{Metadata: maps.Clone(results[0].Metadata), Warnings: results[0].Warnings}
	for i, r := range results {
		all.Packing = max(all.Packing, r.Packing)
		for _, id := range r.Base {
			if !slices.Contains(all.Base, id) {
				all.Base = append(all.Base, id)
			}
		}
		if err := appendTo(ctx, store, &index, r.Root, shares[i].platforms); err != nil {
			return Result{}, fmt.Errorf("joining the platforms: %w", err)
		}
	}
	data, err := json.Marshal(index)
	if err != nil {
		return Result{}, err
	}
	all.Root = ocispecs.Descriptor{MediaType: index.MediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	if err := content.WriteBlob(ctx, store, all.Root.Digest.String(), bytes.NewReader(data), all.Root); err != nil {
		return Result{}, fmt.Errorf("joining the platforms: %w", err)
	}
	err = all.name()
	delete(all.Metadata, exptypes.ExporterImageConfigDigestKey) // of one platform only
	return all, err
}

// name makes the metadata that of the root.
func (r *Result) name() error {
	desc, err := json.Marshal(r.Root)
	r.Metadata[exptypes.ExporterImageDigestKey] = r.Root.Digest.String()
	r.Metadata[exptypes.ExporterImageDescriptorKey] = base64.StdEncoding.EncodeToString(desc)
	return err
}

// appendTo takes a result's manifests over, its attestations too.
func appendTo(ctx context.Context, store content.Store, index *ocispecs.Index, root ocispecs.Descriptor, plats []string) error {
	if root.MediaType != ocispecs.MediaTypeImageIndex && !strings.HasSuffix(root.MediaType, "manifest.list.v2+json") {
		one := ocispecs.Descriptor{MediaType: root.MediaType, Digest: root.Digest, Size: root.Size}
		p, err := platforms.Parse(plats[0])
		one.Platform = &p
		index.Manifests = append(index.Manifests, one)
		return err
	}
	data, err := content.ReadBlob(ctx, store, root)
	if err != nil {
		return err
	}
	var part ocispecs.Index
	if err := json.Unmarshal(data, &part); err != nil {
		return err
	}
	if index.Annotations == nil {
		index.Annotations = part.Annotations
	}
	index.Manifests = append(index.Manifests, part.Manifests...)
	return nil
}
