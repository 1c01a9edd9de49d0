package finding

import "testing"

func TestJudge(t *testing.T) {
	some := Coverage{Blobs: 1}
	tests := []struct {
		name string
		r    Report
		want Verdict
	}{
		{"clean", Report{Coverage: some}, Clean},
		{"warning", Report{Coverage: some, Findings: []Finding{{Severity: Warning}}}, Clean},
		{"error", Report{Coverage: some, Findings: []Finding{{Severity: Warning}, {Severity: Error}}}, Leaked},
		{"unknown severity blocks", Report{Coverage: some, Findings: []Finding{{}}}, Leaked},
		{"unread", Report{Coverage: Coverage{Blobs: 1, Unread: []Unread{{}}}}, Incomplete},
		{"a leak outweighs what was not read", Report{Coverage: Coverage{Unread: []Unread{{}}}, Findings: []Finding{{Severity: Error}}}, Leaked},
		{"nothing was read", Report{}, Incomplete},
	}
	for _, tt := range tests {
		tt.r.Verdict = "before"
		if tt.r.Judge(); tt.r.Verdict != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, tt.r.Verdict, tt.want)
		}
	}
}

// TestSign: the same leak has the same fingerprint after a rebuild, and no
// other.
func TestSign(t *testing.T) {
	a := Finding{Rule: RuleKnownValue, Secret: "s", Encoding: "raw", Layer: 1, Path: "p"}
	b := a
	b.Blob, b.Offset, b.Line, b.Instruction = "sha256:0", 7, 3, "RUN x"
	a.Sign()
	b.Sign()
	if a.Fingerprint != b.Fingerprint {
		t.Error("a rebuild changes the fingerprint")
	}
	c := b
	c.Path = "q"
	c.Sign()
	if c.Fingerprint == b.Fingerprint {
		t.Error("two places share a fingerprint")
	}
}

// TestAddCache: a leak in a cache is said, and does not change what the image is.
func TestAddCache(t *testing.T) {
	r := Report{Coverage: Coverage{Blobs: 1}, Findings: []Finding{{Rule: "guess", Severity: Warning, Blob: "sha256:1", Path: "both"}}}
	r.Judge()
	cache := Report{Image: Image{Digest: "sha256:c"}, Verdict: Leaked, Findings: []Finding{
		{Rule: "guess", Severity: Warning, Blob: "sha256:1", Path: "both"},
		{Rule: RuleKnownValue, Severity: Error, Secret: "token", Blob: "sha256:2", Path: "leak", Layer: 3},
	}}
	for range 2 { // two targets of one cache
		r.AddCache("type=local,dest=x", cache)
	}
	r.Caches[1].Published = true
	r.Judge()
	if r.Verdict != Clean || len(r.Findings) != 2 || len(r.Caches) != 2 || r.Caches[0].Published {
		t.Errorf("got %+v", r)
	}
	if f := r.Findings[1]; f.Severity != Warning || f.Platform != PlatformCache || f.Layer != -1 || f.Fingerprint == "" {
		t.Errorf("the cache's finding: got %+v", f)
	}
	if cache.Findings[1].Severity != Error {
		t.Error("the cache's own report was changed")
	}
	if c := r.Caches[0]; c.Digest != "sha256:c" || c.Verdict != Leaked {
		t.Errorf("the cache: got %+v", c)
	}
}
