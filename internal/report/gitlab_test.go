package report

import (
	"strings"
	"testing"

	"github.com/org/secure-build/internal/finding"
)

func TestGitLabSecrets(t *testing.T) {
	run := leaked()
	got := run.gitLabSecrets()
	if got.Scan.Status != "failure" || len(got.Scan.Messages) != 1 || !strings.Contains(got.Scan.Messages[0].Value, "unexpected EOF") {
		t.Errorf("a part that was not read: got %+v", got.Scan)
	}
	if got.Scan.StartTime != "2026-11-21T12:00:00" || got.Scan.EndTime != "2026-11-21T12:00:13" {
		t.Errorf("got %s to %s", got.Scan.StartTime, got.Scan.EndTime)
	}
	first := map[string]bool{}
	for i, v := range got.Vulnerabilities {
		f := run.Findings.Findings[i]
		if v.Severity != "Critical" || strings.ReplaceAll(v.ID, "-", "") != f.Fingerprint || len(v.ID) != 36 ||
			v.Location.File != "docker/app.Dockerfile" || v.Location.StartLine != max(1, f.Line) || v.Location.Commit.SHA != run.Commit {
			t.Errorf("got %+v", v)
		}
		if first[v.Identifiers[0].Value] {
			t.Errorf("two findings of one line have the first identifier %s: GitLab would show one of them", v.Identifiers[0].Value)
		}
		first[v.Identifiers[0].Value] = true
	}
	if len(first) != len(run.Findings.Findings) {
		t.Errorf("got %d findings", len(first))
	}
}

func TestGitLabSecretsOfAClean(t *testing.T) {
	got := clean().gitLabSecrets()
	if got.Scan.Status != "success" || len(got.Scan.Messages) != 0 || got.Vulnerabilities == nil || len(got.Vulnerabilities) != 0 {
		t.Errorf("got %+v", got)
	}
}

// TestGitLabWithoutCommit: a scan outside of a repository has no commit, and
// GitLab's schema wants one.
func TestGitLabWithoutCommit(t *testing.T) {
	run := patterns()
	run.Commit = ""
	got := run.gitLabSecrets().Vulnerabilities
	if got[0].Location.Commit.SHA != strings.Repeat("0", 40) || got[0].Severity != "Critical" || got[1].Severity != "Medium" {
		t.Errorf("got %+v", got)
	}
}

func TestGitLabCodeQuality(t *testing.T) {
	run := patterns()
	run.Findings.Coverage.Unread = []finding.Unread{{Blob: digest, Reason: "x"}, {Blob: digest, Path: "p", Reason: "x"}}
	got := run.gitLabCodeQuality()
	want := []string{"blocker", "minor", "major", "major"}
	seen := map[string]bool{}
	for i, issue := range got {
		if issue.Severity != want[i] || seen[issue.Fingerprint] || issue.Location.Path != "docker/app.Dockerfile" {
			t.Errorf("issue %d: got %+v", i, issue)
		}
		seen[issue.Fingerprint] = true
	}
	if len(got) != len(want) {
		t.Errorf("got %d issues", len(got))
	}
}

// TestGitLabIsBounded: a report of 30,000 findings says how many it left out.
func TestGitLabIsBounded(t *testing.T) {
	run := clean()
	for i := range 30_000 {
		f := finding.Finding{Rule: finding.RuleKnownValue, Severity: finding.Error, Secret: "s", Layer: i}
		f.Sign()
		run.Findings.Findings = append(run.Findings.Findings, f)
		run.Findings.Coverage.Unread = append(run.Findings.Coverage.Unread, finding.Unread{Blob: digest, Reason: "x"})
	}
	run.Findings.Judge()
	got := run.gitLabSecrets()
	if len(got.Vulnerabilities) != maxGitLabFindings || len(got.Scan.Messages) != maxMessages+2 || !strings.Contains(got.Scan.Messages[0].Value, "20000 findings") {
		t.Errorf("got %d findings, %d messages, %q", len(got.Vulnerabilities), len(got.Scan.Messages), got.Scan.Messages[0].Value)
	}
	if issues := run.gitLabCodeQuality(); len(issues) > maxGitLabFindings+maxMessages {
		t.Errorf("got %d issues", len(issues))
	}
}
