package platform

import (
	"slices"
	"strings"
	"unicode"
)

// A GitHubRunner is a model of how the runner of GitHub Actions reads the log of
// a step: lines, commands among them in both forms, masks (actions/runner,
// ActionCommand.cs and ActionCommandManager.cs).
type GitHubRunner struct {
	Masker   *GitHubMasker
	Commands []Command // that were obeyed, in order
	Errors   []error   // each of them fails the step

	stop string // the token that resumes commands; "" when none were stopped
}

// A Command is a workflow command.
type Command struct {
	Name       string
	Properties map[string]string
	Data       string
}

// registered are the commands that the runner knows.
const registered = `add-mask add-matcher add-path debug echo endgroup error group notice
	remove-matcher save-state set-env set-output stop-commands warning`

// NewGitHubRunner returns the runner at the start of a step.
func NewGitHubRunner() *GitHubRunner { return &GitHubRunner{Masker: NewGitHubMasker()} }

// Read reads what a step prints, in whole lines, and returns the log that
// everyone sees. Commands are left out of it.
func (r *GitHubRunner) Read(printed []byte) []byte {
	var shown strings.Builder
	text := strings.ReplaceAll(decoded(string(printed)), "\r\n", "\n")
	for line := range strings.Lines(strings.ReplaceAll(text, "\r", "\n")) { // as .NET's ReadLine ends a line
		line = strings.TrimSuffix(line, "\n")
		if c, ok := r.parse(line); ok && r.obey(c) {
			continue
		}
		shown.Write(r.Masker.Mask([]byte(line + "\n")))
	}
	return []byte(shown.String())
}

// obey says whether a line was a command for the runner.
func (r *GitHubRunner) obey(c Command) bool {
	name := strings.ToLower(c.Name)
	switch {
	case r.stop != "" && name == strings.ToLower(r.stop):
		r.stop = ""
		return true
	case r.stop != "":
		return false
	case name == "stop-commands":
		r.stop = c.Data
	case name == "add-mask":
		if err := r.Masker.AddMask(c.Data); err != nil {
			r.Errors = append(r.Errors, err)
		}
		return true
	}
	r.Commands = append(r.Commands, c)
	return true
}

// parse tells a command: ::name key=value,key=value::data at the start of a
// line, or ##[name key=value;key=value]data anywhere in it.
func (r *GitHubRunner) parse(line string) (Command, bool) {
	if info, ok := strings.CutPrefix(strings.TrimLeftFunc(line, unicode.IsSpace), "::"); ok {
		if info, data, ok := strings.Cut(info, "::"); ok {
			if c, ok := r.command(info, ",", unescapeProperty); ok {
				c.Data = unescapeData(data)
				return c, true
			}
		}
	}
	if _, info, ok := strings.Cut(line, "##["); ok {
		if info, data, ok := strings.Cut(info, "]"); ok {
			c, ok := r.command(info, ";", unescapeOld)
			c.Data = unescapeOld(data)
			return c, ok
		}
	}
	return Command{}, false
}

func (r *GitHubRunner) command(info, separator string, unescape func(string) string) (Command, bool) {
	name, properties, _ := strings.Cut(info, " ")
	c := Command{Name: name, Properties: map[string]string{}}
	known := slices.Contains(strings.Fields(registered), strings.ToLower(name))
	if !known && (r.stop == "" || !strings.EqualFold(name, r.stop)) {
		return c, false
	}
	for p := range strings.SplitSeq(strings.TrimSpace(properties), separator) {
		if key, value, ok := strings.Cut(p, "="); ok && key != "" && value != "" {
			c.Properties[key] = unescape(value)
		}
	}
	return c, true
}

// The runner undoes its escapes one after the other, the percent sign last.
func unescape(s string, pairs ...string) string {
	for i := 0; i+1 < len(pairs); i += 2 {
		s = strings.ReplaceAll(s, pairs[i], pairs[i+1])
	}
	return s
}

func unescapeData(s string) string { return unescape(s, "%0D", "\r", "%0A", "\n", "%25", "%") }

func unescapeProperty(s string) string {
	return unescape(s, "%0D", "\r", "%0A", "\n", "%3A", ":", "%2C", ",", "%25", "%")
}

func unescapeOld(s string) string {
	return unescape(s, "%3B", ";", "%0D", "\r", "%0A", "\n", "%5D", "]", "%25", "%")
}
