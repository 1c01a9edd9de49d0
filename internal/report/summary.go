package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/org/secure-build/internal/finding"
)

// summary writes a run as Markdown, for a job's page.
func (r Run) summary() string {
	var b strings.Builder
	rep := r.Findings
	fmt.Fprintf(&b, "# secure-build: %s\n\n", rep.Verdict)
	fmt.Fprintf(&b, "%s; %s.\n\n", capital(outcome(rep, len(r.searched()))), r.pushed())
	if r.Notice != "" {
		fmt.Fprintf(&b, "%s\n\n", code(r.Notice, maxReasonShown))
	}
	if r.Error != "" {
		fmt.Fprintf(&b, "The run ended early: %s\n\n", code(r.Error, maxReasonShown))
	}
	b.WriteString("| | |\n|---|---|\n")
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(&b, "| %s | %s |\n", name, text)
		}
	}
	line("Image", codes(rep.Image.Digest))
	line("Platforms", codes(rep.Image.Platforms...))
	line("Tags", codes(r.Tags...))
	line("Searched", fmt.Sprintf("%s, %s uncompressed, %d not read", count(rep.Coverage.Blobs, "blob"), size(rep.Coverage.Bytes), len(rep.Coverage.Unread)))
	line("Remembered", remembered(rep.Coverage))
	line("Not unpacked", packed(rep.Coverage))
	line("Searched for", r.searchedFor())
	line("Not searched for", codes(r.Weak...))
	line("Secrets were kept in", r.Memory.words())
	line("Engine", codes(r.Engine))
	line("Tool", codes(r.Tool))

	b.WriteString(r.mermaid())
	r.summaryFindings(&b)
	if len(rep.Coverage.Unread) > 0 {
		b.WriteString("\n## Not read\n\n| blob | reason |\n|---|---|\n")
		for _, u := range rep.Coverage.Unread[:min(len(rep.Coverage.Unread), maxRows)] {
			fmt.Fprintf(&b, "| %s | %s |\n", codes(u.Blob, u.Path), code(u.Reason, maxReasonShown))
		}
		r.summaryMore(&b, len(rep.Coverage.Unread)-maxRows)
	}
	if len(r.Timings) > 0 {
		b.WriteString("\n## Time\n\n| stage | seconds |\n|---|---:|\n")
		for _, t := range r.Timings {
			fmt.Fprintf(&b, "| %s | %.1f |\n", code(t.name(), maxPathShown), t.Took.Round(100*time.Millisecond).Seconds())
		}
	}
	return b.String()
}

// Failure is the summary of a run that ended before there was anything to
// report: why, and what to do.
func Failure(tool, reason string, hints []string, redact func([]byte) []byte) []byte {
	show := func(s string) string { return code(string(redact([]byte(s))), maxReasonShown) }
	var b strings.Builder
	fmt.Fprintf(&b, "# secure-build: failed\n\n%s\n\nNothing was scanned, and nothing was pushed.\n", show(reason))
	for _, h := range hints {
		fmt.Fprintf(&b, "\n- %s", show(h))
	}
	fmt.Fprintf(&b, "\n\n%s\n", show(tool))
	return redact([]byte(b.String()))
}

// Checked is the summary of a run that was to check, and did no more: why.
func Checked(why string, redact func([]byte) []byte) []byte {
	text := "# secure-build: checked\n\nThe Dockerfile and the secrets fit.\n\n" + code(string(redact([]byte(why))), 2*maxReasonShown) + "\n"
	return redact([]byte(text))
}

func (r Run) summaryFindings(b *strings.Builder) {
	all := rows(r.Findings)
	if len(all) == 0 {
		return
	}
	b.WriteString("\n## Findings\n\n| secret | encoding | where | instruction |\n|---|---|---|---|\n")
	show := func(s string) string { return code(s, maxPathShown) }
	for _, f := range all[:min(len(all), maxRows)] {
		instruction := f.instruction(func(s string) string { return code(s, maxInstructionShown) })
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", show(f.name()), show(f.Encoding), f.where(r.Findings.Image.Platforms, show), instruction)
	}
	r.summaryMore(b, len(all)-maxRows)
	b.WriteString("\n## What to do\n")
	for _, a := range advise(r.Findings) {
		fmt.Fprintf(b, "\n%s:\n\n", Secret{a.secret, a.origin}.words())
		for _, step := range a.steps {
			fmt.Fprintf(b, "- %s\n", strings.ReplaceAll(step, "RUN --mount=type=secret,id="+a.secret, show("RUN --mount=type=secret,id="+a.secret)))
		}
	}
}

func (r Run) summaryMore(b *strings.Builder, n int) {
	if n > 0 {
		fmt.Fprintf(b, "\n… and %d more: see %s.\n", n, FindingsFile)
	}
}

func (r Run) pushed() string {
	switch {
	case r.Pushed:
		return "pushed"
	case r.Findings.Verdict != finding.Clean:
		return "nothing was pushed"
	case r.Error != "" && len(r.Tags) > 0:
		return "not pushed, or not completely"
	}
	return "not pushed"
}

func (r Run) searchedFor() string {
	searched := r.searched()
	names := make([]string, 0, len(searched))
	for i, s := range searched {
		if i == maxRows {
			names = append(names, fmt.Sprintf("… and %d more", len(searched)-maxRows))
			break
		}
		names = append(names, s.words())
	}
	return strings.Join(names, ", ")
}

// searched are the secrets that could be searched for.
func (r Run) searched() []Secret {
	var out []Secret
	for _, s := range r.Secrets {
		if !slices.Contains(r.Weak, s.ID) {
			out = append(out, s)
		}
	}
	return out
}

func (s Secret) words() string {
	if s.Origin == "" {
		return codes(s.ID)
	}
	return codes(s.ID) + " (" + codes(s.Origin) + ")"
}

// words says what the secrets were kept in, and what became of them.
func (m Memory) words() string {
	if m.Kind == "" {
		return ""
	}
	text := code(m.Kind, maxPathShown)
	if m.Swap {
		text += ", which may have been swapped out"
	}
	if m.End != "" {
		text += "; at the end: " + code(m.End, maxReasonShown)
	}
	if m.AfterKill != "" {
		text += "; after a SIGKILL: " + code(m.AfterKill, maxReasonShown)
	}
	return text
}

// codes writes a list, without what is empty.
func codes(list ...string) string {
	var out []string
	for _, s := range list {
		if s != "" {
			out = append(out, code(s, maxPathShown))
		}
	}
	return strings.Join(out, ", ")
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
