// Package platform says to a CI, in its own words, what has to be masked, where
// a section of the log begins and ends, what was found and what came out.
//
// It also has models of the maskers of these CIs ([GitHubMasker],
// [GitLabMasker]), by which doctor and the tests tell what gets past them.
package platform

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/index"
	"github.com/org/secure-build/internal/secret"
)

// A Platform is where a run takes place. Its methods may be called by several
// goroutines.
type Platform interface {
	// Mask makes the platform hide the values in everything that the job prints
	// from now on, ours and what later steps print. It has to be called before
	// anything else is printed. Only GitHub can; elsewhere nothing is written.
	Mask(secret.Set) error

	// Section opens a section of the log, which ends when end is called. What is
	// printed in it is not trusted. Flush what is buffered before calling end.
	// Without a title it is no section to see: what is printed in it is not
	// trusted, and that is all. Sections may be opened in it.
	Section(title string) (end func())

	// Annotate shows notes where the platform has a place for them beside the
	// log. The same is printed elsewhere.
	Annotate([]Note) error

	// Findings annotates the findings, on the lines of the Dockerfile with this
	// path in the repository.
	Findings(found []finding.Finding, dockerfile string) error

	// Summary shows a Markdown text, which the caller has redacted, on the page
	// of the job.
	Summary(markdown []byte) error

	// Debug prints a line, where somebody has asked for such lines.
	Debug(text string)

	// Output hands a value to later steps or jobs. What cannot be written so
	// that it is read as it is, or holds a secret, is refused.
	Output(name, value string) error
}

// A Note is something to show at a line of the repository.
type Note struct {
	Severity finding.Severity // Error or Warning
	File     string           // its path in the repository, or ""
	Line     int              // from 1; 0 where no line is to blame
	Title    string
	Text     string
}

// A Kind is a kind of platform.
type Kind string

const (
	GitHub   Kind = "github"
	GitLab   Kind = "gitlab"
	Terminal Kind = "terminal"
)

// Detect says where the process runs. GitLab goes first, since masking there as
// on GitHub would print the values in the clear.
func Detect(getenv func(string) string) Kind {
	switch {
	case getenv("GITLAB_CI") != "": // gitlab-ci-local sets it to false
		return GitLab
	case getenv("GITHUB_ACTIONS") == "true":
		return GitHub
	}
	return Terminal
}

// Options is what a Platform is given of the process.
type Options struct {
	Getenv func(string) string // as os.Getenv
	Log    io.Writer           // the log, through the redactor

	// Raw is the same stream as Log, past the redactor, which would mask the
	// very values that the runner has to be told. It is used for GitHub's masks
	// and nothing else. Nil if what is printed does not go to the runner (but to
	// a file that nobody masks, say): then there are no masks.
	Raw io.Writer

	Dotenv string           // the file of GitLab's dotenv report; without it there are no outputs
	Now    func() time.Time // as time.Now, which is taken if it is nil
}

// New returns the Platform that Detect finds.
func New(o Options) Platform {
	if o.Log == nil {
		o.Log = io.Discard
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	switch Detect(o.Getenv) {
	case GitHub:
		return &github{
			log: o.Log, raw: o.Raw, path: o.Getenv("GITHUB_OUTPUT"),
			summary: o.Getenv("GITHUB_STEP_SUMMARY"), debug: o.Getenv("RUNNER_DEBUG") == "1",
		}
	case GitLab:
		return &gitlab{log: o.Log, path: o.Dotenv, now: o.Now}
	}
	return terminal{o.Log}
}

// heading is a title on one line, without control characters.
func heading(title string) string {
	return strings.Join(strings.FieldsFunc(title, func(r rune) bool { return r < ' ' || r == 0x7f }), " ")
}

// checkOutput says why no platform may be handed a value: outputs are shown to
// everyone who can see the job, and are masked by nobody.
func checkOutput(known *index.Index, name, value string) error {
	if known.Has([]byte(value), index.Text) || known.Has([]byte(name), index.Text) {
		return fmt.Errorf("writing the output %q: a secret is in it", heading(name))
	}
	return nil
}
