package canary

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"html"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
)

// Forms returns value as programs print it: as it is, and in every encoding.
func Forms(value []byte) []Form {
	forms := append(whole(value), base64Forms(value)...)
	for _, e := range escapers {
		forms = append(forms, escaped(e.name, value, e.write))
	}
	return forms
}

// whole are the forms that keep the value as it is, or write it byte by byte.
func whole(v []byte) []Form {
	keep := func(s string) string { return s }
	forms := []Form{escaped("raw", v, keep)}
	if parts := secretParts(v); bytes.ContainsAny(bytes.TrimSpace(v), "\n") {
		f := Form{Name: "line"}
		for i, s := range parts { // as BuildKit prints the output of a step
			f.Text = append(f.Text, "#9 0."+strconv.Itoa(i)+" got: "+string(v[s.start:s.end])+" (end)\n"...)
			f.decided = append(f.decided, v[s.start:s.end])
		}
		forms = append(forms, f, escaped("joined by \\n", v, strings.NewReplacer("\n", `\n`, "\r", "").Replace))
	}
	lower := func(s string) string { return hex.EncodeToString([]byte(s)) }
	upper := func(s string) string { return strings.ToUpper(lower(s)) }
	return append(forms, escaped("hex", v, lower), escaped("hex upper case", v, upper))
}

// base64Forms are the value alone and amidst other data, in both alphabets, in
// rows, and encoded twice.
func base64Forms(v []byte) []Form {
	std, web := base64.StdEncoding, base64.URLEncoding
	none := base64.NoPadding
	forms := []Form{
		amidst("base64", std, "", v, ""),
		amidst("base64 unpadded", std.WithPadding(none), "", v, ""),
		amidst("base64url", web, "", v, ""),
		amidst("base64url unpadded", web.WithPadding(none), "", v, ""),
		rows(v, 76),
		amidst("base64 with a line end", std, "", v, "\n"),
		amidst("base64 of admin:value@host", std, "admin:", v, "@host"),
		amidst("base64 of root:value", std, "root", v, ":"),
		amidst("base64 of user:value", std, "user:", v, ""),
		amidst("base64url of root:value", web, "root", v, ":"),
		amidst("base64url of user:value", web, "user:", v, "/"),
	}
	for _, before := range []string{"", "bot:", "user:"} { // as in the Docker configuration of a Kubernetes secret
		once := std.AppendEncode([]byte(`{"auth": "`), append([]byte(before), v...))
		var parts []span
		for _, s := range secretParts(v) {
			start, end := digits(s, len(before))
			parts = append(parts, span{start + len(`{"auth": "`), end + len(`{"auth": "`)})
		}
		forms = append(forms, encoded("base64 of base64 of "+before+"value", std, append(once, `"}`...), parts))
	}
	return forms
}

// amidst encodes v between other bytes.
func amidst(name string, enc *base64.Encoding, before string, v []byte, after string) Form {
	var parts []span
	for _, s := range secretParts(v) {
		parts = append(parts, span{len(before) + s.start, len(before) + s.end})
	}
	return encoded(name, enc, []byte(before+string(v)+after), parts)
}

// encoded is the base64 of bytes of which these parts count.
func encoded(name string, enc *base64.Encoding, all []byte, parts []span) Form {
	text := enc.EncodeToString(all)
	f := Form{Name: name, Text: []byte("auth: " + text + "\n")}
	for _, s := range parts {
		start, end := digits(s, 0)
		f.decided = append(f.decided, []byte(text[start:end]))
	}
	return f
}

// digits are the base64 digits all of whose six bits belong to a part, after
// other bytes.
func digits(s span, before int) (start, end int) {
	return (8*(before+s.start) + 5) / 6, 8 * (before + s.end) / 6
}

// rows is base64 as base64(1) prints it.
func rows(v []byte, columns int) Form {
	f := Form{Name: "base64 in rows"}
	text := base64.StdEncoding.AppendEncode(nil, v)
	for at := 0; at < len(text); at += columns {
		to := min(at+columns, len(text))
		f.Text = append(append(f.Text, text[at:to]...), '\n')
		for _, s := range secretParts(v) {
			start, end := digits(s, 0)
			if start, end = max(at, start), min(to, end); start < end {
				f.decided = append(f.decided, text[start:end])
			}
		}
	}
	return f
}

// escapers write a value character by character, so the form of a part is that
// part of the form. Some keep line breaks.
var escapers = []escaper{
	{"percent", percent},
	{"percent lower case", func(s string) string { return lowerEscapes(percent(s)) }},
	{"percent with +", url.QueryEscape},
	{"percent with + lower case", func(s string) string { return lowerEscapes(url.QueryEscape(s)) }},
	{"json", func(s string) string { return jsonText(s, false) }},
	{"json for html", func(s string) string { return jsonText(s, true) }},
	{"json in ascii", asciiJSON},
	{"yaml", strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace},
	{"xml", func(s string) string { var b strings.Builder; _ = xml.EscapeText(&b, []byte(s)); return b.String() }},
	{"html", html.EscapeString},
	{"shell", func(s string) string { return strings.ReplaceAll(s, "'", `'\''`) }},
	{"shell, python's", func(s string) string { return strings.ReplaceAll(s, "'", `'"'"'`) }},
	{"go", func(s string) string { q := strconv.Quote(s); return q[1 : len(q)-1] }},
	{"go in ascii", func(s string) string { q := strconv.QuoteToASCII(s); return q[1 : len(q)-1] }},
	{"utf-16le", func(s string) string { return utf16Text(s, binary.LittleEndian) }},
	{"utf-16be", func(s string) string { return utf16Text(s, binary.BigEndian) }},
}

func escaped(name string, v []byte, write func(string) string) Form {
	f := Form{Name: name, Text: []byte("value: " + write(string(v)) + "\n")}
	for _, s := range secretParts(v) {
		f.decided = append(f.decided, []byte(write(string(v[s.start:s.end]))))
	}
	return f
}

type span struct{ start, end int }

// secretParts are the parts of a value that count: all of it but blanks around,
// or of a value of several lines those with a word of eight characters or more
// that has both letters and digits. That leaves out armour, brackets and bare
// settings.
func secretParts(v []byte) []span {
	trimmed := bytes.TrimSpace(v)
	if !bytes.ContainsAny(trimmed, "\r\n") {
		start := bytes.Index(v, trimmed)
		return []span{{start, start + len(trimmed)}}
	}
	var parts []span
	at := 0
	for l := range bytes.SplitAfterSeq(v, []byte("\n")) {
		for w := range bytes.FieldsFuncSeq(l, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(`"',:`, r) }) {
			if len(w) >= 8 && bytes.ContainsFunc(w, unicode.IsDigit) && bytes.ContainsFunc(w, unicode.IsLetter) {
				trimmed := bytes.TrimSpace(l)
				start := at + bytes.Index(l, trimmed)
				parts = append(parts, span{start, start + len(trimmed)})
				break
			}
		}
		at += len(l)
	}
	return parts
}

// percent escapes all but RFC 3986's unreserved characters.
func percent(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// lowerEscapes writes %2F as %2f.
func lowerEscapes(s string) string {
	parts := strings.Split(s, "%")
	for i := 1; i < len(parts); i++ {
		parts[i] = strings.ToLower(parts[i][:2]) + parts[i][2:]
	}
	return strings.Join(parts, "%")
}

func jsonText(s string, forHTML bool) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(forHTML)
	_ = enc.Encode(s) // of a string, into memory
	return b.String()[1 : b.Len()-2]
}

func asciiJSON(s string) string {
	var b strings.Builder
	for _, r := range jsonText(s, false) {
		if r < unicode.MaxASCII {
			b.WriteRune(r)
			continue
		}
		for _, u := range utf16.Encode([]rune{r}) {
			b.WriteString(`\u` + hex.EncodeToString([]byte{byte(u >> 8), byte(u)}))
		}
	}
	return b.String()
}

func utf16Text(s string, order binary.AppendByteOrder) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = order.AppendUint16(b, u)
	}
	return string(b)
}
