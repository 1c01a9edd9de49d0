package buildkit

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/containerd/platforms"
	provenance "github.com/moby/buildkit/solver/llbsolver/provenance/types"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/org/secure-build/internal/held"
)

// maxStatement bounds what is read of an attestation, in bytes.
const maxStatement = 16 << 20

// Provenance reads the provenance of each platform from the attestations of an
// image, which may be in several indexes, for the metadata file. As in buildx,
// metadata and the whole build definition are left out unless the mode is max.
func Provenance(roots []ocispecs.Descriptor, mode string, open func(digest string) (io.ReadCloser, error)) (map[string]string, error) {
	all := map[string]string{} // by platform
	if mode == "disabled" {
		return all, nil
	}
	images := map[string]bool{} // their platforms
	for _, root := range roots {
		if root.MediaType != ocispecs.MediaTypeImageIndex {
			continue
		}
		if err := provenanceIn(root, mode, open, images, all); err != nil {
			return nil, err
		}
	}
	named := map[string]string{}
	for platform, text := range all {
		key := "buildx.build.provenance"
		if len(images) > 1 {
			key += "/" + platform
		}
		named[key] = text
	}
	return named, nil
}

// provenanceIn adds what is in one index.
func provenanceIn(root ocispecs.Descriptor, mode string, open func(string) (io.ReadCloser, error), images map[string]bool, all map[string]string) error {
	var index ocispecs.Index
	if err := decode(root.Digest, &index, open); err != nil {
		return err
	}
	of := map[string]string{} // platforms by the digest of their image
	for _, m := range index.Manifests {
		if !attests(m) && m.Platform != nil {
			of[m.Digest.String()] = platforms.FormatAll(*m.Platform)
			images[platforms.FormatAll(*m.Platform)] = true
		}
	}
	for _, m := range index.Manifests {
		platform, ok := of[m.Annotations["vnd.docker.reference.digest"]]
		if !ok || all[platform] != "" {
			continue
		}
		text, err := predicate(m, mode, open)
		if err != nil {
			return fmt.Errorf("reading the provenance of %s: %w", platform, err)
		}
		if text != "" {
			all[platform] = text
		}
	}
	return nil
}

// predicate is the provenance in one manifest of attestations, "" for none.
func predicate(m ocispecs.Descriptor, mode string, open func(string) (io.ReadCloser, error)) (string, error) {
	var manifest ocispecs.Manifest
	if err := decode(m.Digest, &manifest, open); err != nil {
		return "", err
	}
	for _, layer := range manifest.Layers {
		typ := layer.Annotations["in-toto.io/predicate-type"]
		if !strings.HasPrefix(typ, "https://slsa.dev/provenance/") {
			continue
		}
		var statement struct{ Predicate json.RawMessage }
		if err := decode(layer.Digest, &statement, open); err != nil {
			return "", err
		}
		pred := &provenance.ProvenancePredicateSLSA02{}
		if strings.HasSuffix(typ, "/v1") {
			var v1 provenance.ProvenancePredicateSLSA1
			if err := json.Unmarshal(statement.Predicate, &v1); err != nil {
				return "", err
			}
			pred = v1.ConvertToSLSA02()
		} else if err := json.Unmarshal(statement.Predicate, pred); err != nil {
			return "", err
		}
		if mode != "max" {
			pred.BuildConfig, pred.Metadata = nil, nil
		}
		text, err := json.Marshal(pred)
		return base64.StdEncoding.EncodeToString(text), err
	}
	return "", nil
}

// decode reads a blob that was scanned, and no other bytes: what is in it leaves.
func decode(d digest.Digest, into any, open func(string) (io.ReadCloser, error)) error {
	r, err := open(d.String())
	if err != nil {
		return err
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, maxStatement+1))
	if err != nil {
		return err
	}
	if len(text) > maxStatement {
		return fmt.Errorf("%s has more than %d bytes", d, maxStatement)
	}
	if digest.FromBytes(text) != d {
		return held.Changed(d.String())
	}
	return json.Unmarshal(text, into)
}
