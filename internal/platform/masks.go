package platform

import (
	"bytes"
	"slices"
	"strings"
	"unicode"

	"github.com/org/secure-build/internal/index"
	"github.com/org/secure-build/internal/secret"
)

const (
	minMask   = index.MinPattern // bytes; the runner masks a lone bracket if it is told to
	manyLines = 16               // of more lines than this only what keeps line breaks is encoded
)

// masks lists the texts that a runner has to be told so that no line of a log
// shows a value of the set: each value, each line of it, each secret within it
// that is worth it, and these in the encodings that the runner's own masker
// misses, in part or always (hex, base64 without its padding or in other data,
// twice or in rows, percent-encoding with +, shell quoting, UTF-16, …).
//
// What is worth it is the index's to say: a lone bracket, "true" or the armour
// of PEM would ruin the log. For that reason no value of several lines is listed
// as it is, since the runner masks each line of what it is told.
//
// The list is short on purpose, and not the index's: the runner makes up to
// eleven patterns of each text, and holds each line of the job against them all.
func masks(known *index.Index, set secret.Set) []string {
	l := list{seen: map[string]bool{}}
	for _, s := range set.Searched() {
		l.value(known, s.Reveal())
	}
	return l.texts
}

// A list is the texts to mask, each once.
type list struct {
	texts []string
	seen  map[string]bool
}

func (l *list) add(text string) {
	// A value that ends in its only "&+" makes the runner fail the step, and not
	// mask at all (PowerShellPostAmpersandEscape cuts behind the end).
	if strings.HasSuffix(text, "&+") && strings.Index(text, "&+") == len(text)-2 {
		text = text[:len(text)-1]
	}
	if len(text) < minMask || l.seen[text] || strings.ContainsAny(text, "\r\n") {
		return
	}
	l.seen[text] = true
	l.texts = append(l.texts, text)
}

// value lists one value in all its forms.
func (l *list) value(known *index.Index, file []byte) {
	v := bytes.TrimSpace(file)
	lines, fields := worth(known, v)
	if len(lines)+len(fields) == 0 && !known.Has(v, index.Text) {
		return
	}
	texts := slices.Concat(lines, fields)
	for _, t := range texts {
		l.add(t)
	}
	l.encodings(string(v))
	l.rows(string(file)) // with the blanks before it, which shift the digits
	for _, t := range texts {
		if len(texts) <= manyLines {
			l.encodings(t)
		} else {
			l.broken(t)
		}
	}
}

// worth returns the lines of a value, and the secrets within, that the index
// looks for: what the redactor hides, the runner has to hide.
func worth(known *index.Index, v []byte) (lines, fields []string) {
	var spans []index.Match
	known.Each(v, index.Log, func(m index.Match) bool {
		switch m.Encoding {
		case "raw", "line":
			spans = append(spans, m)
		case "field":
			fields = append(fields, string(v[m.Start:m.End]))
		}
		return true
	})
	slices.SortFunc(spans, func(a, b index.Match) int { return a.Start - b.Start })
	for i := 0; i < len(spans); {
		start, end := spans[i].Start, spans[i].End
		for i++; i < len(spans) && spans[i].Start <= end; i++ { // a long line comes in pieces
			end = max(end, spans[i].End)
		}
		lines = append(lines, string(v[start:end]))
	}
	// A word that the index knows as a part of the value: a password of that
	// length in an address.
	for w := range bytes.FieldsFuncSeq(v, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune("\"'<>@:/,;=?&", r) }) {
		known.Each(w, index.Log, func(m index.Match) bool {
			if m.Start > 0 || m.End < len(w) || len(w) == len(v) {
				return true
			}
			fields = append(fields, string(w))
			return false
		})
	}
	return lines, fields
}
