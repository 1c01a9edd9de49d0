package report

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// visible writes a text from an image so that it stays on its line and cannot
// command a terminal: what does not show (control characters, escape
// sequences, marks that reorder text) is written as a Go escape. A text of more
// than limit characters loses its middle.
func visible(s string, limit int) string {
	if len(s) > limit && utf8.RuneCountInString(s) > limit {
		head, tail := 0, len(s)
		for range limit / 2 {
			_, n := utf8.DecodeRuneInString(s[head:])
			_, m := utf8.DecodeLastRuneInString(s[:tail])
			head, tail = head+n, tail-m
		}
		s = s[:head] + "…" + s[tail:]
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case unicode.IsGraphic(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
		i += size
	}
	return b.String()
}

// code writes a text from an image as code in a Markdown table. Whatever could
// be Markdown, HTML, a link or a mention is written as a character reference,
// which CommonMark never takes for syntax (section 6.2 of its specification).
func code(s string, limit int) string {
	var b strings.Builder
	b.WriteString("<code>")
	text := []rune(visible(s, limit))
	for i, r := range text {
		if r > unicode.MaxASCII || isPlain(text, i) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "&#%d;", r)
		}
	}
	b.WriteString("</code>")
	return b.String()
}

// isPlain says whether an ASCII character means nothing to Markdown where it
// stands, which is within a line.
func isPlain(text []rune, i int) bool {
	at := func(i int) rune {
		if i < 0 || i >= len(text) {
			return ' '
		}
		return text[i]
	}
	switch r := at(i); r {
	case ' ', '/', '=', ',', '-', '+', '#', '%':
		return true
	case '.': // www. begins a link
		return at(i-1) != 'w' && at(i-1) != 'W'
	case ':': // http:// does
		return at(i+1) != '/'
	case '_': // within a word it is no emphasis
		return isAlphanumeric(at(i-1)) && isAlphanumeric(at(i+1))
	default:
		return isAlphanumeric(r)
	}
}

func isAlphanumeric(r rune) bool {
	return '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}

// size writes a number of bytes for people.
func size(n int64) string {
	units := []string{"kB", "MB", "GB", "TB", "PB", "EB"}
	if n < 1000 {
		return fmt.Sprintf("%d bytes", n)
	}
	f := float64(n) / 1000
	for len(units) > 1 && f >= 999.95 {
		f, units = f/1000, units[1:]
	}
	return fmt.Sprintf("%.1f %s", f, units[0])
}

// count writes "1 secret", "2 secrets".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
