package push

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/org/secure-build/internal/held"
)

// TestChangedLayer: a layer that is not what its digest says does not leave
// whole, and nothing that names it does. The registry would take anything.
func TestChangedLayer(t *testing.T) {
	img, err := random.Image(200_000, 2)
	if err != nil {
		t.Fatal(err)
	}
	idx := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: img})
	for name, root := range map[string]mutate.Appendable{"image": img, "index": idx} {
		for change, do := range map[string]func([]byte) []byte{
			"a bit":   func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
			"the end": func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
			"longer":  func(b []byte) []byte { return append(b, 'x') },
			"shorter": func(b []byte) []byte { return b[:len(b)-1] },
		} {
			t.Run(name+", "+change, func(t *testing.T) {
				dir, digest := save(t, root)
				blob := layerFile(t, dir, img)
				text, err := os.ReadFile(blob)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(blob, do(text), 0o600); err != nil {
					t.Fatal(err)
				}
				var reqs requests
				host := reqs.serve(t)
				tags, err := ParseTags([]string{host + "/app:1"})
				if err != nil {
					t.Fatal(err)
				}
				if err := Push(t.Context(), dir, digest, tags, Options{}); !errors.Is(err, held.ErrChanged) {
					t.Errorf("got the error %v", err)
				}
				for _, line := range reqs.lines() {
					if strings.HasPrefix(line, "PUT") && (strings.Contains(line, "/manifests/") || strings.Contains(line, filepath.Base(blob))) {
						t.Errorf("the registry was asked to keep it: %s", line)
					}
				}
			})
		}
	}
}

// layerFile is where the first layer of an image lies.
func layerFile(t *testing.T, dir string, img v1.Image) string {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	h, err := layers[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "blobs", h.Algorithm, h.Hex)
}
