package scan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/index"
)

// Bounds of a JSON document. Software bills of material may have hundreds of
// megabytes, so a document is walked, not kept; only its parts are bounded.
const (
	maxJSONDepth = 1000
	maxJSONPart  = 16 << 20 // bytes of one string, or between two of them
)

// A boundError says that something is larger than we are ready to read.
type boundError string

func (e boundError) Error() string { return string(e) }

func isJSON(b []byte) bool {
	b = bytes.TrimLeft(b, " \t\r\n")
	return len(b) > 0 && (b[0] == '{' || b[0] == '[')
}

// walkJSON searches every key and every value of a JSON document, decoded, so
// that no escape hides anything, and names the field: config.Env[2]. What is
// found only in the document's bytes, across its values, keeps the field
// "config".
func (w *walk) walkJSON(st *stream) error {
	defer func() { // until here the matches in the bytes wait for those in the fields
		st.ledger.mark(mark{place: place{field: finding.FieldConfig}, named: maps.Clone(w.found.found)})
	}()
	part := &bounded{r: st.src}
	dec := json.NewDecoder(part)
	dec.UseNumber()
	var at jsonPath
	for {
		part.left = maxJSONPart
		token, err := dec.Token()
		if err == io.EOF && len(at) == 0 {
			return nil
		}
		if err != nil {
			return err
		}
		if text, ok := at.step(token); ok {
			w.findInField(at, text)
			at.stepped()
		}
		if len(at) > maxJSONDepth {
			return boundError(fmt.Sprintf("nested more than %d deep", maxJSONDepth))
		}
	}
}

func (w *walk) findInField(at jsonPath, text string) {
	classes := index.Blob
	if at.isFree() {
		classes = index.Text
	}
	w.s.find([]byte(text), classes, func(m match) { w.found.add(hit{m, place{field: at.String()}}) })
	if len(text) >= leastRow && findRow([]byte(text)) < len(text)-leastRow {
		w.textOf(at.String(), text)
	}
	if w.s.patterns != nil {
		field := at.String()
		w.guess(place{field: field}, int64(len(text)), strings.NewReader(text))
		w.guessed(Place{Field: field}, w.s.patterns.Text(Place{Field: field}, text))
	}
}

// textOf makes a stream of a field's text that may be wrapped, or hold packed
// data.
func (w *walk) textOf(field, text string) {
	st := w.open(strings.NewReader(text), 0)
	defer w.close(st)
	st.ledger.mark(mark{place: place{field: field}})
	_ = w.drain(st) // of what is in memory
	w.total -= int64(len(text))
}

// bounded fails when more than left bytes are read before it is set again.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, boundError(fmt.Sprintf("a part of more than %d bytes", maxJSONPart))
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// A jsonPath is the way from a document's root to one of its values.
type jsonPath []jsonStep

type jsonStep struct {
	object bool
	key    string // of an object: the member that we are at
	isKey  bool   // of an object: the next token is a key
	index  int    // of an array
}

// step takes a token and returns the text to search, if the token is a value
// or a key. The caller calls stepped when it has searched it.
func (p *jsonPath) step(token json.Token) (text string, ok bool) {
	switch t := token.(type) {
	case json.Delim:
		switch t {
		case '{', '[':
			*p = append(*p, jsonStep{object: t == '{', isKey: t == '{'})
		default:
			*p = (*p)[:len(*p)-1]
			p.stepped()
		}
		return "", false
	case string:
		if last := p.last(); last != nil && last.isKey {
			last.key = t
		}
		return t, true
	case json.Number:
		return t.String(), true
	}
	p.stepped() // true, false, null
	return "", false
}

// stepped moves on behind a key, or behind a value.
func (p *jsonPath) stepped() {
	switch last := p.last(); {
	case last == nil:
	case !last.object:
		last.index++
	default:
		last.isKey = !last.isKey
	}
}

func (p *jsonPath) last() *jsonStep {
	if len(*p) == 0 {
		return nil
	}
	return &(*p)[len(*p)-1]
}

// String writes the path as config.Env[2].
func (p jsonPath) String() string {
	var b strings.Builder
	for _, step := range p {
		switch {
		case !step.object:
			b.WriteString("[" + strconv.Itoa(step.index) + "]")
		case b.Len() > 0:
			b.WriteString("." + step.key)
		default:
			b.WriteString(step.key)
		}
	}
	return b.String()
}

// isFree says whether the field's text was chosen by whoever made the image:
// short values are looked for there, and not in digests and types, where some
// byte sequence of that length appears by chance.
func (p jsonPath) isFree() bool {
	for i, step := range p {
		switch step.key {
		case "annotations", "history", "container_config", "platform", "args": // of the build, in its provenance
			return true
		case "config": // of an image config, or the descriptor of one in a manifest
			return i+1 == len(p) || !slices.Contains(ruled, p[i+1].key)
		}
	}
	return len(p) == 1 && p[0].object && !slices.Contains(ruled, p[0].key) // author, comment, os.version
}

// ruled are the members of a document whose text follows from its content, or
// from a specification.
var ruled = []string{"mediaType", "artifactType", "digest", "size", "id", "parent", "created"}
