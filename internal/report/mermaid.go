package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/org/secure-build/internal/finding"
)

// mermaid draws the run as GitHub and GitLab show it in Markdown: each stage
// with what it came to, up to where it ended. Whatever is in the picture is our
// own word or a number, since Mermaid's syntax has no escape that is sure.
func (r Run) mermaid() string {
	rep := r.Findings
	var b strings.Builder
	b.WriteString("\n```mermaid\nflowchart LR\n")
	previous := ""
	stage := func(name, class string, lines ...string) {
		if took := r.took(name); took != "" {
			lines = append(lines, took)
		}
		fmt.Fprintf(&b, "  %s[\"%s\"]:::%s\n", name, strings.Join(lines, "<br/>"), class)
		if previous != "" {
			fmt.Fprintf(&b, "  %s --> %s\n", previous, name)
		}
		previous = name
	}
	stage("decrypt", "good", count(len(r.Secrets), "secret"))
	if place := r.Memory.place(); place != "" {
		stage("keep", map[bool]string{true: "doubt", false: "good"}[r.Memory.Kind == "disk"], place)
	}
	if len(r.Timings) > 0 {
		stage("build", "good", "build")
	}
	searched := fmt.Sprintf("%s, %s", count(rep.Coverage.Blobs, "blob"), size(rep.Coverage.Bytes))
	switch n := len(rows(rep)); rep.Verdict {
	case finding.Clean:
		stage("scan", "good", "scan: clean", searched)
	case finding.Leaked:
		stage("scan", "bad", "scan: leaked", count(n, "place"), searched)
	default:
		stage("scan", "doubt", "scan: incomplete", fmt.Sprintf("%d not read", len(rep.Coverage.Unread)), searched)
	}
	switch {
	case r.Pushed:
		stage("push", "good", "pushed", count(len(r.Tags), "tag"))
	case rep.Verdict != finding.Clean:
		stage("push", "bad", "not pushed")
	case len(r.Tags) > 0:
		stage("push", "none", "not pushed")
	}
	b.WriteString("  classDef good fill:#dafbe1,stroke:#1a7f37,color:#1f2328\n" +
		"  classDef bad fill:#ffebe9,stroke:#cf222e,color:#1f2328\n" +
		"  classDef doubt fill:#fff8c5,stroke:#9a6700,color:#1f2328\n" +
		"  classDef none fill:#f6f8fa,stroke:#6e7781,color:#1f2328\n```\n")
	return b.String()
}

// took is how long a stage was at work, "" if that is not known.
func (r Run) took(stage string) string {
	for _, t := range r.Timings {
		if t.Stage == stage {
			return fmt.Sprintf("%.1f s", t.Took.Round(100*time.Millisecond).Seconds())
		}
	}
	return ""
}

// place says in our own words what kind of memory held the secrets.
func (m Memory) place() string {
	return map[string]string{"memfd": "anonymous memory", "tmpfs": "files in memory", "disk": "files on disk"}[m.Kind]
}
