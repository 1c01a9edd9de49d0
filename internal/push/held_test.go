package push

import (
	"bytes"
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

// TestChanged: what is not what its digest says does not leave whole, be it a
// layer or what names it, and nothing that names it does. The registry would
// take anything.
func TestChanged(t *testing.T) {
	img, err := random.Image(200_000, 2)
	if err != nil {
		t.Fatal(err)
	}
	idx := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: img})
	outer := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: idx})
	blobs := map[string]v1.Hash{"layer": layerOf(t, img), "config": of(t, img.ConfigName), "manifest": of(t, img.Digest), "index": of(t, idx.Digest)}
	for name, tt := range map[string]struct {
		root  mutate.Appendable
		blobs []string
	}{
		"image":            {img, []string{"layer", "config", "manifest"}},
		"index":            {idx, []string{"layer", "config", "manifest", "index"}},
		"index of indexes": {outer, []string{"layer", "config", "manifest", "index"}},
	} {
		for _, blob := range tt.blobs {
			for change, do := range map[string]func([]byte) []byte{
				"a bit":   func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
				"the end": func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
				"still":   func(b []byte) []byte { return bytes.Replace(b, []byte(":"), []byte(": "), 1) }, // JSON, and the same
				"longer":  func(b []byte) []byte { return append(b, ' ') },
				"shorter": func(b []byte) []byte { return b[:len(b)-1] },
			} {
				if blob == "layer" && change == "still" {
					continue
				}
				t.Run(name+", "+blob+", "+change, func(t *testing.T) {
					changed(t, tt.root, blobs[blob], do)
				})
			}
		}
	}
}

// changed pushes an image of which one blob has changed.
func changed(t *testing.T, root mutate.Appendable, blob v1.Hash, do func([]byte) []byte) {
	dir, digest := save(t, root)
	file := filepath.Join(dir, "blobs", blob.Algorithm, blob.Hex)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, do(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var reqs requests
	host := reqs.serve(t)
	tags, err := ParseTags([]string{host + "/app:1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := Push(t.Context(), dir, digest, tags, Options{}); !errors.Is(err, held.ErrChanged) || !strings.Contains(err.Error(), blob.Hex) {
		t.Errorf("got the error %v, want one of %s", err, blob)
	}
	for _, line := range reqs.lines() {
		if strings.HasPrefix(line, "PUT") && (strings.Contains(line, "/manifests/") || strings.Contains(line, blob.Hex)) {
			t.Errorf("the registry was asked to keep it: %s", line)
		}
	}
}

func of(t *testing.T, digest func() (v1.Hash, error)) v1.Hash {
	t.Helper()
	h, err := digest()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// layerOf is the first layer of an image.
func layerOf(t *testing.T, img v1.Image) v1.Hash {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	return of(t, layers[0].Digest)
}
