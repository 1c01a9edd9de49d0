// Package maskable knows which values GitLab agrees to mask in the log of a
// job, and why not.
//
// The rule is that of Ci::Maskable in GitLab's source (REGEX, and
// MASK_AND_RAW_REGEX for raw variables); a test holds a copy of it.
package maskable

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Min is the number of characters that a masked value has at least.
const Min = 8

// Value says whether GitLab lets a variable with this value be masked: one that
// is expanded, or a raw one.
func Value(value string, raw bool) bool { return Obstacle(value, raw) == "" }

// Obstacle says in words what stands against masking a value, or "". It tells
// nothing of the value but its kind.
func Obstacle(value string, raw bool) string {
	switch {
	case !Stored(value):
		return "it is not text, which a variable has to be"
	case strings.ContainsAny(value, "\n\r"):
		return "it has a line break"
	case strings.ContainsAny(value, " \t\f\v"):
		return "it has white space"
	case utf8.RuneCountInString(value) < Min:
		return fmt.Sprintf("it has fewer than %d characters", Min)
	case !raw && strings.ContainsFunc(value, notPlain):
		return "it has characters that GitLab masks in raw variables only"
	}
	return ""
}

// Stored says whether a variable can have this value at all: UTF-8 that an
// environment variable can hold.
func Stored(value string) bool { return utf8.ValidString(value) && !strings.ContainsRune(value, 0) }

// notPlain is what a masked value that is expanded may not have.
func notPlain(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		return false
	}
	return !strings.ContainsRune("_+=/@:.~-", r)
}
