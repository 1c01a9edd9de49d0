package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/org/secure-build/internal/finding"
)

// runs are all kinds of run that a report is made of.
func runs() map[string]Run {
	return map[string]Run{
		"leaked": leaked(), "clean": clean(), "incomplete": incomplete(), "hostile": hostileLeak(),
		"patterns": patterns(), "huge names": hugeNames(), "nothing known": {Tool: "secure-build 0.1.0", Findings: nothing()},
	}
}

// nothing is the report of a run that ended before there was an image.
func nothing() finding.Report {
	r := finding.Report{
		Version: finding.Version, Image: finding.Image{Platforms: []string{}},
		Coverage: finding.Coverage{Unread: []finding.Unread{}}, Findings: []finding.Finding{},
	}
	r.Judge()
	return r
}

// patterns is a run that found what it did not know: one place blocks, another
// is a warning.
func patterns() Run {
	run := leaked()
	for i, f := range run.Findings.Findings[:2] {
		f.Rule, f.Secret, f.Origin, f.Encoding, f.Severity = "github-pat", "", "", "", finding.Error
		if i == 1 {
			f.Rule, f.Severity = "dot-env-file", finding.Warning
		}
		f.Sign()
		run.Findings.Findings[i] = f
	}
	run.Findings.Findings = run.Findings.Findings[:2]
	run.Findings.Coverage.Unread = []finding.Unread{}
	run.Findings.Judge()
	run.Rules = map[string]string{"github-pat": "A personal access token of GitHub: " + hostile}
	return run
}

// hugeNames is a run in which every name of the image has 100 KB.
func hugeNames() Run {
	run := hostileLeak()
	long := strings.Repeat("\x1b[31m<b>*x*\u202e\xff\n{0}](y)\"'&", 100_000/30)
	for i := range run.Findings.Findings {
		f := &run.Findings.Findings[i]
		f.Path, f.Instruction = long, long
	}
	run.Findings.Coverage.Unread = append(run.Findings.Coverage.Unread, finding.Unread{Blob: digest, Path: long, Reason: long})
	run.Layers[0].Instruction, run.Layers[0].Platform = long, long
	run.Error, run.Dockerfile, run.Commit, run.Category, run.Engine = long, long, long, long, long
	run.Tags, run.Findings.Image.Platforms = []string{long}, []string{long, "linux/arm64"}
	run.Timings = append(run.Timings, Timing{long, long, time.Second})
	return run
}

// schemas are the rules of each JSON file.
var schemas = map[string]string{
	FindingsFile:          filepath.Join("..", "..", "docs", "findings.schema.json"),
	GitLabSecretsFile:     filepath.Join("testdata", "gitlab-secret-detection.schema.json"),
	GitLabCodeQualityFile: filepath.Join("testdata", "gitlab-codequality.schema.json"),
}

func compiled(t *testing.T, file string) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile(schemas[file])
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func parsed(t *testing.T, text []byte) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestReportsKeepToTheirSchemas(t *testing.T) {
	for name, run := range runs() {
		t.Run(name, func(t *testing.T) {
			dir := written(t, run)
			for file := range schemas {
				if err := compiled(t, file).Validate(parsed(t, read(t, dir, file))); err != nil {
					t.Errorf("%s: %v", file, err)
				}
			}
		})
	}
}

// TestSchemasRefuse shows that the schemas are no formality: a report is
// refused without any one of the members that it needs, with one more, and
// with a member of another kind.
func TestSchemasRefuse(t *testing.T) {
	dir := written(t, leaked())
	for file := range schemas {
		schema, text := compiled(t, file), read(t, dir, file)
		broken := 0
		for _, breakAt := range objects(parsed(t, text), "") {
			for _, how := range []string{"more", "kind"} {
				doc := parsed(t, text)
				mutate(doc, breakAt, how)
				if err := schema.Validate(doc); err == nil && !strings.Contains(breakAt, "/vendor") && !strings.HasSuffix(breakAt, "/analyzer") && !strings.HasSuffix(breakAt, "/scanner") {
					t.Errorf("%s: still valid with %s at %q", file, how, breakAt)
				}
				broken++
			}
		}
		if broken < 6 {
			t.Errorf("%s: only %d ways to break it", file, broken)
		}
	}
	schema := compiled(t, FindingsFile)
	for _, edit := range []func(m map[string]any){
		func(m map[string]any) { m["verdict"] = "fine" },
		func(m map[string]any) { m["verdict"] = "clean" }, // with findings and unread parts
		func(m map[string]any) { m["findings"] = []any{} },
		func(m map[string]any) { m["version"] = json.Number("2") },
		func(m map[string]any) { delete(m, "coverage") },
		func(m map[string]any) { delete(m["findings"].([]any)[0].(map[string]any), "fingerprint") },
		func(m map[string]any) { delete(m["findings"].([]any)[0].(map[string]any), "secret") },
		func(m map[string]any) { m["findings"].([]any)[0].(map[string]any)["layer"] = json.Number("-2") },
	} {
		doc := parsed(t, read(t, dir, FindingsFile)).(map[string]any)
		edit(doc)
		if schema.Validate(doc) == nil {
			t.Errorf("valid: %.300s", fmt.Sprint(doc))
		}
	}
}

// objects lists the paths of all objects in a document.
func objects(v any, at string) []string {
	var out []string
	switch v := v.(type) {
	case map[string]any:
		out = append(out, at)
		for _, k := range slices.Sorted(maps.Keys(v)) {
			out = append(out, objects(v[k], at+"/"+k)...)
		}
	case []any:
		for i, e := range v[:min(len(v), 1)] {
			out = append(out, objects(e, fmt.Sprintf("%s/%d", at, i))...)
		}
	}
	return out
}

// mutate breaks the object at a path.
func mutate(v any, at, how string) {
	for _, step := range strings.Split(at, "/")[1:] {
		switch w := v.(type) {
		case map[string]any:
			v = w[step]
		case []any:
			v = w[step[0]-'0']
		}
	}
	m := v.(map[string]any)
	if how == "more" {
		m["raw_source_code_extract"] = "x"
		return
	}
	m[slices.Sorted(maps.Keys(m))[0]] = false
}
