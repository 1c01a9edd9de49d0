package buildkit

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/org/secure-build/internal/held"
)

// TestProvenanceThatChanged: the metadata file is made of what was scanned only.
func TestProvenanceThatChanged(t *testing.T) {
	blobs := map[string]string{}
	put := func(text string) string {
		d := digest.FromString(text).String()
		blobs[d] = text
		return d
	}
	open := func(d string) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(blobs[d])), nil }
	image := put(`{}`)
	statement := put(`{"predicate":{"builder":{"id":"us"}}}`)
	manifest := put(`{"layers":[{"digest":"` + statement + `","annotations":{"in-toto.io/predicate-type":"https://slsa.dev/provenance/v0.2"}}]}`)
	index := put(`{"manifests":[{"digest":"` + image + `","platform":{"os":"linux","architecture":"amd64"}},{"digest":"` + manifest +
		`","annotations":{"vnd.docker.reference.type":"attestation-manifest","vnd.docker.reference.digest":"` + image + `"}}]}`)
	root := ocispecs.Descriptor{MediaType: ocispecs.MediaTypeImageIndex, Digest: digest.Digest(index)}
	if all, err := Provenance([]ocispecs.Descriptor{root}, "max", open); err != nil || len(all) != 1 {
		t.Fatalf("got %v, %v", all, err)
	}
	for _, d := range []string{index, manifest, statement} {
		text := blobs[d]
		blobs[d] += " "
		if all, err := Provenance([]ocispecs.Descriptor{root}, "max", open); !errors.Is(err, held.ErrChanged) || len(all) > 0 {
			t.Errorf("%s: got %v, %v, want %v", text, all, err, held.ErrChanged)
		}
		blobs[d] = text
	}
}
