package index

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/org/secure-build/internal/canary"
)

// token is the kind of value with which the scanner tests itself, in base64 with
// both of the characters in which the alphabets differ.
func token(t *testing.T) []byte {
	t.Helper()
	r := rand.NewChaCha8([32]byte{6})
	for {
		v, err := canary.Token(r)
		if err != nil {
			t.Fatal(err)
		}
		b := newBuilder()
		b.secret("canary", "", "", v)
		if slices.Contains(b.encodings(), "base64url") {
			return v
		}
	}
}

func (b *builder) encodings() (names []string) {
	for _, n := range b.needles {
		if !slices.Contains(names, n.pattern.Encoding) {
			names = append(names, n.pattern.Encoding)
		}
	}
	return names
}

// TestCanaryHasEveryPattern: the canary that each scan looks for to test itself
// is written in all that the index looks for. Who adds an encoding to the index
// adds it to package canary too, or it could be lost again without a word.
func TestCanaryHasEveryPattern(t *testing.T) {
	v := token(t)
	b := newBuilder()
	b.secret("canary", "", "", v)
	forms := canary.Deep(v)
	written := func(n needle) bool {
		return slices.ContainsFunc(forms, func(f canary.Form) bool { return bytes.Contains(f.Text, n.bytes) })
	}
	for _, n := range b.needles {
		// Or one that is found wherever this one is: some only say where a match ends.
		if !slices.ContainsFunc(b.needles, func(m needle) bool {
			return m.pattern == n.pattern && bytes.Contains(n.bytes, m.bytes) && written(m)
		}) {
			t.Errorf("no form of the canary has this %s: %q", n.pattern.Encoding, n.bytes)
		}
	}
}

// TestCanaryMissesEachEncoding: an index that has lost one encoding misses a form
// of the canary, and the whole index none. Parts, by which a whole value would be
// found too, are not among it.
func TestCanaryMissesEachEncoding(t *testing.T) {
	v := token(t)
	forms := canary.Deep(v)
	missed := func(lost string) (names []string) {
		b := newBuilder()
		b.secret("canary", "", "", v)
		b.needles = slices.DeleteFunc(b.needles, func(n needle) bool { return n.pattern.Encoding == lost || isPart(n.pattern.Encoding) })
		st := b.state()
		x := &Index{state: func() *state { return st }}
		for _, f := range forms {
			// Rows are joined before they are looked at.
			if !x.Has(f.Text, Blob) && !x.Has(bytes.ReplaceAll(f.Text, []byte("\n"), nil), Blob) {
				names = append(names, f.Name)
			}
		}
		return names
	}
	if got := missed(""); len(got) > 0 {
		t.Errorf("missed by the whole index: %q", got)
	}
	b := newBuilder()
	b.secret("canary", "", "", v)
	for _, name := range b.encodings() {
		if got := missed(name); len(got) == 0 && !isPart(name) {
			t.Errorf("nothing is missed without %s", name)
		}
	}
}

func isPart(encoding string) bool { return strings.HasSuffix(encoding, "-part") }
