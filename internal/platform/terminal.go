package platform

import (
	"io"

	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/secret"
)

// terminal is a laptop, or a CI that is not known. Nothing there masks, and a
// line that asks for it would print the value.
type terminal struct{ log io.Writer }

func (terminal) Mask(secret.Set) error { return nil }

func (t terminal) Section(title string) (end func()) {
	_, _ = io.WriteString(t.log, "==> "+heading(title)+"\n")
	return func() {}
}

func (terminal) Findings([]finding.Finding) error { return nil }

func (terminal) Output(string, string) error { return nil }
