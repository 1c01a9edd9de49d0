package report

import (
	"fmt"
	"strings"

	"github.com/org/secure-build/internal/finding"
)

// GitLab's reports, by the schemas that it validates them against
// (gitlab-org/security-products/security-report-schemas, and the fields that
// its Code Quality documentation lists). Their raw_source_code_extract is left
// out: it would carry the secret.

// gitLabSchema is the version of the report schemas that the fields are of.
const gitLabSchema = "15.2.1"

// Bounds of GitLab: a name of 255 characters and a solution of 7,000; the
// others are ours, since a report is read whole into memory.
const (
	maxGitLabName     = 255
	maxGitLabSolution = 7000
	maxGitLabFindings = 10_000
	maxMessages       = 100
)

type gitLabReport struct {
	Version         string                `json:"version"`
	Scan            gitLabScan            `json:"scan"`
	Vulnerabilities []gitLabVulnerability `json:"vulnerabilities"`
}

type gitLabScan struct {
	Analyzer  gitLabTool      `json:"analyzer"`
	Scanner   gitLabTool      `json:"scanner"`
	StartTime string          `json:"start_time"` // UTC, without a zone
	EndTime   string          `json:"end_time"`
	Status    string          `json:"status"`
	Type      string          `json:"type"`
	Messages  []gitLabMessage `json:"messages,omitempty"`
}

type gitLabTool struct {
	ID      string     `json:"id"`
	Name    string     `json:"name"`
	Version string     `json:"version"`
	Vendor  gitLabName `json:"vendor"`
}

type gitLabName struct {
	Name string `json:"name"`
}

type gitLabMessage struct {
	Level string `json:"level"`
	Value string `json:"value"`
}

type gitLabVulnerability struct {
	ID          string             `json:"id"`
	Name        string             `json:"name"`
	Description string             `json:"description"` // Markdown
	Severity    string             `json:"severity"`
	Solution    string             `json:"solution"`
	Identifiers []gitLabIdentifier `json:"identifiers"`
	Location    gitLabLocation     `json:"location"`
}

type gitLabIdentifier struct {
	Type  string `json:"type"`
	Name  string `json:"name"`
	Value string `json:"value"`
}

type gitLabLocation struct {
	File      string       `json:"file"`
	StartLine int          `json:"start_line"`
	EndLine   int          `json:"end_line"`
	Commit    gitLabCommit `json:"commit"`
}

type gitLabCommit struct {
	SHA string `json:"sha"`
}

// gitLabSecrets is the report that GitLab reads as artifacts:reports:secret_detection.
func (r Run) gitLabSecrets() gitLabReport {
	name, version := r.version()
	tool := gitLabTool{ID: name, Name: name, Version: version, Vendor: gitLabName{name}}
	out := gitLabReport{Version: gitLabSchema, Vulnerabilities: []gitLabVulnerability{}, Scan: gitLabScan{
		Analyzer: tool, Scanner: tool, Status: "success", Type: "secret_detection",
		StartTime: r.Started.UTC().Format("2006-01-02T15:04:05"), EndTime: r.ended().UTC().Format("2006-01-02T15:04:05"),
	}}
	if len(r.Findings.Coverage.Unread) > 0 || r.Findings.Verdict == finding.Incomplete {
		out.Scan.Status = "failure" // what was not read is not clean
	}
	all := places(r.Findings)
	out.Scan.Messages = r.gitLabMessages(len(all) - maxGitLabFindings)
	for _, p := range all[:min(len(all), maxGitLabFindings)] {
		out.Vulnerabilities = append(out.Vulnerabilities, r.gitLabVulnerability(p))
	}
	return out
}

func (r Run) gitLabMessages(missing int) []gitLabMessage {
	var out []gitLabMessage
	if missing > 0 {
		out = append(out, gitLabMessage{"warn", fmt.Sprintf("%s not in this report: see %s", count(missing, "finding"), FindingsFile)})
	}
	for i, u := range r.Findings.Coverage.Unread {
		if i == maxMessages {
			out = append(out, gitLabMessage{"warn", fmt.Sprintf("%d more parts were not read: see %s", len(r.Findings.Coverage.Unread)-i, FindingsFile)})
			break
		}
		out = append(out, gitLabMessage{"warn", unreadWords(u)})
	}
	return out
}

func (r Run) gitLabVulnerability(p place) gitLabVulnerability {
	rule := r.rule(p.Rule)
	show := func(s string) string { return code(s, maxReasonShown) }
	text := p.words(r, show) + "."
	if p.Instruction != "" {
		text += " It came with the instruction " + show(p.Instruction) + "."
	}
	severity := "Critical"
	if p.Severity == finding.Warning {
		severity = "Medium"
	}
	return gitLabVulnerability{
		ID: uuid(p.Fingerprint), Name: visible(rule.title, maxGitLabName), Description: text, Severity: severity,
		Solution: visible(remedies(p.Finding), maxGitLabSolution),
		// GitLab takes two findings on one line for one if their first identifier
		// is the same, and all of a layer are on one line.
		Identifiers: []gitLabIdentifier{
			{"secure_build_fingerprint", "secure-build finding " + p.Fingerprint, p.Fingerprint},
			{"secure_build_rule", "secure-build rule " + visible(p.Rule, maxPathShown), visible(p.Rule, maxPathShown)},
		},
		Location: gitLabLocation{File: visible(r.file(), maxFile), StartLine: p.line(), EndLine: p.line(), Commit: gitLabCommit{r.commit()}},
	}
}

// commit is the commit's name, or forty zeros: GitLab asks for one.
func (r Run) commit() string {
	if r.Commit == "" {
		return strings.Repeat("0", 40)
	}
	return visible(r.Commit, maxPathShown)
}

// uuid writes 32 hexadecimal digits as GitLab likes its ids.
func uuid(fingerprint string) string {
	if len(fingerprint) != 32 {
		return fingerprint
	}
	f := fingerprint
	return strings.Join([]string{f[:8], f[8:12], f[12:16], f[16:20], f[20:]}, "-")
}

type codeQualityIssue struct {
	Description string              `json:"description"`
	CheckName   string              `json:"check_name"`
	Fingerprint string              `json:"fingerprint"`
	Severity    string              `json:"severity"`
	Location    codeQualityLocation `json:"location"`
}

type codeQualityLocation struct {
	Path  string           `json:"path"`
	Lines codeQualityLines `json:"lines"`
}

type codeQualityLines struct {
	Begin int `json:"begin"`
}

// gitLabCodeQuality is the report that every tier shows in a merge request, as
// artifacts:reports:codequality.
func (r Run) gitLabCodeQuality() []codeQualityIssue {
	out := []codeQualityIssue{}
	all := places(r.Findings)
	for _, p := range all[:min(len(all), maxGitLabFindings)] {
		severity := "blocker"
		if p.Severity == finding.Warning {
			severity = "minor"
		}
		out = append(out, codeQualityIssue{
			Description: p.words(r, func(s string) string { return visible(s, maxPathShown) }),
			CheckName:   visible(p.Rule, maxPathShown), Fingerprint: p.Fingerprint, Severity: severity,
			Location: codeQualityLocation{visible(r.file(), maxFile), codeQualityLines{p.line()}},
		})
	}
	for i, u := range r.Findings.Coverage.Unread {
		if i == maxMessages {
			break
		}
		out = append(out, codeQualityIssue{
			Description: "Not read, so not known to be clean: " + unreadWords(u), CheckName: "unread",
			Fingerprint: unreadFingerprint(u), Severity: "major",
			Location: codeQualityLocation{visible(r.file(), maxFile), codeQualityLines{1}},
		})
	}
	return out
}
