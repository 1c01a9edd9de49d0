// Package hint lets an error carry a sentence that tells the reader what to do.
//
// Stages wrap the error where they know the real cause; only main prints it,
// as "secure-build: hint: …" below "secure-build: error: …".
package hint

import (
	"errors"
	"fmt"
)

type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

// Wrap adds a hint to err: lower case, no final period, never a value.
// A nil err stays nil.
func Wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return hinted{err, fmt.Sprintf(format, args...)}
}

// Of collects the hints of err and of everything that it wraps or joins,
// outermost first and each once.
func Of(err error) []string {
	var hints []string
	seen := map[string]bool{}
	var walk func(error)
	walk = func(err error) {
		if err == nil {
			return
		}
		if h, ok := err.(hinted); ok && !seen[h.hint] {
			seen[h.hint] = true
			hints = append(hints, h.hint)
		}
		if many, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range many.Unwrap() {
				walk(e)
			}
			return
		}
		walk(errors.Unwrap(err))
	}
	walk(err)
	return hints
}
