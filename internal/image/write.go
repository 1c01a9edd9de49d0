package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/org/secure-build/internal/hint"
)

// Annotations by which containerd and Docker know an image's name.
const (
	nameAnnotation = "io.containerd.image.name"
	// attestationFor marks a manifest that is about another one.
	attestationFor = "vnd.docker.reference.type"
)

// A member is one file of an archive: bytes, or a blob.
type member struct {
	name string
	data []byte
	blob digest.Digest
}

// WriteOCI writes the image as an archive of an OCI layout, as an exporter of
// type oci does: the blobs of the image and no others.
func (l *Layout) WriteOCI(w io.Writer, names []string) error {
	all, err := l.oci(names)
	if err != nil {
		return err
	}
	return l.archive(w, all)
}

func (l *Layout) oci(names []string) ([]member, error) {
	root, err := l.Root()
	if err != nil {
		return nil, err
	}
	return l.members(root, names)
}

// members are the blobs below a descriptor, and an index that names it.
func (l *Layout) members(root ocispecs.Descriptor, names []string) ([]member, error) {
	all := []member{{name: ocispecs.ImageLayoutFile, data: []byte(`{"imageLayoutVersion":"` + ocispecs.ImageLayoutVersion + `"}`)}}
	seen := map[digest.Digest]bool{}
	if err := l.walk(root, func(d digest.Digest) {
		if !seen[d] {
			all = append(all, member{name: path.Join(ocispecs.ImageBlobsDir, d.Algorithm().String(), d.Encoded()), blob: d})
		}
		seen[d] = true
	}); err != nil {
		return nil, err
	}
	index := ocispecs.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispecs.MediaTypeImageIndex}
	for _, name := range names {
		named := root
		named.Annotations = map[string]string{nameAnnotation: name, ocispecs.AnnotationRefName: name[strings.LastIndex(name, ":")+1:]}
		index.Manifests = append(index.Manifests, named)
	}
	if len(names) == 0 {
		index.Manifests = []ocispecs.Descriptor{root}
	}
	b, err := json.Marshal(index)
	all = append(all, member{name: ocispecs.ImageIndexFile, data: b})
	return all, err
}

// walk visits a descriptor's blob and all below it.
func (l *Layout) walk(desc ocispecs.Descriptor, visit func(digest.Digest)) error {
	visit(desc.Digest)
	switch {
	case isIndex(desc.MediaType):
		var index ocispecs.Index
		if err := l.decode(desc, &index); err != nil {
			return err
		}
		for _, m := range index.Manifests {
			if err := l.walk(m, visit); err != nil {
				return err
			}
		}
	case isManifest(desc.MediaType):
		var m ocispecs.Manifest
		if err := l.decode(desc, &m); err != nil {
			return err
		}
		visit(m.Config.Digest)
		for _, layer := range m.Layers {
			visit(layer.Digest)
		}
	}
	return nil
}

func isIndex(mediaType string) bool {
	return mediaType == ocispecs.MediaTypeImageIndex || mediaType == "application/vnd.docker.distribution.manifest.list.v2+json"
}

func isManifest(mediaType string) bool {
	return mediaType == ocispecs.MediaTypeImageManifest || mediaType == "application/vnd.docker.distribution.manifest.v2+json"
}

func (l *Layout) decode(desc ocispecs.Descriptor, into any) error {
	r, err := l.Open(desc.Digest.String())
	if err != nil {
		return err
	}
	defer r.Close()
	var text bytes.Buffer // it says which blobs leave, so it is the one that was scanned
	if err := copyVerified(&text, io.LimitReader(r, maxIndexSize), desc.Digest); err != nil {
		return err
	}
	if err := json.Unmarshal(text.Bytes(), into); err != nil {
		return fmt.Errorf("reading %s: %w", desc.Digest, err)
	}
	return nil
}

// WriteDocker writes the image as docker save does, which docker load of any
// age reads. It holds one image: attestations stay out.
func (l *Layout) WriteDocker(w io.Writer, names []string) error {
	root, err := l.Root()
	if err != nil {
		return err
	}
	image, err := l.single(root)
	if err != nil {
		return err
	}
	all, err := l.members(image, names)
	if err != nil {
		return err
	}
	var m ocispecs.Manifest
	if err := l.decode(image, &m); err != nil {
		return err
	}
	file := func(d digest.Digest) string {
		return path.Join(ocispecs.ImageBlobsDir, d.Algorithm().String(), d.Encoded())
	}
	old := struct {
		Config   string
		RepoTags []string
		Layers   []string
	}{Config: file(m.Config.Digest), RepoTags: names, Layers: []string{}}
	for _, layer := range m.Layers {
		old.Layers = append(old.Layers, file(layer.Digest))
	}
	b, err := json.Marshal([]any{old})
	if err != nil {
		return err
	}
	return l.archive(w, append(all, member{name: "manifest.json", data: b}))
}

// single is the one image of an index.
func (l *Layout) single(root ocispecs.Descriptor) (ocispecs.Descriptor, error) {
	if !isIndex(root.MediaType) {
		return root, nil
	}
	var index ocispecs.Index
	if err := l.decode(root, &index); err != nil {
		return root, err
	}
	images := slices.DeleteFunc(index.Manifests, func(d ocispecs.Descriptor) bool { return d.Annotations[attestationFor] != "" })
	if len(images) != 1 {
		return root, hint.Wrap(fmt.Errorf("an archive for docker load holds one platform, and the image has %d", len(images)), "use --output type=oci, or one --platform")
	}
	return images[0], nil
}

// archive writes members in the order of their names, with nothing in the
// headers that differs from run to run.
func (l *Layout) archive(w io.Writer, all []member) error {
	slices.SortFunc(all, func(a, b member) int { return strings.Compare(a.name, b.name) })
	tw := tar.NewWriter(w)
	for _, m := range all {
		if err := l.member(tw, m); err != nil {
			return fmt.Errorf("writing %s: %w", m.name, err)
		}
	}
	return tw.Close()
}

func (l *Layout) member(tw *tar.Writer, m member) error {
	h := &tar.Header{Name: m.name, Mode: 0o444, Size: int64(len(m.data)), Typeflag: tar.TypeReg}
	if m.blob == "" {
		if err := tw.WriteHeader(h); err != nil {
			return err
		}
		_, err := tw.Write(m.data)
		return err
	}
	f, err := os.Open(l.path(m.blob))
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if h.Size = fi.Size(); err == nil {
		err = tw.WriteHeader(h)
	}
	if err != nil {
		return err
	}
	return copyVerified(tw, io.LimitReader(f, h.Size), m.blob)
}
