package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	"github.com/org/secure-build/internal/finding"
)

func log(t *testing.T, run Run) *sarif.Run {
	t.Helper()
	text, err := redacted(run, same).sarif()
	if err != nil {
		t.Fatal(err)
	}
	out, err := sarif.FromBytes(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := out.Validate(); err != nil {
		t.Fatal(err)
	}
	return out.Runs[0]
}

func TestSARIF(t *testing.T) {
	run := leaked()
	got := log(t, run)
	if *got.AutomationDetails.ID != "secure-build/docker/app.Dockerfile/" {
		t.Errorf("got category %q", *got.AutomationDetails.ID)
	}
	if *got.Invocations[0].ExecutionSuccessful || len(got.Invocations[0].ToolExecutionNotifications) != 1 {
		t.Error("a part that was not read is no success")
	}
	rules := got.Tool.Driver.Rules
	if len(rules) != 1 || *rules[0].ID != "known-value" || !strings.Contains(*rules[0].Help.Text, "--mount=type=secret") {
		t.Errorf("got rules %+v", rules)
	}
	if len(got.Results) != len(run.Findings.Findings) {
		t.Fatalf("got %d results", len(got.Results))
	}
	for i, r := range got.Results {
		f := run.Findings.Findings[i]
		where := r.Locations[0]
		if *r.RuleID != f.Rule || r.RuleIndex != 0 || r.Level != "error" || r.PartialFingerprints["secureBuild/v1"] != f.Fingerprint || !strings.HasPrefix(r.PartialFingerprints["primaryLocationLineHash"], f.Fingerprint) {
			t.Errorf("result %d: got %+v", i, r)
		}
		if uri, line := *where.PhysicalLocation.ArtifactLocation.URI, *where.PhysicalLocation.Region.StartLine; uri != "docker/app.Dockerfile" || line != max(1, f.Line) {
			t.Errorf("result %d: got %s:%d", i, uri, line)
		}
		if name := *where.LogicalLocations[0].FullyQualifiedName; !strings.HasPrefix(name, f.Platform) || !strings.Contains(name, f.Path) || !strings.Contains(name, f.Field) {
			t.Errorf("result %d: got %s", i, name)
		}
	}
}

// TestSARIFOfNothing: GitHub closes old alerts only if there is a list of
// results, however empty.
func TestSARIFOfNothing(t *testing.T) {
	text, err := clean().sarif()
	if err != nil || !bytes.Contains(text, []byte(`"results":[]`)) {
		t.Errorf("got %v, %s", err, text)
	}
	if got := log(t, clean()); !*got.Invocations[0].ExecutionSuccessful {
		t.Error("a clean scan is a success")
	}
}

func TestSARIFOfPatterns(t *testing.T) {
	got := log(t, patterns())
	levels := map[string]string{}
	for _, r := range got.Results {
		levels[*r.RuleID] = r.Level
		if id := *got.Tool.Driver.Rules[r.RuleIndex].ID; id != *r.RuleID {
			t.Errorf("%s points to the rule %s", *r.RuleID, id)
		}
	}
	if levels["github-pat"] != "error" || levels["dot-env-file"] != "warning" {
		t.Errorf("got %v", levels)
	}
}

// TestDockerfileIsRelative: no report says where on a machine a file was.
func TestDockerfileIsRelative(t *testing.T) {
	for given, want := range map[string]string{
		"": "Dockerfile", "Dockerfile": "Dockerfile", "./a/./b": "a/b", "a/../b": "b", "a b/%41": "a%20b/%2541",
		"/home/me/Dockerfile": "Dockerfile", "../x/Dockerfile": "Dockerfile", "c:d": "./c:d",
	} {
		run := leaked()
		run.Dockerfile = given
		if got := *log(t, run).Results[0].Locations[0].PhysicalLocation.ArtifactLocation.URI; got != want {
			t.Errorf("%q: got %q, want %q", given, got, want)
		}
	}
}

// TestPlacesAreJoined: one place is one alert, however often a value is there,
// and what blocks comes first.
func TestPlacesAreJoined(t *testing.T) {
	run := leaked()
	warning := run.Findings.Findings[0]
	warning.Rule, warning.Severity = "dot-env-file", finding.Warning
	warning.Sign()
	again := run.Findings.Findings[1]
	again.Offset++
	run.Findings.Findings = append([]finding.Finding{warning}, append(run.Findings.Findings, again)...)
	got := log(t, run).Results
	if len(got) != 7 || got[6].Level != "warning" || *got[1].OccurrenceCount != 2 {
		t.Errorf("got %d results, %+v", len(got), got)
	}
}

// TestGitHubsBounds: what is over 25,000 results or 10 MB is left out, and the
// log says so. The names are random, so that nothing is compressed away.
func TestGitHubsBounds(t *testing.T) {
	for name, tt := range map[string]struct{ findings, length, atLeast, atMost int }{
		"many": {30_000, 10, 25_000, 25_000}, "long": {25_000, 1000, 5_000, 24_999},
	} {
		if testing.Short() && name == "long" { // some seconds
			continue
		}
		t.Run(name, func(t *testing.T) {
			run, random := clean(), rand.New(rand.NewPCG(1, 2))
			for i := range tt.findings {
				b := make([]byte, tt.length)
				for j := range b {
					b[j] = byte('!' + random.IntN(90))
				}
				f := finding.Finding{Rule: finding.RuleKnownValue, Severity: finding.Error, Secret: "s", Layer: i % 100, Path: string(b), Instruction: string(b), Fingerprint: fmt.Sprintf("%032x", i)}
				run.Findings.Findings = append(run.Findings.Findings, f)
			}
			run.Findings.Judge()
			began := time.Now()
			text, err := run.sarif()
			if err != nil {
				t.Fatal(err)
			}
			var got struct {
				Runs []struct {
					Results     []json.RawMessage
					Invocations []struct {
						ToolExecutionNotifications []struct{ Message struct{ Text string } }
					}
				}
			}
			if err := json.Unmarshal(text, &got); err != nil {
				t.Fatal(err)
			}
			n, size := len(got.Runs[0].Results), gzipped(text)
			t.Logf("%d results, %d bytes, %d gzipped, in %v", n, len(text), size, time.Since(began))
			if n < tt.atLeast || n > tt.atMost || size > maxSARIFBytes {
				t.Errorf("got %d results in %d bytes", n, size)
			}
			want := fmt.Sprintf("%d findings not in this log", tt.findings-n)
			if notes := got.Runs[0].Invocations[0].ToolExecutionNotifications; len(notes) != 1 || !strings.Contains(notes[0].Message.Text, want) {
				t.Errorf("got %+v, want %q", notes, want)
			}
		})
	}
}

// TestMessagesAreNoSyntax: no name is a placeholder or a link.
func TestMessagesAreNoSyntax(t *testing.T) {
	for _, r := range log(t, hugeNames()).Results {
		text := *r.Message.Text
		if bare := strings.ReplaceAll(strings.ReplaceAll(text, "{{", ""), "}}", ""); strings.ContainsAny(bare, "{}\n\x1b\u202e") || strings.Contains(text, "](") || len(text) > 5000 {
			t.Errorf("got %q", text)
		}
	}
}

// tool is a program that make tools has built or installed.
func tool(t *testing.T, name ...string) string {
	t.Helper()
	dir := os.Getenv("SECURE_BUILD_TOOLS")
	if dir == "" {
		dir = filepath.Join("..", "..", "bin", "tools")
	}
	path, err := filepath.Abs(filepath.Join(append([]string{dir}, name...)...))
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Fatalf("%v (make test installs it)", err)
	}
	return path
}

// multitool validates a log by Microsoft's own validator, with GitHub's rules
// on top, and returns what it said.
func multitool(t *testing.T, files ...string) (said string, ok bool) {
	t.Helper()
	cmd := exec.Command(tool(t, "node", "node_modules", "@microsoft", "sarif-multitool-linux", "Sarif.Multitool"),
		append([]string{"validate", "--rule-kind", "Sarif;Ghas"}, files...)...)
	cmd.Env = append(os.Environ(), "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1") // it needs no ICU then
	out, err := cmd.CombinedOutput()
	if !bytes.Contains(out, fmt.Appendf(nil, "%d files scanned", len(files))) {
		t.Fatalf("%v: %s", err, out)
	}
	said = string(out)
	return said, err == nil && !strings.Contains(said, ": error ") && !strings.Contains(said, ": warning ")
}

func TestSARIFMultitool(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("Microsoft publishes it for amd64 only")
	}
	var files []string
	for _, run := range runs() {
		files = append(files, filepath.Join(written(t, run), SARIFFile))
	}
	if said, ok := multitool(t, files...); !ok {
		t.Error(said)
	}
	broken := filepath.Join(t.TempDir(), "broken.sarif")
	text := bytes.Replace(read(t, written(t, leaked()), SARIFFile), []byte(`"startLine":1`), []byte(`"startLine":0`), 1)
	if err := os.WriteFile(broken, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if said, ok := multitool(t, broken); ok {
		t.Errorf("a broken log is valid: %s", said)
	}
}
