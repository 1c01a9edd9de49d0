package gitlab

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/org/secure-build/internal/finding"
)

// Table writes an audit for the terminal: one line a variable that is a secret,
// then what is wrong with it, then the leaves.
func (r Report) Table(w io.Writer) error {
	var b bytes.Buffer
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	open := 0
	for i, row := range r.Variables {
		if i == 0 {
			fmt.Fprintln(t, "VARIABLE\tSCOPE\tIN\tFLAGS\tVERDICT")
		}
		if row.Secret == "" && len(row.Findings) == 0 {
			open++
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", row.Name, row.Scope, row.Owner, row.flags(), row.verdict())
	}
	_ = t.Flush()
	if open > 0 {
		fmt.Fprintf(&b, "%s that nothing shows to be a secret: not listed (--json has them)\n", count(open, "variable"))
	}
	for _, severity := range []finding.Severity{finding.Error, finding.Warning, Note} {
		r.list(&b, severity)
	}
	if len(r.Secrets) > 0 {
		fmt.Fprintln(t, "\nSECRET\tVARIABLE\tSCOPE\tIN\tSTATE")
		for _, l := range r.Secrets {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", oneLine(l.Origin), l.Variable, dash(l.Scope), l.Owner, l.State)
		}
		_ = t.Flush()
	}
	fmt.Fprintf(&b, "\n%s, %s\n", count(len(r.Variables), "variable"), r.Outcome())
	_, err := w.Write(b.Bytes())
	return err
}

// Outcome counts what was found.
func (r Report) Outcome() string {
	return count(r.Errors, "error") + ", " + count(r.Warnings, "warning")
}

// list writes the findings of one severity, those with the same words together.
func (r Report) list(b *bytes.Buffer, severity finding.Severity) {
	var order []Finding
	names := map[Finding][]string{}
	for _, row := range r.Variables {
		for _, f := range row.Findings {
			if f.Severity != severity {
				continue
			}
			if names[f] == nil {
				order = append(order, f)
			}
			names[f] = append(names[f], row.Name)
		}
	}
	for _, f := range order {
		fmt.Fprintf(b, "\n%s: %s: %s\n", f.Severity, shortened(names[f]), f.Message)
		if f.Advice != "" {
			fmt.Fprintf(b, "  %s\n", f.Advice)
		}
	}
}

func (r Row) verdict() string {
	var rules []string
	for _, f := range r.Findings {
		if f.Severity != Note {
			rules = append(rules, f.Rule)
		}
	}
	if rules == nil {
		return "ok"
	}
	return strings.Join(rules, " ")
}

// flags is what GitLab shows as badges.
func (v Variable) flags() string {
	var all []string
	for _, f := range []struct {
		on   bool
		name string
	}{{v.Type == TypeFile, "file"}, {v.Masked && !v.Hidden, "masked"}, {v.Hidden, "hidden"}, {v.Protected, "protected"}, {v.Raw, "raw"}} {
		if f.on {
			all = append(all, f.name)
		}
	}
	return dash(strings.Join(all, ","))
}

// Steps writes a plan for the terminal, what is kept last and in one line.
func Steps(w io.Writer, steps []Step) error {
	var b bytes.Buffer
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ACTION\tVARIABLE\tSCOPE\tFLAGS\tFROM\tCHANGES")
	kept := 0
	for _, s := range steps {
		if s.Action == Keep && s.Note == "" {
			kept++
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", s.Action, s.Name, s.Scope, s.flags(), oneLine(s.Origin), dash(strings.Join(s.Changes, ",")))
	}
	_ = t.Flush()
	if kept == len(steps) {
		b.Reset()
	}
	if kept > 0 {
		fmt.Fprintf(&b, "%s as they should be\n", count(kept, "variable"))
	}
	for _, s := range steps {
		if s.Note != "" {
			fmt.Fprintf(&b, "%s: %s\n", s.Name, oneLine(s.Note))
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
