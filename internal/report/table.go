package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/org/secure-build/internal/finding"
)

// Bounds of what the terminal and the summary show, in characters and lines.
// findings.json has everything.
const (
	maxPathShown        = 120
	maxInstructionShown = 80
	maxReasonShown      = 300
	maxRows             = 50
)

// TableOptions say what the table cannot know from the report.
type TableOptions struct {
	Searched int    // number of secrets that were searched for
	Details  string // where the full list is: a path, or "" for nowhere
}

// Table writes the end of a scan for the terminal: one line if the image is
// clean, else what was found, what was not read, and what to do.
func Table(w io.Writer, r finding.Report, opts TableOptions) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s: %s\n", r.Verdict, outcome(r, opts.Searched))
	findingTable(&b, r, opts)
	unreadTable(&b, r, opts)
	if note := packed(r.Coverage); note != "" {
		fmt.Fprintf(&b, "note: %s", note)
		if opts.Details != "" {
			fmt.Fprintf(&b, "; %s lists them", opts.Details)
		}
		b.WriteString("\n")
	}
	for _, a := range advise(r) {
		fmt.Fprintf(&b, "\nWhat to do about %s", visible(a.secret, maxPathShown))
		if a.origin != "" {
			fmt.Fprintf(&b, " (%s)", visible(a.origin, maxPathShown))
		}
		b.WriteString(":\n")
		for _, step := range a.steps {
			fmt.Fprintf(&b, "  - %s\n", visible(step, maxReasonShown))
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// outcome says in half a sentence what the scan came to.
func outcome(r finding.Report, searched int) string {
	looked := fmt.Sprintf("%s, %s", count(r.Coverage.Blobs, "blob"), size(r.Coverage.Bytes))
	if known := remembered(r.Coverage); known != "" {
		looked += "; " + known
	}
	switch r.Verdict {
	case finding.Clean:
		return fmt.Sprintf("none of %s in %s", count(searched, "secret"), looked)
	case finding.Leaked:
		found := map[string]bool{}
		for _, f := range r.Findings {
			if f.Secret != "" {
				found[f.Secret] = true
			}
		}
		if len(found) == 0 {
			return fmt.Sprintf("%s that looks like a secret (%s searched)", count(len(rows(r)), "place"), looked)
		}
		return fmt.Sprintf("%s in the image, in %s (%s searched)", count(len(found), "secret"), count(len(rows(r)), "place"), looked)
	}
	return fmt.Sprintf("%s could not be read (%s searched)", count(len(r.Coverage.Unread), "part"), looked)
}

// remembered tells what was scanned by an earlier run apart from the rest.
func remembered(c finding.Coverage) string {
	m := c.Remembered
	if m == nil {
		return ""
	}
	return fmt.Sprintf("%d of them (%s) not read again, clean since %s by the same values and rules", m.Blobs, size(m.Bytes), visible(m.Since, 40))
}

// packed says how many archives were not opened.
func packed(c finding.Coverage) string {
	if len(c.Packed) == 0 {
		return ""
	}
	return count(len(c.Packed), "file") + " in layers could not be unpacked (searched as stored)"
}

func findingTable(b *bytes.Buffer, r finding.Report, opts TableOptions) {
	all := rows(r)
	if len(all) == 0 {
		return
	}
	b.WriteString("\n")
	// Lines begin with a column of ours: no CI takes them for a command.
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  SECRET\tENCODING\tWHERE\tINSTRUCTION")
	for _, f := range all[:min(len(all), maxRows)] {
		show := func(s string) string { return visible(s, maxPathShown) }
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\n", show(f.name()), show(f.Encoding),
			f.where(r.Image.Platforms, show), f.instruction(func(s string) string { return visible(s, maxInstructionShown) }))
	}
	_ = t.Flush() // into a buffer
	trimmed := lines(b.String())
	b.Reset()
	b.WriteString(trimmed)
	more(b, len(all)-maxRows, opts)
}

func unreadTable(b *bytes.Buffer, r finding.Report, opts TableOptions) {
	if len(r.Coverage.Unread) == 0 {
		return
	}
	b.WriteString("\nNot read, so not known to be clean:\n")
	for _, u := range r.Coverage.Unread[:min(len(r.Coverage.Unread), maxRows)] {
		fmt.Fprintf(b, "  %s\n", unreadWords(u))
	}
	more(b, len(r.Coverage.Unread)-maxRows, opts)
}

func more(b *bytes.Buffer, n int, opts TableOptions) {
	if n <= 0 {
		return
	}
	fmt.Fprintf(b, "  … and %d more", n)
	if opts.Details != "" {
		fmt.Fprintf(b, ": see %s", opts.Details)
	}
	b.WriteString("\n")
}

// lines takes the blanks off the ends that an empty last column leaves.
func lines(s string) string {
	all := strings.Split(s, "\n")
	for i := range all {
		all[i] = strings.TrimRight(all[i], " ")
	}
	return strings.Join(all, "\n")
}
