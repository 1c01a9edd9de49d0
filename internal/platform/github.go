package platform

import (
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/index"
	"github.com/org/secure-build/internal/secret"
)

const (
	maxOutput  = 1 << 20 // bytes of one output; a job has no more for all of its
	maxSummary = 1 << 20 // bytes of the summary of one step; more is not shown at all
)

// github is a step of GitHub Actions. It speaks to the runner by workflow
// commands, which are lines of the log
// (https://docs.github.com/actions/reference/workflow-commands-for-github-actions),
// and by files that it appends to.
type github struct {
	log     io.Writer
	raw     io.Writer
	path    string // of GITHUB_OUTPUT
	summary string // of GITHUB_STEP_SUMMARY
	debug   bool

	mu    sync.Mutex
	known *index.Index
	fence string // the token that ends the fence; "" when there is none
	group bool   // one is open
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
	return g.command(g.raw, g.fence != "", lines...)
}

// Section opens a group, and a fence in it: until the fence is lifted by a token
// that nobody can know, the runner obeys no command, so that the output of a
// build cannot forge one. Without a title there is the fence alone. Groups do
// not nest, so an inner section is a heading.
func (g *github) Section(title string) (end func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	fenced := g.fence != ""
	var begin, over []string
	switch {
	case title == "" && fenced:
		return func() {}
	case title != "" && g.group:
		_, _ = io.WriteString(g.log, heading(title)+"\n")
		return func() {}
	case title != "":
		g.group = true
		begin, over = []string{"::group::" + escapeData(heading(title))}, []string{"::endgroup::"}
	}
	_ = g.command(g.log, true, begin...)
	return sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		_ = g.command(g.log, fenced, over...)
		g.group = g.group && title == ""
	})
}

// command writes commands in one go, outside the fence if there is one. After
// them there is a fence, with another token, or none.
func (g *github) command(w io.Writer, fenced bool, lines ...string) error {
	if len(lines) == 0 && fenced == (g.fence != "") {
		return nil
	}
	var text strings.Builder
	if g.fence != "" {
		// A command has to be at the start of a line, and what was printed before
		// need not have ended its last one.
		text.WriteString("\n::" + g.fence + "::\n")
		g.fence = ""
	}
	for _, l := range lines {
		text.WriteString(l + "\n")
	}
	if fenced {
		g.fence = rand.Text()
		text.WriteString("::stop-commands::" + g.fence + "\n")
	}
	if _, err := io.WriteString(w, text.String()); err != nil {
		return fmt.Errorf("writing workflow commands: %w", err)
	}
	return nil
}

// say writes commands and leaves the fence as it is.
func (g *github) say(lines ...string) error { return g.command(g.log, g.fence != "", lines...) }

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
