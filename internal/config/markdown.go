package config

import (
	"fmt"
	"strings"
)

// The lines of a document between which a generated table stands.
const (
	MarkdownBegin = "<!-- options -->"
	MarkdownEnd   = "<!-- /options -->"
)

// Markdown is a table of options as the README shows it, one table a group.
func Markdown(table []Option) string {
	var b strings.Builder
	for _, group := range Groups {
		rows := 0
		for _, o := range table {
			if o.Group != group {
				continue
			}
			if rows++; rows == 1 {
				fmt.Fprintf(&b, "\n**%s**\n\n| flag | what it does |\n|---|---|\n", group)
			}
			fmt.Fprintf(&b, "| %s | %s |\n", cell("`"+o.usage()+"`"), cell(o.describe()))
		}
	}
	return strings.TrimPrefix(b.String(), "\n")
}

// usage is the flag as one types it.
func (o Option) usage() string {
	if o.EnvOnly {
		return o.Env() + "=" + o.Arg
	}
	s := "--" + o.Flag
	if o.Short != "" {
		s = "-" + o.Short + ", " + s
	}
	if o.Arg != "" {
		s += " " + o.Arg
	}
	return s
}

// describe is the usage with what else the row says.
func (o Option) describe() string {
	s := o.Usage
	if o.Default != "" {
		s += " (default: " + o.Default + ")"
	}
	if o.EnvOnly {
		return s + "; has no flag"
	}
	if o.Kind == List {
		s += "; may be given several times"
	}
	return s
}

// cell escapes what would end a cell of a Markdown table (also inside code).
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// Splice puts a generated table between the markers of a document.
func Splice(document, table string) (string, error) {
	before, rest, ok := strings.Cut(document, MarkdownBegin+"\n")
	_, after, ok2 := strings.Cut(rest, MarkdownEnd)
	if !ok || !ok2 {
		return "", fmt.Errorf("finding the table of options: want %s and %s on lines of their own", MarkdownBegin, MarkdownEnd)
	}
	return before + MarkdownBegin + "\n" + table + MarkdownEnd + after, nil
}
