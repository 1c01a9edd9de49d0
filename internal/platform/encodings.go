package platform

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"html"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// encodings lists a text in every encoding.
func (l *list) encodings(s string) {
	l.base64(s)
	l.add(hex.EncodeToString([]byte(s)))
	l.add(strings.ToUpper(hex.EncodeToString([]byte(s))))

	plus := url.QueryEscape(s)
	strict := strings.ReplaceAll(plus, "+", "%20")
	script := strings.NewReplacer("%21", "!", "%27", "'", "%28", "(", "%29", ")", "%2A", "*").Replace(strict)
	for _, t := range []string{strict, plus, script} {
		l.add(t)
		l.add(lowerPercent(t))
	}
	// What stands between double quotes in YAML, or a key in PEM whose lines were
	// joined by \n, is the same as in JSON.
	for _, t := range []string{jsonInside(s, false), jsonInside(s, true)} {
		l.add(t)
		l.add(jsonASCII(t))
		l.add(strings.ReplaceAll(t, "/", `\/`))
	}
	l.add(inside(strconv.Quote(s)))
	l.add(inside(strconv.QuoteToASCII(s)))
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder does not fail
	l.add(b.String())
	l.broken(s)
}

// broken lists a line in the encodings that keep line breaks: of a value of
// several lines each comes on its own.
func (l *list) broken(s string) {
	l.add(html.EscapeString(s))
	l.add(strings.ReplaceAll(s, "'", `'\''`))
	l.add(strings.ReplaceAll(s, "'", `'"'"'`))
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s))
	l.add(b.String())
	if utf8.ValidString(s) {
		little, big := utf16Forms(s)
		if isASCII(s) {
			little = strings.TrimSuffix(little, "\x00") // stands in both
			big = little
		}
		l.add(little)
		l.add(big)
	}
}

// base64 lists the base64 of s alone, in other data (at each of the three
// alignments, the digits that s alone decides), and of base64.
func (l *list) base64(s string) {
	std, web := base64.RawStdEncoding, base64.RawURLEncoding
	l.add(std.EncodeToString([]byte(s)))
	l.add(web.EncodeToString([]byte(s)))
	for shift := range 3 {
		inner := within(std, s, shift)
		l.add(inner)
		l.add(within(web, s, shift))
		for shift := range 3 {
			l.add(within(std, inner, shift))
		}
	}
}

// rows lists the rows in which base64(1) and openssl print a file.
func (l *list) rows(s string) {
	text := within(base64.RawStdEncoding, s, 0)
	for _, columns := range []int{76, 64} {
		for at := 0; at < len(text) && len(text) > columns; at += columns {
			l.add(text[at:min(at+columns, len(text))])
		}
	}
}

// within encodes s with shift bytes before it, and returns the digits all of
// whose bits are those of s.
func within(enc *base64.Encoding, s string, shift int) string {
	text := enc.EncodeToString([]byte("\x00\x00"[:shift] + s))
	return text[(8*shift+5)/6 : 8*(shift+len(s))/6]
}

// inside cuts the quotes off.
func inside(quoted string) string { return quoted[1 : len(quoted)-1] }

// lowerPercent writes %2F as %2f.
func lowerPercent(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:], bytes.ToLower(b[i+1:i+3]))
			i += 2
		}
	}
	return string(b)
}

// jsonInside is what encoding/json writes between the quotes.
func jsonInside(s string, escapeHTML bool) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(escapeHTML)
	if enc.Encode(s) != nil {
		return s // a string is always encoded
	}
	return inside(strings.TrimSuffix(b.String(), "\n"))
}

// jsonASCII writes what is beyond ASCII as \uXXXX.
func jsonASCII(s string) string {
	if isASCII(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if r < utf8.RuneSelf {
			b.WriteRune(r)
			continue
		}
		for _, u := range utf16.Encode([]rune{r}) {
			b.WriteString(`\u` + hex.EncodeToString([]byte{byte(u >> 8), byte(u)}))
		}
	}
	return b.String()
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}

func utf16Forms(s string) (little, big string) {
	var l, b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		l, b = append(l, byte(u), byte(u>>8)), append(b, byte(u>>8), byte(u))
	}
	return string(l), string(b)
}
