package finding

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/org/secure-build/internal/hint"
)

func TestApply(t *testing.T) {
	now := time.Date(2027, 1, 31, 23, 0, 0, 0, time.UTC)
	entry := func(fp, expires string) Baseline {
		return Baseline{1, []Accepted{{fp, "a test key", expires}}}
	}
	known := Finding{Rule: RuleKnownValue, Severity: Warning, Fingerprint: "k"}
	sure := Finding{Rule: "private-key", Severity: Error, Fingerprint: "s"}
	name := Finding{Rule: "file-name", Severity: Warning, Fingerprint: "n"}
	tests := []struct {
		name   string
		policy Policy
		f      Finding
		want   Verdict
		stale  []string
	}{
		{"a pattern blocks", Policy{FailOn: FailOnError}, sure, Leaked, nil},
		{"a name does not", Policy{FailOn: FailOnError}, name, Clean, nil},
		{"a name, with fail-on", Policy{FailOn: FailOnWarning}, name, Leaked, nil},
		{"a pattern, with fail-on", Policy{FailOn: FailOnKnown}, sure, Clean, nil},
		{"accepted", Policy{FailOn: FailOnError, Baseline: entry("s", "2027-01-31")}, sure, Clean, nil},
		{"accepted, with fail-on", Policy{FailOn: FailOnWarning, Baseline: entry("n", "2027-02-01")}, name, Clean, nil},
		{"expired", Policy{FailOn: FailOnError, Baseline: entry("s", "2027-01-30")}, sure, Leaked, []string{"s"}},
		{"another's", Policy{FailOn: FailOnError, Baseline: entry("x", "2027-12-31")}, sure, Leaked, []string{"x"}},
		{"a known value cannot be accepted", Policy{FailOn: FailOnKnown, Baseline: entry("k", "2099-01-01")}, known, Leaked, []string{"k"}},
		{"no policy at all", Policy{}, known, Leaked, nil},
	}
	for _, tt := range tests {
		r := Report{Coverage: Coverage{Blobs: 1}, Findings: []Finding{tt.f}}
		stale := tt.policy.Apply(&r, now)
		if r.Verdict != tt.want || !slices.Equal(stale, tt.stale) {
			t.Errorf("%s: got %s and %q, want %s and %q", tt.name, r.Verdict, stale, tt.want, tt.stale)
		}
	}
}

func TestReadBaseline(t *testing.T) {
	good := `{"version":1,"findings":[{"fingerprint":"f","reason":"r","expires":"2027-01-31"}]}`
	if b, err := ReadBaseline(strings.NewReader(good)); err != nil || len(b.Findings) != 1 {
		t.Errorf("got %v, %v", b, err)
	}
	for _, bad := range []string{
		``, `[]`, `{`, good + good, `{"version":2}`, `{"findings":[]}`,
		strings.Replace(good, `"reason":"r",`, ``, 1),
		strings.Replace(good, `"f"`, `""`, 1),
		strings.Replace(good, `2027-01-31`, `soon`, 1),
		strings.Replace(good, `"reason"`, `"reasons"`, 1),
		`{"version":1,"x":"` + strings.Repeat("y", maxBaseline) + `"}`,
	} {
		if _, err := ReadBaseline(strings.NewReader(bad)); err == nil || len(hint.Of(err)) == 0 {
			t.Errorf("%.60s: got %v, want an error with a hint", bad, err)
		}
	}
}

func FuzzReadBaseline(f *testing.F) {
	f.Add(`{"version":1,"findings":[{"fingerprint":"f","reason":"r","expires":"2027-01-31"}]}`)
	f.Fuzz(func(t *testing.T, s string) {
		b, err := ReadBaseline(strings.NewReader(s))
		for _, a := range b.Findings {
			if err == nil && (a.Fingerprint == "" || a.Reason == "") {
				t.Errorf("accepted %+v", a)
			}
		}
	})
}
