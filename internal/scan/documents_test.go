package scan

import (
	"testing"

	"github.com/org/secure-build/internal/finding"
)

// TestDocuments: what lies beside an image is searched as the image's own
// documents are, and is not followed.
func TestDocuments(t *testing.T) {
	s := blobs{}
	root := s.manifest(object{}, s.put(ociLayer, tarOf(t, file("a", "x"))))
	elsewhere := Descriptor{MediaType: ociManifest, Digest: digestOf([]byte("absent")), Size: 6}
	for _, tt := range []struct {
		name    string
		doc     Descriptor
		secret  string
		field   string
		verdict finding.Verdict
	}{
		{"harmless", s.json(ociIndex, object{"manifests": []object{desc(root, nil)}}), "", "", finding.Clean},
		{"its annotations", s.json(ociIndex, object{"annotations": object{"k": password}}), "password", "annotations.k", finding.Leaked},
		{"a short value", s.json(ociIndex, object{"annotations": object{"k": pin}}), "pin", "annotations.k", finding.Leaked},
		{"an image's", s.json(ociIndex, object{"manifests": []object{desc(root, object{"annotations": object{"name": password}})}}), "password", "manifests[0].annotations.name", finding.Leaked},
		{"a tag", s.json("application/json", []object{{"RepoTags": []string{"app:" + password}}}), "password", "[0].RepoTags[0]", finding.Leaked},
		{"what is not there", s.json(ociIndex, object{"manifests": []object{desc(elsewhere, nil)}}), "", "", finding.Clean},
		{"no JSON", s.put(ociIndex, []byte("text")), "", "", finding.Incomplete},
		{"another digest", Descriptor{MediaType: ociIndex, Digest: root.Digest[:70] + "0", Size: 1}, "", "", finding.Incomplete},
	} {
		sc := New(Options{Index: testIndex()})
		sc.Documents([]Descriptor{tt.doc})
		rep, err := sc.Report(t.Context(), root, s.open)
		if err != nil {
			t.Fatal(err)
		}
		checkNoValue(t, rep)
		if rep.Verdict != tt.verdict || rep.Image.Digest != root.Digest {
			t.Errorf("%s: got %s of %s, want %s: %v", tt.name, rep.Verdict, rep.Image.Digest, tt.verdict, rep.Coverage.Unread)
		}
		if got := len(rep.Findings) > 0; got != (tt.secret != "") {
			t.Errorf("%s: got %v", tt.name, rep.Findings)
			continue
		}
		for _, f := range rep.Findings {
			if f.Secret != tt.secret || f.Field != tt.field || f.Blob != tt.doc.Digest || f.Layer != -1 {
				t.Errorf("%s: got %+v", tt.name, f)
			}
		}
	}
}
