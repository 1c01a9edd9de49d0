package scan

import (
	"slices"
	"testing"

	"github.com/org/secure-build/internal/finding"
)

// TestCache: what is in a cache and not in the image is found, what is known of
// the image is not read again, and patterns in its base layers only warn.
func TestCache(t *testing.T) {
	s := blobs{}
	root, layers := built(t, s)
	leak := s.put(ociLayer, tarOf(t, file("builder/leak", "of-the-builder-stage")))
	cache := s.json(ociManifest, object{
		"schemaVersion": 2, "mediaType": ociManifest,
		"config": desc(s.json("application/vnd.buildkit.cacheconfig.v0", object{"layers": []object{}, "records": []object{}}), nil),
		"layers": []object{desc(layers[0], nil), desc(leak, nil)},
	})
	sc := New(Options{Index: knows(t, "of-the-builder-stage"), Patterns: severe{&listener{heard: map[string]string{}}}})
	sc.Built(Build{Base: []string{digestOf(s[layers[0].Digest])}})
	if _, err := sc.Report(t.Context(), root, s.open); err != nil {
		t.Fatal(err)
	}
	inImage := len(sc.Layers())
	base := s[layers[0].Digest]
	delete(s, layers[0].Digest) // it was read with the image
	rep, err := sc.Cache(t.Context(), cache, s.open)
	if err != nil {
		t.Fatal(err)
	}
	severities := map[string]finding.Severity{}
	for _, f := range rep.Findings {
		severities[f.Path] = f.Severity
	}
	if rep.Verdict != finding.Leaked || rep.Image.Digest != cache.Digest || rep.Coverage.Blobs != 4 {
		t.Errorf("got %s of %s with %d blobs, want a leak in the cache's 4", rep.Verdict, rep.Image.Digest, rep.Coverage.Blobs)
	}
	if severities["builder/leak"] != finding.Error || severities["usr/base"] != finding.Warning {
		t.Errorf("severities: got %v, want an error of the builder and a warning of the base", severities)
	}
	if len(sc.Layers()) != inImage {
		t.Error("the cache's layers are listed as the image's")
	}

	s[layers[0].Digest] = base
	delete(s, leak.Digest)
	rep, err = New(Options{Index: knows(t, "of-the-builder-stage")}).Cache(t.Context(), cache, s.open)
	if err != nil || rep.Verdict != finding.Incomplete || !slices.ContainsFunc(rep.Coverage.Unread, func(u finding.Unread) bool { return u.Blob == leak.Digest }) {
		t.Errorf("a cache with a blob missing: got %s, %v", rep.Verdict, err)
	}
}
