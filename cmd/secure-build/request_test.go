package main

import (
	"slices"
	"testing"

	"github.com/org/secure-build/internal/buildkit"
)

// TestTagsOf: an image goes to all names of the outputs that push it, and only to
// those without TLS that say so.
func TestTagsOf(t *testing.T) {
	push := func(name string, insecure bool) buildkit.Target {
		return buildkit.Target{Type: buildkit.OutputPush, Name: name, Insecure: insecure}
	}
	archive := buildkit.Target{Type: buildkit.OutputOCI, Name: "archived:1"}
	unpushed := buildkit.Target{Type: buildkit.OutputImage, Name: "image:1", Insecure: true}
	for name, tt := range map[string]struct {
		targets       []buildkit.Target
		tags          []string
		all, insecure []string
	}{
		"tags":                {[]buildkit.Target{push("", false)}, []string{"a", "b"}, []string{"a", "b"}, nil},
		"insecure tags":       {[]buildkit.Target{push("", true)}, []string{"a", "b"}, []string{"a", "b"}, []string{"a", "b"}},
		"names":               {[]buildkit.Target{push("a,b", false), push("c", true)}, nil, []string{"a", "b", "c"}, []string{"c"}},
		"an archive's":        {[]buildkit.Target{archive}, nil, []string{"archived:1"}, nil},
		"an archive and push": {[]buildkit.Target{archive, push("c", false)}, nil, []string{"c"}, nil},
		"not pushed":          {[]buildkit.Target{unpushed, push("", false)}, []string{"a"}, []string{"a"}, nil},
	} {
		if all, insecure := tagsOf(tt.targets, tt.tags); !slices.Equal(all, tt.all) || !slices.Equal(insecure, tt.insecure) {
			t.Errorf("%s: got %v and %v, want %v and %v", name, all, insecure, tt.all, tt.insecure)
		}
	}
}
