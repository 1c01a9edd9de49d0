package securebuild_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var documents = []string{"README.md", "SECURITY.md", "CONTRIBUTING.md", "docs/*.md"}

// each calls f for every document with its text.
func each(t *testing.T, f func(name, text string)) {
	t.Helper()
	for _, pattern := range documents {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %v, %v", pattern, names, err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			f(name, string(text))
		}
	}
}

func TestDocumentsLinkToWhatExists(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	each(t, func(name, text string) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(name), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", name, m[1], err)
			}
		}
	})
}

func TestDocumentsNameTargetsThatExist(t *testing.T) {
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	target := regexp.MustCompile("(?m)(?:^|`)make ([a-z]+)")
	seen := 0
	each(t, func(name, text string) {
		for _, m := range target.FindAllStringSubmatch(text, -1) {
			if seen++; !strings.Contains(string(makefile), "\n"+m[1]+":") {
				t.Errorf("%s says make %s, and there is no such target", name, m[1])
			}
		}
	})
	if seen < 5 {
		t.Errorf("found %d mentions of make: does the expression still fit?", seen)
	}
}

// TestPackagesAreInTheArchitecture holds the table of packages in the docs
// against the one that is enforced.
func TestPackagesAreInTheArchitecture(t *testing.T) {
	text, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	_, files := source(t)
	for _, f := range files {
		if name := filepath.Base(f.pkg); home(f.pkg) == f.pkg && !strings.Contains(string(text), "`"+name+"`") && !strings.Contains(string(text), "`"+f.pkg+"`") {
			t.Errorf("docs/architecture.md does not name %s", f.pkg)
		}
	}
}

// TestEveryGitLabExampleIsRun: an example that nobody runs is wrong some day.
func TestEveryGitLabExampleIsRun(t *testing.T) {
	script, err := os.ReadFile(filepath.Join("cmd", "secure-build", "testdata", "script", "gitlab-examples.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob("examples/gitlab/*.yml")
	if err != nil || len(names) < 5 {
		t.Fatalf("%v, %v", names, err)
	}
	docs, err := os.ReadFile("docs/gitlab.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if !strings.Contains(string(script), "gitlab-example project "+filepath.Base(name)+"\n") {
			t.Errorf("%s is in no script", name)
		}
		if base := filepath.Base(name); base != "component.yml" && !strings.Contains(string(docs), base) {
			t.Errorf("docs/gitlab.md does not name %s", name)
		}
	}
}
