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
