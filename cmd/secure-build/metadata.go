package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/org/secure-build/internal/buildkit"
	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/pipeline"
	"github.com/org/secure-build/internal/platform"
	"github.com/org/secure-build/internal/scan"
)

// records makes the build record what the metadata has beyond the exporter's
// answer, if somebody is to read it: a file, or the action's output.
func (b *build) records(out *buildkit.Output) {
	if b.metadataFile != "" || platform.Detect(b.getenv) == platform.GitHub {
		b.request.Record = &buildkit.Record{Mode: buildkit.ProvenanceMode(b.getenv("BUILDX_METADATA_PROVENANCE"))}
		out.Record = b.request.Record
	}
}

// metadata is what docker buildx build would say of this build, as JSON, and nil
// if nobody is to read it.
func (b *build) metadata(img pipeline.Image) ([]byte, error) {
	if b.request.Record == nil {
		return nil, nil
	}
	all, err := b.provenance()
	if err == nil && on(b.getenv("BUILDX_METADATA_WARNINGS")) {
		var warnings string
		if warnings, err = b.request.Record.Warnings(); warnings != "" {
			all["buildx.build.warnings"] = warnings
		}
	}
	if err != nil {
		return nil, fmt.Errorf("writing the metadata: %w", err)
	}
	maps.Copy(all, img.Metadata)
	if !b.request.Outputs.Has(buildkit.OutputPush, buildkit.OutputImage, buildkit.OutputOCI, buildkit.OutputDocker) {
		// There is an image, and nobody gets it.
		maps.DeleteFunc(all, func(k, _ string) bool { return strings.HasPrefix(k, "containerimage.") || k == "image.name" })
	}
	data, err := buildkit.MetadataJSON(all)
	if err != nil {
		return nil, fmt.Errorf("writing the metadata: %w", err)
	}
	return b.redactor.Bytes(data), nil
}

// provenance reads how the image was built: from its own attestations, which are
// as clean as the image, or from what was exported for the record. That leaves
// too, and is scanned like a cache, by itself: if something is in it, the
// metadata does without. It is no part of the image, and does not stay.
func (b *build) provenance() (map[string]string, error) {
	ctx := context.Background() // the report of a cancelled run too
	root, err := b.layout.Root()
	if err != nil {
		return nil, err
	}
	recorded := b.request.Record.Roots(root, b.layout.Open)
	clean, errs := append(recorded[:0:0], root), []error(nil)
	for _, r := range recorded {
		rep, err := b.scans.Cache(ctx, scan.Descriptor{MediaType: r.MediaType, Digest: r.Digest.String(), Size: r.Size}, b.layout.Open)
		b.Apply(&rep, b.started)
		switch {
		case err != nil:
			errs = append(errs, err)
		case rep.Verdict == finding.Clean:
			clean = append(clean, r)
		default:
			b.warn("the metadata has no provenance: %s; this does not block the image", withheld(rep))
		}
	}
	all, err := buildkit.Provenance(clean, b.request.Record.Mode, b.layout.Open)
	errs = append(errs, err)
	for _, r := range recorded {
		errs = append(errs, buildkit.Forget(ctx, b.request.Store, root, r, b.layout.Open))
	}
	return all, errors.Join(errs...)
}

// on says whether a variable switches something on.
func on(value string) bool {
	v, err := strconv.ParseBool(value)
	return err == nil && v
}
