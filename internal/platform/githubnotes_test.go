package platform

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/org/secure-build/internal/finding"
)

func TestFindingsAreAnnotations(t *testing.T) {
	p, log, _ := onGitHub(t)
	err := p.Findings([]finding.Finding{
		{
			Rule: finding.RuleKnownValue, Severity: finding.Error, Secret: "npm_token", Origin: "secrets.yaml#npm.token", Encoding: "base64",
			Platform: "linux/amd64", Layer: 2, Path: "app/x,y:1%\n::error::z", Line: 7,
		},
		{Rule: "private-key", Severity: finding.Warning, Layer: -1, Field: "config.Env[3]"},
		{Rule: "private-key", Severity: finding.Error, Layer: -1, Blob: "sha256:12"},
	}, "build,1:2/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	r := NewGitHubRunner()
	if shown := r.Read(log.Bytes()); len(shown) > 0 {
		t.Errorf("got %q shown as text", shown)
	}
	title := "secret in the image"
	want := []Command{
		{"error", map[string]string{"file": "build,1:2/Dockerfile", "line": "7", "title": title},
			"npm_token (secrets.yaml#npm.token) as base64 in app/x,y:1%\n::error::z, layer 2, linux/amd64"},
		{"error", map[string]string{"title": title}, "private-key in sha256:12"},
		{"warning", map[string]string{"title": title}, "private-key in config.Env[3]"},
	}
	if diff := cmp.Diff(want, r.Commands); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAnnotationsAreBounded(t *testing.T) {
	p, log, _ := onGitHub(t)
	many := make([]finding.Finding, 25)
	for i := range many {
		many[i] = finding.Finding{Rule: "r", Secret: "s", Line: i}
	}
	if err := p.Findings(many, ""); err != nil {
		t.Fatal(err)
	}
	r := NewGitHubRunner()
	r.Read(log.Bytes())
	if len(r.Commands) != maxAnnotations || r.Commands[9].Data != "and 16 more: see the log" {
		t.Errorf("got %d annotations, the last one %v", len(r.Commands), r.Commands[len(r.Commands)-1])
	}
	log.Reset()
	if err := p.Findings(nil, ""); err != nil || log.Len() > 0 {
		t.Errorf("got %v and %q for no findings", err, log.String())
	}
}

func TestNotesAreAnnotations(t *testing.T) {
	p, log, _ := onGitHub(t)
	if err := p.Annotate([]Note{
		{Severity: finding.Warning, File: "a/Dockerfile", Text: "no line"},
		{Severity: finding.Error, File: "Dockerfile", Line: 3, Title: "t\n::error::", Text: "50%\r\n::error::x"},
		{Severity: finding.Error, Line: 4, Text: "no file"},
	}); err != nil {
		t.Fatal(err)
	}
	r := NewGitHubRunner()
	if shown := r.Read(log.Bytes()); len(shown) > 0 {
		t.Errorf("got %q shown as text", shown)
	}
	want := []Command{
		{"error", map[string]string{"file": "Dockerfile", "line": "3", "title": "t ::error::"}, "50%\r\n::error::x"},
		{"error", map[string]string{}, "no file"},
		{"warning", map[string]string{"file": "a/Dockerfile"}, "no line"},
	}
	if diff := cmp.Diff(want, r.Commands); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDebugIsAsked(t *testing.T) {
	for _, tt := range []struct{ value, want string }{
		{"1", "::debug::a%0Ab\n"},
		{"", ""},
	} {
		log := &strings.Builder{}
		New(Options{Getenv: environ("GITHUB_ACTIONS", "true", "RUNNER_DEBUG", tt.value), Log: log}).Debug("a\nb")
		if got := log.String(); got != tt.want {
			t.Errorf("RUNNER_DEBUG=%s: got %q, want %q", tt.value, got, tt.want)
		}
	}
}

func TestSummary(t *testing.T) {
	long := strings.Repeat(strings.Repeat("x", 99)+"\n", 11<<10)
	for _, tt := range []struct{ name, before, text, want string }{
		{"first", "", "# a\n", "# a\n"},
		{"behind another's", "# one", "# two\n", "# one\n# two\n"},
		{"not UTF-8", "", "a\xffb\n", "a\ufffdb\n"},
		{"no room", strings.Repeat("x", 1<<20), "# a\n", ""},
		{"too long", "# one\n", long, ""},
		{"too long, in one line", "", strings.Repeat("x", 2<<20), ""},
	} {
		file := filepath.Join(t.TempDir(), "summary")
		if err := os.WriteFile(file, []byte(tt.before), 0o600); err != nil {
			t.Fatal(err)
		}
		p := New(Options{Getenv: environ("GITHUB_ACTIONS", "true", "GITHUB_STEP_SUMMARY", file)})
		if err := p.Summary([]byte(tt.text)); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if tt.want != "" && string(got) != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
		if len(got) > 1<<20 || !strings.HasPrefix(string(got), tt.before) {
			t.Errorf("%s: got %d bytes", tt.name, len(got))
		}
		if tt.name == "too long" && !strings.HasSuffix(string(got), "x\n\n… (the rest is too long for this page)\n") {
			t.Errorf("%s: it ends in %q", tt.name, got[len(got)-80:])
		}
	}
	if err := New(Options{Getenv: environ("GITHUB_ACTIONS", "true")}).Summary([]byte("x")); err != nil {
		t.Errorf("without a file: %v", err)
	}
	p := New(Options{Getenv: environ("GITHUB_ACTIONS", "true", "GITHUB_STEP_SUMMARY", t.TempDir())})
	if err := p.Summary([]byte("x")); err == nil {
		t.Error("a summary that cannot be written is no error")
	}
}
