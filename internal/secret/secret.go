// Package secret holds the project's first noun: a value that must not get out.
//
// A Secret's bytes sit behind a func, so that no verb of fmt, no encoder and no
// structured logger can reach them, whether the Secret is printed itself, as a
// field of something else (exported or not) or behind a pointer. The one way to
// the bytes is [Secret.Reveal], which is easy to grep for.
package secret

import (
	"fmt"
	"io"
	"log/slog"
	"time"
)

// A Secret is an immutable value with a name. The zero Secret is empty.
type Secret struct {
	id     string
	origin string
	value  func() []byte
	parts  []Secret
	key    func() []byte // see Keyed
	minted time.Time     // see MintedSince
}

// New returns a Secret that keeps its own copy of value.
//
// The id is what a Dockerfile names (--mount=type=secret,id=…). The origin says
// where the value came from in words that may be shown, such as
// "secrets.yaml#db.password"; it must not hold the value.
func New(id, origin string, value []byte) Secret {
	own := append([]byte(nil), value...)
	return Secret{id: id, origin: origin, value: func() []byte { return own }}
}

// NewDocument returns a Secret that is mounted as one file, value, but masked
// and searched for by its parts: a whole decrypted document would otherwise
// put its braces and its clear-text keys on the list.
func NewDocument(id, origin string, value []byte, parts []Secret) Secret {
	s := New(id, origin, value)
	s.parts = append([]Secret{}, parts...)
	return s
}

// ID is the name that a Dockerfile uses. Parts of a document have one too,
// which is shown in masks and findings but cannot be mounted.
func (s Secret) ID() string { return s.id }

// Origin says where the value came from, such as "secrets.yaml#db.password".
func (s Secret) Origin() string { return s.origin }

// Len is the length of the value in bytes.
func (s Secret) Len() int {
	if s.value == nil {
		return 0
	}
	return len(s.value())
}

// Reveal returns the plaintext. The slice is the Secret's own: do not change it.
func (s Secret) Reveal() []byte {
	if s.value == nil {
		return nil
	}
	return s.value()
}

// Searched lists the values to mask and to look for: the parts of a document,
// or the Secret itself.
func (s Secret) Searched() []Secret {
	if s.parts == nil {
		return []Secret{s}
	}
	return s.parts
}

// Mask is what is shown in place of the value.
func (s Secret) Mask() string { return "[masked:" + s.id + "]" }

// The methods below answer every way in which Go prints a value.

func (s Secret) String() string               { return s.Mask() }
func (s Secret) GoString() string             { return s.Mask() }
func (s Secret) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, s.Mask()) }
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.Mask()), nil }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(s.Mask()) }
