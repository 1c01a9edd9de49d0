package platform

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/org/secure-build/internal/finding"
)

// maxAnnotations is how many of one kind a step can show. The runner drops more
// of them in silence.
const maxAnnotations = 10

// Findings writes an annotation for each finding, as far as a step can show
// them, on the line of the Dockerfile where it is known.
func (g *github) Findings(found []finding.Finding, dockerfile string) error {
	notes := make([]Note, 0, len(found))
	for _, f := range found {
		n := Note{Severity: f.Severity, Title: "secret in the image", Text: describe(f)}
		if f.Line > 0 {
			n.File, n.Line = dockerfile, f.Line
		}
		notes = append(notes, n)
	}
	return g.Annotate(notes)
}

// Annotate writes an annotation for each note, those of errors first.
func (g *github) Annotate(notes []Note) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	var lines []string
	for _, severity := range []finding.Severity{finding.Error, finding.Warning} {
		var some []string
		for _, n := range notes {
			if (n.Severity == finding.Warning) == (severity == finding.Warning) {
				some = append(some, annotation(string(severity), n))
			}
		}
		if more := len(some) - maxAnnotations; more > 0 {
			some = append(some[:maxAnnotations-1], fmt.Sprintf("::%s::and %d more: see the log", severity, more+1))
		}
		lines = append(lines, some...)
	}
	return g.say(lines...)
}

// annotation is the command that shows one note.
func annotation(severity string, n Note) string {
	var properties []string
	if n.File != "" {
		properties = append(properties, "file="+escapeProperty(n.File))
		if n.Line > 0 {
			properties = append(properties, "line="+strconv.Itoa(n.Line))
		}
	}
	properties = append(properties, "title="+escapeProperty(heading(n.Title)))
	return "::" + severity + " " + strings.Join(properties, ",") + "::" + escapeData(n.Text)
}

// Summary appends to the step's summary. A text that is too long loses its end,
// at the end of a line: the runner would show nothing of it.
func (g *github) Summary(markdown []byte) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.summary == "" {
		return nil
	}
	room := maxSummary
	if fi, err := os.Stat(g.summary); err == nil {
		room -= int(min(fi.Size(), maxSummary))
	}
	const cut = "\n… (the rest is too long for this page)\n"
	if text := markdown; len(text) >= room {
		text = text[:max(0, room-len(cut)-1)]
		text = text[:bytes.LastIndexByte(text, '\n')+1]
		if len(text) == 0 {
			return nil
		}
		markdown = append(bytes.Clone(text), cut...)
	}
	if err := appendLines(g.summary, string(bytes.ToValidUTF8(markdown, []byte(string(utf8.RuneError))))); err != nil {
		return fmt.Errorf("writing the summary: %w", err)
	}
	return nil
}

// Debug writes a line that the log shows when debug logging is on.
func (g *github) Debug(text string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.debug {
		_ = g.say("::debug::" + escapeData(text))
	}
}

// describe says in one line what was found, and where.
func describe(f finding.Finding) string {
	what := f.Rule
	if f.Secret != "" {
		what = f.Secret
		if f.Origin != "" {
			what += " (" + f.Origin + ")"
		}
	}
	if f.Encoding != "" && f.Encoding != "raw" {
		what += " as " + f.Encoding
	}
	var where []string
	for _, part := range []string{f.Path, f.Field} {
		if part != "" {
			where = append(where, part)
		}
	}
	if f.Layer >= 0 {
		where = append(where, "layer "+strconv.Itoa(f.Layer))
	}
	if f.Platform != "" {
		where = append(where, f.Platform)
	}
	if len(where) == 0 {
		where = []string{f.Blob}
	}
	return what + " in " + strings.Join(where, ", ")
}
