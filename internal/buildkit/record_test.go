package buildkit

import (
	"testing"

	contentlocal "github.com/containerd/containerd/v2/plugins/content/local"
)

func TestProvenanceMode(t *testing.T) {
	for value, want := range map[string]string{"": "min", "min": "min", "max": "max", "disabled": "disabled", "false": "disabled", "0": "disabled", "true": "min", "other": "min"} {
		if got := ProvenanceMode(value); got != want {
			t.Errorf("%q: got %s, want %s", value, got, want)
		}
	}
}

// TestRecords: what is exported for the record is never a part of the image, and
// asks for nothing that would be.
func TestRecords(t *testing.T) {
	store, err := contentlocal.NewStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	to := func(types ...OutputType) (o Outputs) {
		for _, typ := range types {
			o.Targets = append(o.Targets, Target{Type: typ})
		}
		return o
	}
	byDefault := map[string]string{"provenance": defaultProvenance}
	for _, row := range []struct {
		name       string
		req        Request
		mode       string
		exports    int
		provenance string // as the frontend is asked
		inline     string // of the image's export
	}{
		{"default", Request{Attests: byDefault, Outputs: to(OutputOCI)}, "min", 2, defaultProvenance, ""},
		{"the whole of it", Request{Attests: byDefault, Outputs: to(OutputLocal)}, "max", 2, "mode=max,inline-only=true", ""},
		{"disabled", Request{Attests: byDefault, Outputs: to(OutputOCI)}, "disabled", 1, defaultProvenance, ""},
		{"pushed", Request{Attests: byDefault, Outputs: to(OutputPush)}, "max", 1, defaultProvenance, "true"},
		{"pushed without", Request{Attests: map[string]string{"provenance": ""}, Outputs: to(OutputPush)}, "min", 2, "mode=min,inline-only=true", ""},
		{"in the image anyhow", Request{Attests: map[string]string{"provenance": "mode=max"}, Outputs: to(OutputOCI)}, "min", 1, "mode=max", ""},
		{"several platforms", Request{Attests: byDefault, Platforms: []string{"linux/amd64", "linux/arm64"}}, "max", 1, defaultProvenance, ""},
		{"several platforms without", Request{Attests: map[string]string{"provenance": ""}, Platforms: []string{"linux/amd64", "linux/arm64"}}, "min", 1, "", ""},
		{"an SBOM without", Request{Attests: map[string]string{"provenance": "", "sbom": "generator=x"}}, "min", 1, "", ""},
		{"an index of one", Request{Attests: map[string]string{"provenance": ""}, BuildArgs: map[string]string{"BUILDKIT_MULTI_PLATFORM": "1"}}, "min", 1, "", ""},
	} {
		row.req.Record, row.req.Store = &Record{Mode: row.mode}, store
		exports := row.req.exports()
		if len(exports) != row.exports {
			t.Errorf("%s: got %d exports, want %d", row.name, len(exports), row.exports)
		}
		if got := row.req.attributes()["attest:provenance"]; got != row.provenance {
			t.Errorf("%s: got provenance %q, want %q", row.name, got, row.provenance)
		}
		if got := exports[len(exports)-1].Attrs[inlineAttestations]; got != row.inline {
			t.Errorf("%s: the image's attestations: got %q, want %q", row.name, got, row.inline)
		}
	}
}
