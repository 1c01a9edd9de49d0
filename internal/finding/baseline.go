package finding

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/org/secure-build/internal/hint"
)

// A Baseline is the findings of patterns that somebody has looked at and
// accepted, for a while and with a reason. A known value cannot be accepted.
type Baseline struct {
	Version  int        `json:"version"`
	Findings []Accepted `json:"findings"`
}

// Accepted is one entry of a baseline.
type Accepted struct {
	Fingerprint string `json:"fingerprint"` // as findings.json has it
	Reason      string `json:"reason"`
	Expires     string `json:"expires"` // the last day on which it counts, such as 2027-01-31 (UTC)
}

// maxBaseline bounds a baseline file, in bytes.
const maxBaseline = 4 << 20

// ReadBaseline reads a baseline. Every entry needs its three fields.
func ReadBaseline(r io.Reader) (Baseline, error) {
	var b Baseline
	data, err := io.ReadAll(io.LimitReader(r, maxBaseline+1))
	if err == nil && len(data) > maxBaseline {
		err = fmt.Errorf("it is larger than %d bytes", maxBaseline)
	}
	if err == nil {
		d := json.NewDecoder(bytes.NewReader(data))
		d.DisallowUnknownFields()
		if err = d.Decode(&b); err == nil && d.More() {
			err = errors.New("there is more than one JSON document in it")
		}
	}
	if err == nil && b.Version != 1 {
		err = fmt.Errorf("its version is %d, and 1 is what is known", b.Version)
	}
	for i, a := range b.Findings {
		_, derr := time.Parse(time.DateOnly, a.Expires)
		switch {
		case err != nil:
		case a.Fingerprint == "":
			err = fmt.Errorf("entry %d has no fingerprint", i+1)
		case a.Reason == "":
			err = fmt.Errorf("entry %d (%s) has no reason", i+1, a.Fingerprint)
		case derr != nil:
			err = fmt.Errorf("entry %d (%s) expires on %q, which is no date", i+1, a.Fingerprint, a.Expires)
		}
	}
	if err != nil {
		return Baseline{}, hint.Wrap(fmt.Errorf("reading the baseline: %w", err),
			`it looks like {"version":1,"findings":[{"fingerprint":"…","reason":"a test key","expires":"2027-01-31"}]}`)
	}
	return b, nil
}

// FailOn says which findings block.
type FailOn string

const (
	FailOnKnown   FailOn = "known-value" // known values only; patterns are reported
	FailOnError   FailOn = "error"       // and patterns that are sure: the default
	FailOnWarning FailOn = "warning"     // and everything else that is found
)

// Policy is what a user has decided about findings.
type Policy struct {
	FailOn   FailOn
	Baseline Baseline
}

// Apply sets the severities by the policy and judges anew. It returns the
// fingerprints of the baseline's entries that have expired or match nothing.
// A known value blocks whatever the policy says.
func (p Policy) Apply(r *Report, now time.Time) (stale []string) {
	used := map[string]bool{}
	for i := range r.Findings {
		f := &r.Findings[i]
		if f.Rule == RuleKnownValue {
			f.Severity = Error
			continue
		}
		if a, ok := p.accepted(f.Fingerprint, now); ok {
			used[a.Fingerprint] = true
			f.Severity = Warning
			continue
		}
		switch {
		case p.FailOn == FailOnKnown:
			f.Severity = Warning
		case p.FailOn == FailOnWarning:
			f.Severity = Error
		}
	}
	for _, a := range p.Baseline.Findings {
		if !used[a.Fingerprint] {
			stale = append(stale, a.Fingerprint)
		}
	}
	r.Judge()
	return stale
}

func (p Policy) accepted(fingerprint string, now time.Time) (Accepted, bool) {
	i := slices.IndexFunc(p.Baseline.Findings, func(a Accepted) bool { return a.Fingerprint == fingerprint })
	if i < 0 {
		return Accepted{}, false
	}
	a := p.Baseline.Findings[i]
	last, err := time.Parse(time.DateOnly, a.Expires)
	return a, err == nil && now.Before(last.AddDate(0, 0, 1))
}
