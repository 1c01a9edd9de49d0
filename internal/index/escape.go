package index

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"html"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// escapes emits v as the inside of a string in the languages that escape
// characters, each in the dialects that are in use.
func escapes(v []byte, emit func(name string, text []byte)) {
	s := string(v)
	all := func(name string, texts ...string) {
		for _, t := range texts {
			emit(name, []byte(t))
		}
	}
	all("url", urlForms(s)...)
	all("json", jsonForms(s)...)
	for _, html := range []bool{false, true} { // JSON within a string of JSON, as in a label or a log line
		all("json", jsonString(jsonString(s, html), html))
	}
	all("yaml", yamlDouble(s), strings.ReplaceAll(s, "'", "''"))
	all("xml", xmlForms(s)...)
	all("shell", shellForms(s)...)
	all("go", inside(strconv.Quote(s)), inside(strconv.QuoteToASCII(s)))
	all("backslash", strings.ReplaceAll(s, `\`, `\\`), strings.NewReplacer(`\`, `\\`, ":", `\:`).Replace(s)) // .properties; .pgpass
	for _, verb := range []string{`\x%02x`, `\x%02X`, "%%%02x", "%%%02X"} {
		all(eachCharacter, eachOf([]byte(s), verb))
	}
	for _, verb := range []string{`\u%04x`, `\u%04X`, "&#%d;", "&#x%x;", "&#x%X;"} {
		all(eachCharacter, eachOf([]rune(s), verb))
	}
}

// eachCharacter is the encoding that leaves no character as it is.
const eachCharacter = "each-character"

// eachOf writes every byte or character by a verb: what obfuscators and careful
// encoders do. Nothing is left of the value to be found otherwise.
func eachOf[T byte | rune](s []T, verb string) string {
	var b strings.Builder
	for _, c := range s {
		fmt.Fprintf(&b, verb, c)
	}
	return b.String()
}

// inside cuts the quotes off.
func inside(quoted string) string { return quoted[1 : len(quoted)-1] }

// urlForms: Go's query and path escapes, encodeURIComponent of JavaScript, the
// user part of a URL, RFC 3986's unreserved set; %XX in both cases.
func urlForms(s string) []string {
	strict := strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
	script := strings.NewReplacer("%21", "!", "%27", "'", "%28", "(", "%29", ")", "%2A", "*").Replace(strict)
	forms := []string{
		url.QueryEscape(s), strict, script,
		url.PathEscape(s), url.User(s).String(),
		strings.ReplaceAll(strict, "~", "%7E"), strings.ReplaceAll(url.QueryEscape(s), "~", "%7E"),
	}
	for _, f := range forms {
		forms = append(forms, lowerPercent(f))
	}
	return forms
}

// lowerPercent writes %2F as %2f.
func lowerPercent(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:i+3], bytes.ToLower(b[i+1:i+3]))
			i += 2
		}
	}
	return string(b)
}

// jsonForms: with and without \/, the HTML characters as they are, as Go escapes
// them (<, >, & as \u00xx) and as .NET and PHP do (also quotes and +), other than
// ASCII as it is and as \u escapes.
func jsonForms(s string) []string {
	var forms []string
	plain := jsonString(s, false)
	for _, f := range []string{
		plain,
		jsonString(s, true),
		strings.NewReplacer("<", `\u003C`, ">", `\u003E`, "&", `\u0026`, "'", `\u0027`, "+", `\u002B`, "`", `\u0060`, `\"`, `\u0022`).Replace(plain),
		strings.NewReplacer("<", `\u003C`, ">", `\u003E`, "&", `\u0026`, "'", `\u0027`, `\"`, `\u0022`).Replace(plain),
		strings.NewReplacer("<", `\u003c`, ">", `\u003e`, "&", `\u0026`, "'", `\u0027`, "=", `\u003d`).Replace(plain),
	} {
		for _, f := range []string{f, asciiJSON(f, "%04x"), asciiJSON(f, "%04X")} {
			forms = append(forms, f, strings.ReplaceAll(f, "/", `\/`))
		}
	}
	return forms
}

// jsonString is the inside of what encoding/json writes.
func jsonString(s string, escapeHTML bool) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(escapeHTML)
	if enc.Encode(s) != nil {
		return s // a string is always encoded
	}
	return inside(strings.TrimSuffix(b.String(), "\n"))
}

// asciiJSON writes all beyond ASCII as \uXXXX, in pairs where need be.
func asciiJSON(s, format string) string {
	var b strings.Builder
	for _, r := range s {
		if r < utf8.RuneSelf {
			b.WriteRune(r)
			continue
		}
		for _, u := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, `\u`+format, u)
		}
	}
	return b.String()
}

// yamlDouble writes s as between double quotes (YAML 1.2, 5.7), as libyaml does.
func yamlDouble(s string) string {
	names := map[rune]string{
		'"': `\"`, '\\': `\\`, 0: `\0`, 7: `\a`, 8: `\b`, '\t': `\t`, '\n': `\n`, 11: `\v`, 12: `\f`, '\r': `\r`,
		27: `\e`, 0x85: `\N`, 0xa0: `\_`, 0x2028: `\L`, 0x2029: `\P`,
	}
	var b strings.Builder
	for _, r := range s {
		switch n, ok := names[r]; {
		case ok:
			b.WriteString(n)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\x%02X`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// xmlForms: Go's two escapers, the five named entities, the three that must be.
func xmlForms(s string) []string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a Buffer does not fail
	three := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
	return []string{
		b.String(), html.EscapeString(s), three,
		strings.NewReplacer(`"`, "&quot;", "'", "&apos;").Replace(three),
		strings.NewReplacer(`"`, "&quot;", "'", "&#x27;").Replace(three),
		strings.NewReplacer(`"`, "&quot;", "'", "&#39;").Replace(three),
		strings.ReplaceAll(three, `"`, "&quot;"),
	}
}

// shellForms: between single quotes as the shell and as Python's shlex write it,
// between double quotes, with backslashes as printf %q, and as $'…'.
func shellForms(s string) []string {
	double := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "`", "\\`", "$", `\$`)
	ansi := strings.NewReplacer(`\`, `\\`, "'", `\'`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\x1b", `\E`)
	var q strings.Builder
	for _, r := range s {
		if strings.ContainsRune(" \t!\"#$&'()*,;<>?[\\]^`{|}~", r) {
			q.WriteByte('\\')
		}
		q.WriteRune(r)
	}
	bash := strings.NewReplacer(`\~`, "~", `:\~`, `:\~`, `=\~`, `=\~`)
	return []string{
		bash.Replace(q.String()),
		strings.ReplaceAll(s, "'", `'\''`), strings.ReplaceAll(s, "'", `'"'"'`),
		double.Replace(s), double.Replace(strings.ReplaceAll(s, "!", `\!`)), q.String(), ansi.Replace(s),
	}
}
