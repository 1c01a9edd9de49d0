package buildkit

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	spb "github.com/moby/buildkit/sourcepolicy/pb"
	"github.com/org/secure-build/internal/hint"
)

// maxPolicy bounds a source policy, in bytes.
const maxPolicy = 1 << 20

// ReadPolicy reads the source policy in a file, as JSON or as a protobuf message;
// nil for no name. BuildKit enforces it
// (https://github.com/moby/buildkit/blob/master/docs/build-repro.md).
func ReadPolicy(name string) (*spb.Policy, error) {
	if name == "" {
		return nil, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("reading the source policy: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPolicy+1))
	if err != nil {
		return nil, fmt.Errorf("reading the source policy: %w", err)
	}
	if len(text) > maxPolicy {
		return nil, fmt.Errorf("reading the source policy: %s is larger than %d bytes", name, maxPolicy)
	}
	p := new(spb.Policy)
	if err := json.Unmarshal(text, p); err != nil {
		p = new(spb.Policy)
		if p.UnmarshalVT(text) != nil {
			return nil, hint.Wrap(fmt.Errorf("reading the source policy %s: %w", name, err), "EXPERIMENTAL_BUILDKIT_SOURCE_POLICY names it")
		}
	}
	return p, nil
}

// UnheldPolicy is the file with a policy for this Dockerfile that buildx would
// evaluate, and nobody does here; "" for none.
func (r Request) UnheldPolicy() string {
	if r.Inline != "" || !r.here() {
		return ""
	}
	if name := r.dockerfile() + ".rego"; exists(name) {
		return name
	}
	return ""
}
