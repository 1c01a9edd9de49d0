package corpus

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"os"
	"path/filepath"
)

// Media types of OCI (https://github.com/opencontainers/image-spec/blob/main/media-types.md).
const (
	typeIndex    = "application/vnd.oci.image.index.v1+json"
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar"
	typeInToto   = "application/vnd.in-toto+json"
)

// A Blob is a file of the layout, by its digest.
type Blob struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Platform    map[string]string `json:"platform,omitempty"`
}

// Path is where the blob lies in a layout.
func (b Blob) Path(dir string) string {
	return filepath.Join(dir, "blobs", "sha256", b.Digest[len("sha256:"):])
}

// with returns the blob's descriptor with an annotation.
func (b Blob) with(annotations map[string]string) Blob {
	b.Annotations = annotations
	return b
}

// A layout is an OCI layout that is being written.
type layout struct{ dir string }

func newLayout(dir string) (*layout, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the layout: %w", err)
	}
	err := errors.Join(
		os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o700),
		os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o600))
	return &layout{dir}, err
}

// A blobWriter is a blob whose digest is not known yet.
type blobWriter struct {
	file *os.File // not embedded: it has more ways to write, which sum would miss
	sum  hash.Hash
	size int64
}

func (l *layout) create() (*blobWriter, error) {
	f, err := os.CreateTemp(l.dir, "blob-")
	if err != nil {
		return nil, err
	}
	return &blobWriter{file: f, sum: sha256.New()}, nil
}

func (w *blobWriter) Write(p []byte) (int, error) {
	n, err := w.file.Write(p)
	_, _ = w.sum.Write(p[:n])
	w.size += int64(n)
	return n, err
}

// commit moves a blob to its place.
func (l *layout) commit(w *blobWriter, mediaType string) (Blob, error) {
	b := Blob{MediaType: mediaType, Digest: digestOf(w.sum), Size: w.size}
	return b, errors.Join(w.file.Close(), os.Rename(w.file.Name(), b.Path(l.dir)))
}

func digestOf(h hash.Hash) string { return "sha256:" + hex.EncodeToString(h.Sum(nil)) }

// object is a JSON object.
type object = map[string]any

func (l *layout) json(mediaType string, v any) (Blob, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return Blob{}, err
	}
	w, err := l.create()
	if err != nil {
		return Blob{}, err
	}
	if _, err := w.Write(text); err != nil {
		return Blob{}, errors.Join(err, w.file.Close())
	}
	return l.commit(w, mediaType)
}

// documents writes everything but the layers: the config, the image's manifest,
// an attestation's, and the index of both.
func (l *layout) documents(b *bed, layers []Blob, diffIDs []string) (root Blob, err error) {
	put := func(mediaType string, v any) (d Blob) {
		if err == nil {
			d, err = l.json(mediaType, v)
		}
		return d
	}
	b.config["rootfs"] = object{"type": "layers", "diff_ids": diffIDs}
	config := put(typeConfig, b.config)
	described := append([]Blob{}, layers...)
	described[0] = described[0].with(b.layerNotes)
	image := put(typeManifest, object{
		"schemaVersion": 2, "mediaType": typeManifest, "annotations": b.manifestNotes,
		"config": config, "layers": described,
	})
	image.Platform = map[string]string{"os": "linux", "architecture": "amd64"}
	statement := put(typeInToto, b.statement)
	none := put(typeConfig, object{"os": "unknown", "architecture": "unknown", "rootfs": object{"type": "layers", "diff_ids": []string{statement.Digest}}})
	attestation := put(typeManifest, object{
		"schemaVersion": 2, "mediaType": typeManifest,
		"config": none, "layers": []Blob{statement.with(map[string]string{"in-toto.io/predicate-type": "https://slsa.dev/provenance/v1"})},
	}).with(map[string]string{"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image.Digest})
	attestation.Platform = map[string]string{"os": "unknown", "architecture": "unknown"}
	root = put(typeIndex, object{
		"schemaVersion": 2, "mediaType": typeIndex, "annotations": b.indexNotes,
		"manifests": []Blob{image.with(b.imageNotes), attestation},
	})
	if err != nil {
		return root, fmt.Errorf("writing the image's documents: %w", err)
	}
	index, err := json.Marshal(object{"schemaVersion": 2, "mediaType": typeIndex, "manifests": []Blob{root}})
	if err != nil {
		return root, err
	}
	return root, os.WriteFile(filepath.Join(l.dir, "index.json"), index, 0o600)
}
