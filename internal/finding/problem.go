package finding

import (
	"cmp"
	"fmt"
	"slices"
)

// A Problem is something wrong with a Dockerfile, found before anything is
// built. Like a Finding it names secrets and never holds a value.
type Problem struct {
	Rule     string   `json:"rule"` // missing-secret, env-secret, …; one of BuildKit's own rules has its name there
	Severity Severity `json:"severity"`
	File     string   `json:"file"`           // the Dockerfile, as it was named
	Line     int      `json:"line,omitempty"` // from 1; 0 where no line is to blame
	Message  string   `json:"message"`        // lower case, no final period, without file and line
	Remedy   string   `json:"remedy,omitempty"`
}

// Place is the file with the line: Dockerfile:12.
func (p Problem) Place() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// SortProblems puts problems in the order of their lines and drops repeats.
func SortProblems(ps []Problem) []Problem {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Message, b.Message))
	})
	return slices.Compact(ps)
}
