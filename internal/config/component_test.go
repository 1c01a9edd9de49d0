package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

//go:generate go test -run TestComponentHasTheOptions -update

// component is the file, and published the copy that GitLab's catalog wants.
var (
	component = filepath.Join("..", "..", "gitlab-component.yml")
	published = filepath.Join("..", "..", "templates", "secure-build.yml")
)

func TestComponentHasTheOptions(t *testing.T) {
	got, err := os.ReadFile(component)
	if err != nil {
		t.Fatal(err)
	}
	want, err := SpliceComponent(string(got), Build)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{component, published} {
		if *update {
			if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s differs from the table of options, or from its copy; make generate rewrites both (-want +got):\n%s", name, diff)
		}
	}
}

// TestComponentReports: what the job leaves is shown in merge requests, also
// when it fails, and no environment of GitLab's is touched.
func TestComponentReports(t *testing.T) {
	jobs, err := readTemplate(t).jobs(nil)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"when": "always", "name": "secure-build-report", "expose_as": "Findings of secure-build", "paths": []any{"secure-build-report/"}, "expire_in": "30 days",
		"reports": map[string]any{
			"secret_detection": "secure-build-report/gl-secret-detection.json", "codequality": "secure-build-report/gl-codequality.json", "dotenv": "secure-build.env",
		},
	}
	if diff := cmp.Diff(want, jobs["secure-build"].(map[string]any)["artifacts"]); diff != "" {
		t.Errorf("artifacts (-want +got):\n%s", diff)
	}
	for name, job := range jobs {
		for _, key := range []string{"environment", "before_script", "after_script", "secrets"} {
			if _, ok := job.(map[string]any)[key]; ok {
				t.Errorf("%s has %s", name, key)
			}
		}
	}
	private, service := jobs[".secure-build:private"].(map[string]any), jobs[".secure-build:service"].(map[string]any)
	if private["services"] != nil || private["variables"] != nil {
		t.Errorf("a private daemon needs no service: %v", private)
	}
	if diff := cmp.Diff(map[string]any{"BUILDKIT_HOST": "tcp://buildkitd:1234", "FF_NETWORK_PER_BUILD": "true"}, service["variables"]); diff != "" {
		t.Errorf("the service's variables (-want +got):\n%s", diff)
	}
}
