package securebuild_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// workflows are those of this repository, the examples, and what act runs.
func workflows(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{".github/workflows/*.yml", "examples/github/*.yml", "testdata/act/*.yml"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) < 2 {
			t.Fatalf("%s: %q, %v", pattern, names, err)
		}
		all = append(all, names...)
	}
	return all
}

func TestWorkflowsAreValid(t *testing.T) {
	tools := os.Getenv("SECURE_BUILD_TOOLS")
	if tools == "" {
		tools = filepath.Join("bin", "tools")
	}
	cmd := exec.Command(filepath.Join(tools, "actionlint"), append([]string{"-shellcheck=", "-pyflakes=", "-no-color"}, workflows(t)...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("actionlint (make tools builds it): %v\n%s", err, out)
	}
}

// TestWorkflowsArePinned: what a tag names can be changed by whoever owns it,
// and a step's script is no place for what somebody else has written.
func TestWorkflowsArePinned(t *testing.T) {
	uses := regexp.MustCompile(`(?m)^\s*(?:- )?uses: (\S+)(.*)$`)
	pinned := regexp.MustCompile(`@[0-9a-f]{40}$`)
	version := regexp.MustCompile(`^ # v[0-9]+\.[0-9]+\.[0-9]+$`)
	script := regexp.MustCompile(`(?m)^( *)(?:- )?run: (?:\|\n((?:\s*\n|\s+.*\n)*)|(.*))`)
	for _, name := range workflows(t) {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text := string(data)
		for _, m := range uses.FindAllStringSubmatch(text, -1) {
			switch {
			case m[1] == "./", m[1] == "org/secure-build@v1":
			case !pinned.MatchString(m[1]) || !version.MatchString(m[2]):
				t.Errorf("%s uses %s%s: want a commit, and its version as a comment", name, m[1], m[2])
			}
		}
		if !strings.Contains(text, "\npermissions:") {
			t.Errorf("%s does not say what its token may do", name)
		}
		for _, m := range script.FindAllStringSubmatch(text, -1) {
			for line := range strings.Lines(m[2] + m[3]) {
				if indent := len(line) - len(strings.TrimLeft(line, " ")); m[2] != "" && indent <= len(m[1])+2 {
					break // the script is over
				}
				if strings.Contains(line, "${{") {
					t.Errorf("%s puts an expression into a script: %s", name, line)
				}
			}
		}
	}
}

func TestExamplesShowEveryUse(t *testing.T) {
	for name, want := range map[string]string{
		"plain": "sops: secrets.yaml", "monorepo": "matrix:", "platforms": "linux/amd64,linux/arm64",
		"kms": "id-token: write", "sarif": "upload-sarif@", "migration": "-      - uses: docker/build-push-action@v7",
	} {
		text, err := os.ReadFile(filepath.Join("examples", "github", name+".yml"))
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %v, want %q in it", name, err, want)
		}
	}
}
