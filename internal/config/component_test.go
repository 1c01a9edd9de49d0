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
