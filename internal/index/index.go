// Package index compiles every secret, in every encoding in which it may turn
// up, into one immutable Index, and finds these patterns in bytes and streams.
//
// Log redaction and the image scan share it, so that both know the same
// encodings:
//
//   - A pattern has at least [MinPattern] bytes. Values that are shorter, or too
//     common to look for (true, admin, …), are no patterns; [Index.Weak] names them.
//   - Patterns of 6 and 7 bytes are the class [Short]: worth masking in a log,
//     but found by chance in gigabytes of binaries.
//   - No pattern is longer than [MaxPattern]. A longer text is cut into pieces
//     that follow one another, the last one overlapping backwards.
//   - A long text that looks random has parts of 16 bytes and more beside that:
//     at its start, at its end and between, so that a prefix, a suffix, or a row
//     of wrapped base64 is found on its own. What looks public (PEM armour, the
//     header of a JWT, host names) never becomes a part.
package index

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"strconv"

	"github.com/org/secure-build/internal/secret"
)

// An Index is a compiled set of secrets. It is immutable: any number of
// goroutines and streams may use one. A nil or zero Index finds nothing.
//
// Everything in it sits behind a func, for the reason that [secret.Secret] has:
// fmt walks unexported fields, but it prints a func as an address.
type Index struct {
	state func() *state
}

type state struct {
	long    engine
	short   engine
	prefix  prefixes
	weak    []string
	needles int
	max     int
	joint   bool

	describe func(io.Writer) // says all needles, for Fingerprint
}

var empty = &state{describe: func(io.Writer) {}}

func (x *Index) get() *state {
	if x == nil || x.state == nil {
		return empty
	}
	return x.state()
}

// Compile makes the index of all values to search for in the set.
func Compile(set secret.Set) *Index {
	b := newBuilder()
	for _, s := range set.Searched() {
		b.secret(s.ID(), s.Origin(), s.Mask(), s.Reveal())
	}
	st := b.state()
	return &Index{state: func() *state { return st }}
}

// Weak lists the ids of the secrets that cannot be looked for: too short or too
// common, so that they hide nothing and masking them would ruin the log.
func (x *Index) Weak() []string { return append([]string(nil), x.get().weak...) }

// MaxLen is the length of the longest pattern in bytes, at most [MaxPattern].
// A reader that keeps MaxLen-1 bytes between two blocks misses nothing.
func (x *Index) MaxLen() int { return x.get().max }

// Len is the number of patterns.
func (x *Index) Len() int { return x.get().needles }

// Fingerprint is a MAC over everything that the index looks for: the patterns,
// their classes and names. Two indexes have the same under one key only if they
// find the same; without the key it says nothing.
func (x *Index) Fingerprint(key []byte) []byte {
	mac := hmac.New(sha256.New, key)
	x.get().describe(mac)
	return mac.Sum(nil)
}

// Joint says whether a pattern for logs holds a line break: a value of several
// lines of which none can be looked for alone. A log has then to be matched
// across its lines.
func (x *Index) Joint() bool { return x.get().joint }

// The methods below answer every way in which Go prints a value. They are a
// courtesy: without them an address would be shown, and nothing else.

func (x Index) summary() string {
	return "index of " + strconv.Itoa(x.Len()) + " patterns"
}

func (x Index) String() string               { return x.summary() }
func (x Index) GoString() string             { return x.summary() }
func (x Index) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, x.summary()) }
func (x Index) MarshalText() ([]byte, error) { return []byte(x.summary()), nil }
func (x Index) LogValue() slog.Value         { return slog.StringValue(x.summary()) }
