package platform

import (
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/index"
	"github.com/org/secure-build/internal/secret"
)

const (
	maxOutput      = 1 << 20 // bytes of one output; a job has no more for all of its
	maxAnnotations = 10      // of one kind that a step can show
)

// github is a step of GitHub Actions. It speaks to the runner by workflow
// commands, which are lines of the log
// (https://docs.github.com/actions/reference/workflow-commands-for-github-actions).
type github struct {
	log        io.Writer
	raw        io.Writer
	path       string // of GITHUB_OUTPUT
	dockerfile string

	mu    sync.Mutex
	known *index.Index
	fence string // the token that ends the fence; "" when there is none
}

// Mask tells the runner every text to hide: see masks. The lines are written at
// once, and past the redactor, which would hide them from the runner too.
func (g *github) Mask(set secret.Set) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.known = index.Compile(set)
	if g.raw == nil {
		return nil
	}
	var lines []string
	for _, m := range masks(g.known, set) {
		lines = append(lines, "::add-mask::"+escapeData(m))
	}
	return g.command(g.raw, lines...)
}

// Section opens a group, and a fence in it: until the fence is lifted by a token
// that nobody can know, the runner obeys no command, so that the output of a
// build cannot forge one. Groups do not nest, so an inner section is a heading.
func (g *github) Section(title string) (end func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fence != "" {
		_, _ = io.WriteString(g.log, heading(title)+"\n")
		return func() {}
	}
	g.fence = rand.Text()
	_, _ = io.WriteString(g.log, "::group::"+escapeData(heading(title))+"\n::stop-commands::"+g.fence+"\n")
	return sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		// A command has to be at the start of a line, and a build's last line
		// need not end.
		_, _ = io.WriteString(g.log, "\n::"+g.fence+"::\n::endgroup::\n")
		g.fence = ""
	})
}

// command writes commands in one go. A fence is lifted for them, and put up
// again with another token.
func (g *github) command(w io.Writer, lines ...string) error {
	if len(lines) == 0 {
		return nil
	}
	text := strings.Join(lines, "\n") + "\n"
	if g.fence != "" {
		old := g.fence
		g.fence = rand.Text()
		text = "\n::" + old + "::\n" + text + "::stop-commands::" + g.fence + "\n"
	}
	if _, err := io.WriteString(w, text); err != nil {
		return fmt.Errorf("writing workflow commands: %w", err)
	}
	return nil
}

// Findings writes an annotation for each finding, as far as a step can show
// them, on the line of the Dockerfile where it is known.
func (g *github) Findings(found []finding.Finding) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	var lines []string
	for _, severity := range []finding.Severity{finding.Error, finding.Warning} {
		var some []string
		for _, f := range found {
			if (f.Severity == finding.Warning) == (severity == finding.Warning) {
				some = append(some, g.annotation(string(severity), f))
			}
		}
		if more := len(some) - maxAnnotations; more > 0 {
			some = append(some[:maxAnnotations-1], fmt.Sprintf("::%s::and %d more: see the table of findings", severity, more+1))
		}
		lines = append(lines, some...)
	}
	return g.command(g.log, lines...)
}

// annotation is the command that shows one finding.
func (g *github) annotation(severity string, f finding.Finding) string {
	var properties []string
	if f.Line > 0 && g.dockerfile != "" {
		properties = append(properties, "file="+escapeProperty(g.dockerfile), "line="+strconv.Itoa(f.Line))
	}
	properties = append(properties, "title="+escapeProperty("secret in the image"))
	return "::" + severity + " " + strings.Join(properties, ",") + "::" + escapeData(describe(f))
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

// Output adds an output to the file of GITHUB_OUTPUT, between two lines that no
// value can know: with a delimiter that is always the same, a value could end
// itself and go on with another output.
func (g *github) Output(name, value string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := checkOutput(g.known, name, value); err != nil {
		return err
	}
	switch {
	case !plainName(name):
		return fmt.Errorf("writing the output %q: a name has letters, digits, - and _ only", heading(name))
	case !utf8.ValidString(value) || strings.ContainsAny(value, "\x00\r"):
		return fmt.Errorf("writing the output %q: it is not text that the runner reads as it is", name)
	case len(value) > maxOutput:
		return fmt.Errorf("writing the output %q: %d bytes are more than %d", name, len(value), maxOutput)
	case g.path == "":
		return hint.Wrap(fmt.Errorf("writing the output %q: GITHUB_OUTPUT is not set", name), "the runner sets it for each step: hand it on to the container")
	}
	delimiter := "ghadelimiter_" + rand.Text()
	if err := appendLines(g.path, name+"<<"+delimiter+"\n"+value+"\n"+delimiter+"\n"); err != nil {
		return fmt.Errorf("writing the output %q: %w", name, err)
	}
	return nil
}

// appendLines adds lines to a file, on a line of their own even if somebody
// left the last one without an end.
func appendLines(path, text string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	last := make([]byte, 1)
	if info, err := f.Stat(); err == nil && info.Size() > 0 {
		if _, err := f.ReadAt(last, info.Size()-1); err == nil && last[0] != '\n' {
			text = "\n" + text
		}
	}
	if _, err := f.WriteString(text); err != nil {
		return err
	}
	return f.Close()
}

// escapeData and escapeProperty are the runner's escapes (ActionCommand.cs).
// The percent sign goes first.
var (
	dataEscapes     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	propertyEscapes = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

func escapeData(s string) string     { return dataEscapes.Replace(s) }
func escapeProperty(s string) string { return propertyEscapes.Replace(s) }
