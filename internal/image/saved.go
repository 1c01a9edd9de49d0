package image

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// What docker save wrote before it wrote OCI layouts, and still writes beside
// them (https://github.com/moby/moby/blob/v27.0.0/image/tarexport).
const (
	savedFile    = "manifest.json"
	dockerConfig = "application/vnd.docker.container.image.v1+json"
	dockerLayer  = "application/vnd.docker.image.rootfs.diff.tar"
)

// Bounds of what manifest.json and index.json lead to.
const (
	maxSaved = 100_000 // configs and layers that a manifest.json names
	maxReach = 8       // indexes in indexes
)

// archived makes a Source of an archive. An engine reads its index.json or its
// manifest.json, and not the other, so what either leads to is part of it.
func (l *Layout) archived(ctx context.Context, file string, tr *tar.Reader) (*Source, error) {
	byName, err := l.unpack(ctx, tr)
	if err != nil {
		return nil, err
	}
	index, err := l.named(byName, ocispecs.ImageIndexFile)
	if err != nil {
		return nil, err
	}
	saved, err := l.named(byName, savedFile)
	if err != nil {
		return nil, err
	}
	if index == nil && saved == nil {
		return nil, errors.New("it has neither an index.json nor a manifest.json")
	}
	var parsed ocispecs.Index
	if index != nil {
		if parsed, err = parseIndex(index); err != nil {
			return nil, err
		}
	}
	docs := documents{}
	var more []ocispecs.Descriptor
	if saved != nil {
		images, err := parseSaved(saved)
		if err == nil {
			more, err = l.savedImages(byName, images, docs, l.reach(parsed.Manifests))
		} else if index != nil {
			err = nil // what Docker cannot read, it cannot load; the text is scanned
		}
		if err != nil {
			return nil, err
		}
	}
	return source(file, l.Open, docs, index, saved, parsed.Manifests, more)
}

// named reads one of the files that say what is in an archive, nil if it is not
// there.
func (l *Layout) named(byName map[string]digest.Digest, name string) ([]byte, error) {
	d, ok := byName[name]
	switch {
	case !ok:
		return nil, nil
	case d == "":
		return nil, fmt.Errorf("its %s is a link to what is not in it", name)
	}
	return readIndex(l.path(d))
}

// A savedImage is an image as manifest.json has it: its config and its layers by
// the names of their files.
type savedImage struct {
	Config string
	Layers []string
}

// parseSaved reads a manifest.json as Docker does: what follows the list is
// nobody's business.
func parseSaved(text []byte) ([]savedImage, error) {
	var images []savedImage
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&images); err != nil {
		return nil, fmt.Errorf("reading its manifest.json: %w", err)
	}
	return images, nil
}

// savedImages makes a manifest of each image of manifest.json that has a blob
// which is not reached without it.
func (l *Layout) savedImages(byName map[string]digest.Digest, images []savedImage, docs documents, reached map[string]bool) ([]ocispecs.Descriptor, error) {
	var list []ocispecs.Descriptor
	names := 0
	for _, img := range images {
		if names += 1 + len(img.Layers); names > maxSaved {
			return nil, fmt.Errorf("its manifest.json names more than %d files", maxSaved)
		}
		config, err := l.describe(byName, img.Config, dockerConfig)
		if err != nil {
			return nil, err
		}
		m := ocispecs.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispecs.MediaTypeImageManifest, Config: config}
		known := reached[config.Digest.String()]
		for _, name := range img.Layers {
			layer, err := l.describe(byName, name, dockerLayer)
			if err != nil {
				return nil, err
			}
			m.Layers = append(m.Layers, layer)
			known = known && reached[layer.Digest.String()]
		}
		if known {
			continue
		}
		desc, err := docs.marshal(m.MediaType, m)
		if err != nil {
			return nil, err
		}
		list = append(list, desc)
	}
	return list, nil
}

func (l *Layout) describe(byName map[string]digest.Digest, name, mediaType string) (ocispecs.Descriptor, error) {
	d, ok := byName[inArchive(name)]
	if !ok || d == "" {
		return ocispecs.Descriptor{}, fmt.Errorf("its manifest.json names %q, which is not in it", name)
	}
	fi, err := os.Stat(l.path(d))
	if err != nil {
		return ocispecs.Descriptor{}, err
	}
	return ocispecs.Descriptor{MediaType: mediaType, Digest: d, Size: fi.Size()}, nil
}

// reach lists the blobs that these descriptors lead to. It follows what the scan
// follows too, whatever a media type claims, and not more.
func (l *Layout) reach(list []ocispecs.Descriptor) map[string]bool {
	reached := map[string]bool{}
	for depth := 0; depth < maxReach && len(list) > 0; depth++ {
		var below []ocispecs.Descriptor
		for _, desc := range list {
			if reached[desc.Digest.String()] {
				continue
			}
			reached[desc.Digest.String()] = true
			doc := l.document(desc.Digest.String())
			for _, d := range append(doc.Layers, doc.Config) {
				reached[d.Digest.String()] = true
			}
			below = append(below, doc.Manifests...)
		}
		list = below
	}
	return reached
}

// A pointer is an index or a manifest.
type pointer struct {
	Manifests []ocispecs.Descriptor
	Config    ocispecs.Descriptor
	Layers    []ocispecs.Descriptor
}

// document reads an index or a manifest: an empty one, if it cannot be read.
func (l *Layout) document(dgst string) (p pointer) {
	r, err := l.Open(dgst)
	if err != nil {
		return p
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxIndexSize))
	if err != nil || json.Unmarshal(b, &p) != nil {
		return pointer{}
	}
	return p
}
