package main

import (
	"io"
	"os"

	"github.com/containerd/console"
	"github.com/org/secure-build/internal/buildkit"
	"github.com/org/secure-build/internal/redact"
	"golang.org/x/term"
)

// output is where BuildKit's progress goes: each stream of each step through a
// redactor of its own, and all that is shown through the one on stderr. On a
// terminal the display draws whole frames, which must not wait for their line
// to end, so it gets a writer of its own kind.
// done has to be called when the display has drawn its last frame.
func (b *build) output() (_ buildkit.Output, done func() error) {
	out := buildkit.Output{
		W:        b.stderr,
		Progress: b.progress,
		Redact:   b.redactor.String,
		NewLog:   func(dst io.Writer) buildkit.LogWriter { return b.redactor.Writer(dst, redact.Immediately()) },
		Warn:     b.warn,
	}
	if b.fleet != nil {
		return out.Labelled(b.service), func() error { return nil }
	}
	if b.terminal == nil {
		return out, func() error { return nil }
	}
	frames := b.frames()
	out.W = screen{b.terminal, frames}
	return out, frames.Close
}

// frames is a writer to our terminal that does not wait for lines to end.
func (a *app) frames() *redact.Writer { return a.redactor.Writer(a.terminal, redact.Immediately()) }

// screen is a terminal that is written to through the redactor.
type screen struct {
	*os.File
	redacted io.Writer
}

var _ console.File = screen{}

func (s screen) Write(p []byte) (int, error) { return s.redacted.Write(p) }

// terminal returns f if it is one.
func terminal(f *os.File) *os.File {
	if !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return f
}
