package scan

import (
	"cmp"
	"slices"
	"strings"

	"github.com/org/secure-build/internal/index"
)

// find searches a text that is in memory as a whole.
func (s *Scanner) find(text []byte, classes index.Class, yield func(match)) {
	s.index.Each(text, classes, func(m index.Match) bool {
		yield(match{Pattern: m.Pattern, offset: int64(m.Start)})
		return true
	})
}

// mask replaces every value in a text that goes into a report.
func (s *Scanner) mask(text string) string {
	var found []index.Match
	s.index.Each([]byte(text), index.Text, func(m index.Match) bool {
		found = append(found, m)
		return true
	})
	slices.SortFunc(found, func(a, b index.Match) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(b.End, a.End), cmp.Compare(a.Secret, b.Secret))
	})
	var out strings.Builder
	done := 0
	for _, m := range found {
		switch {
		case m.Start >= done: // else it overlaps one that is masked already
			out.WriteString(text[done:m.Start] + m.Mask)
			done = m.End
		case m.End > done:
			done = m.End
		}
	}
	return out.String() + text[done:]
}
