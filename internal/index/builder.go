package index

import (
	"bytes"
	"fmt"
	"io"
	"slices"
)

// manyLines is the number of lines up to which each line of a value is looked
// for in every encoding: a settings file, rather than a key, of which the
// encodings of the whole have parts.
const manyLines = 16

// A builder gathers the needles of all secrets. Equal byte strings are entered
// once, under the name that came first, so raw comes before encodings.
type builder struct {
	needles []needle
	seen    map[string]bool
	names   map[Pattern]*Pattern
	weak    []string
	joint   bool
	current Pattern // of the secret being added
}

func newBuilder() *builder {
	return &builder{seen: map[string]bool{}, names: map[Pattern]*Pattern{}}
}

// secret enters one value in all its forms. White space around it is no part of
// it: it is found with and without.
func (b *builder) secret(id, origin, mask string, value []byte) {
	v := bytes.TrimSpace(value)
	b.current = Pattern{Secret: id, Origin: origin, Mask: mask}
	if weak(v) {
		if len(value) > 0 && !slices.Contains(b.weak, id) {
			b.weak = append(b.weak, id)
		}
		return
	}
	lines := tellingLines(v)
	multi := len(lines) > 0
	b.joint = b.joint || !multi && bytes.ContainsAny(v, "\n")
	b.add("raw", v, multi)
	for _, l := range lines {
		b.add("line", l, false)
	}
	encodings(v, func(name string, text []byte) { b.add(name, text, multi) })
	if bytes.ContainsAny(v, "\n") {
		joins(v, func(name string, text []byte) { b.add(name, text, multi) })
		for _, other := range lineBreaks(v) {
			encodings(other, func(name string, text []byte) { b.add(name, text, multi) })
		}
	}
	b.parts(v)
	b.lastRow(v)
	if len(lines) <= manyLines {
		for _, l := range lines {
			encodings(l, func(name string, text []byte) { b.add(name, text, false) })
		}
	}
	for _, f := range fields(v) {
		b.add("field", f, false)
		encodings(f, func(name string, text []byte) { b.add(name, text, false) })
	}
}

// add enters one text, in pieces if it is long. If multi is set then a text with
// line breaks is left to its lines in logs.
func (b *builder) add(encoding string, text []byte, multi bool) {
	for len(text) > MaxPattern {
		b.needle(encoding, text[:MaxPattern], multi)
		text = text[min(MaxPattern, len(text)-MaxPattern):]
	}
	b.needle(encoding, text, multi)
}

func (b *builder) needle(encoding string, text []byte, multi bool) *needle {
	lines := multi && bytes.ContainsAny(text, "\n")
	if len(text) < MinPattern || b.seen[string(text)] || lines && isWide(text) {
		return nil
	}
	b.seen[string(text)] = true
	n := needle{bytes: bytes.Clone(text), class: Long, pattern: b.name(encoding)}
	switch {
	case lines:
		n.class = Multi
	case isWide(text):
		n.class = Wide
	case len(text) < minLong:
		n.class = Short
	}
	b.needles = append(b.needles, n)
	return &b.needles[len(b.needles)-1]
}

// isWide says whether a text is ASCII in UTF-16, and long enough for every
// reader of blobs to find it as ASCII; what would be for blobs only is left to
// that. In another text, one byte order has nearly all of the other's bytes.
func isWide(text []byte) bool {
	if len(text) < leastWide {
		return false
	}
	for i, c := range text {
		if c >= 0x80 || (c == 0) != (text[i%2] == 0) || (c == 0) == (text[(i+1)%2] == 0) {
			return false
		}
	}
	return true
}

// name returns the one Pattern of the current secret in this encoding.
func (b *builder) name(encoding string) *Pattern {
	key := b.current
	key.Encoding = encoding
	if b.names[key] == nil {
		b.names[key] = &key
	}
	return b.names[key]
}

// state compiles what was gathered.
func (b *builder) state() *state {
	all := b.needles
	st := &state{weak: b.weak, joint: b.joint, needles: len(b.needles), prefix: newPrefixes(b.needles)}
	st.describe = func(w io.Writer) {
		for _, n := range all {
			_, _ = fmt.Fprintf(w, "%d %q %q %q %x\n", n.class, n.pattern.Secret, n.pattern.Origin, n.pattern.Encoding, n.bytes)
		}
	}
	var long, short []needle
	for _, n := range b.needles {
		st.max = max(st.max, len(n.bytes))
		if n.class == Short {
			short = append(short, n)
		} else {
			long = append(long, n)
		}
	}
	st.long, st.short = newEngine(long, minLong), newEngine(short, MinPattern)
	return st
}
