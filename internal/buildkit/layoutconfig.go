package buildkit

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxConfig bounds what is read of a manifest or a config, in bytes.
const maxConfig = 4 << 20

// layoutConfig reads the config of an image in an OCI layout: a base image of
// which everything is known, its ONBUILD instructions too.
func layoutConfig(ctx context.Context, store content.Store, ref string, platform ocispecs.Platform) (string, digest.Digest, []byte, error) {
	_, after, _ := strings.Cut(ref, "@")
	d, err := digest.Parse(after)
	if err != nil {
		return "", "", nil, fmt.Errorf("reading the image %s: %w", ref, err)
	}
	info, err := store.Info(ctx, d)
	if err != nil {
		return "", "", nil, fmt.Errorf("reading the image %s: %w", ref, err)
	}
	if info.Size > maxConfig {
		return "", "", nil, fmt.Errorf("reading the image %s: its manifest has %d bytes", ref, info.Size)
	}
	desc := ocispecs.Descriptor{Digest: d, Size: info.Size}
	dt, err := content.ReadBlob(ctx, store, desc)
	if err != nil {
		return "", "", nil, fmt.Errorf("reading the image %s: %w", ref, err)
	}
	var head struct {
		MediaType string            `json:"mediaType"`
		Manifests []json.RawMessage `json:"manifests"`
	}
	if err := json.Unmarshal(dt, &head); err != nil {
		return "", "", nil, fmt.Errorf("reading the image %s: %w", ref, err)
	}
	if desc.MediaType = head.MediaType; desc.MediaType == "" {
		desc.MediaType = ocispecs.MediaTypeImageManifest
		if len(head.Manifests) > 0 {
			desc.MediaType = ocispecs.MediaTypeImageIndex
		}
	}
	config, err := images.Config(ctx, store, desc, platforms.Only(platform))
	if err != nil {
		return "", "", nil, fmt.Errorf("reading the image %s: %w", ref, err)
	}
	if config.Size > maxConfig {
		return "", "", nil, fmt.Errorf("reading the image %s: its config has %d bytes", ref, config.Size)
	}
	dt, err = content.ReadBlob(ctx, store, config)
	if err != nil {
		return "", "", nil, fmt.Errorf("reading the image %s: %w", ref, err)
	}
	return ref, d, dt, nil
}
