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
	if title != "" {
		_, _ = io.WriteString(t.log, "==> "+heading(title)+"\n")
	}
	return func() {}
}

func (terminal) Annotate([]Note) error                    { return nil }
func (terminal) Findings([]finding.Finding, string) error { return nil }
func (terminal) Summary([]byte) error                     { return nil }
func (terminal) Debug(string)                             {}

func (terminal) Output(string, string) error { return nil }
