package canary

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
)

// Deep returns value in every encoding that a scan of files has to know: Forms,
// each dialect of an escape, all of these in base64 again, base64 as URLs and
// JSON write it, and rows of both. A form that reads as one before it is left
// out, so how many there are hangs on the value.
func Deep(value []byte) []Form {
	forms := Forms(value)
	for _, e := range dialects {
		forms = append(forms, escaped(e.name, value, e.write))
	}
	for _, e := range eachOf {
		forms = append(forms, escaped(e.name, value, e.write))
	}
	for _, list := range [][]escaper{escapers, dialects} {
		for _, e := range list {
			if e.name != "utf-16be" {
				forms = append(forms, packed(e, value)...)
			}
		}
	}
	forms = append(forms, twice(value)...)
	for _, e := range inURLs {
		coded := base64.StdEncoding.EncodeToString(value)
		forms = append(forms, escaped("base64 "+e.name, []byte(coded), e.write))
	}
	forms = append(forms, narrow("base64", base64.StdEncoding.EncodeToString(value)), narrow("hex", hex.EncodeToString(value)))
	return distinct(forms)
}

func distinct(forms []Form) (kept []Form) {
	seen := map[string]bool{}
	for _, f := range forms {
		if !seen[string(f.Text)] {
			seen[string(f.Text)] = true
			kept = append(kept, f)
		}
	}
	return kept
}

// An escaper writes a value character by character.
type escaper struct {
	name  string
	write func(string) string
}

// dialects are what some programs escape, and others do not.
var dialects = []escaper{
	{"percent, JavaScript's", script},
	{"percent, JavaScript's, lower case", func(s string) string { return lowerEscapes(script(s)) }},
	{"percent in a path", url.PathEscape},
	{"percent in a path, lower case", func(s string) string { return lowerEscapes(url.PathEscape(s)) }},
	{"percent of a user", func(s string) string { return url.User(s).String() }},
	{"percent of a user, lower case", func(s string) string { return lowerEscapes(url.User(s).String()) }},
	{`json with \/`, slashed(func(s string) string { return jsonText(s, false) })},
	{`json for html, with \/`, slashed(func(s string) string { return jsonText(s, true) })},
	{"json, .NET's", dotNet.Replace},
	{`json, .NET's, with \/`, slashed(dotNet.Replace)},
	{"json, PHP's for html", php.Replace},
	{`json, PHP's for html, with \/`, slashed(php.Replace)},
	{"json, Gson's", gson.Replace},
	{`json, Gson's, with \/`, slashed(gson.Replace)},
	{"json in json", func(s string) string { return jsonText(jsonText(s, false), false) }},
	{"json in json for html", func(s string) string { return jsonText(jsonText(s, true), true) }},
	{"yaml, single quotes", strings.NewReplacer("'", "''").Replace},
	{"xml, what must be", strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace},
	{"xml, by name", xmlQuotes("&apos;")},
	{"xml, OWASP's", xmlQuotes("&#x27;")},
	{"xml, by number", xmlQuotes("&#39;")},
	{"xml attribute", xmlQuotes("'")},
	{"shell, double quotes", strings.NewReplacer(`\`, `\\`, `"`, `\"`, "`", "\\`", "$", `\$`).Replace},
	{"shell, backslashes", backslashes},
	{"shell, $''", strings.NewReplacer(`\`, `\\`, "'", `\'`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace},
	{"backslash", strings.NewReplacer(`\`, `\\`).Replace}, // .properties
	{"backslash, .pgpass", strings.NewReplacer(`\`, `\\`, ":", `\:`).Replace},
}

// eachOf leave no character as it is. Like the index, they are no form to look
// for in base64.
var eachOf = []escaper{
	{`each \x`, each(`\x%02x`)},
	{`each \X`, each(`\x%02X`)},
	{"each percent", each("%%%02x")},
	{"each percent, upper case", each("%%%02X")},
	{`each \u`, each(`\u%04x`)},
	{`each \U`, each(`\u%04X`)},
	{"each &#", each("&#%d;")},
	{"each &#x", each("&#x%x;")},
	{"each &#X", each("&#x%X;")},
}

// inURLs are what becomes of the + and / of base64.
var inURLs = []escaper{
	{"in a URL", url.QueryEscape},
	{"in a URL, lower case", func(s string) string { return lowerEscapes(url.QueryEscape(s)) }},
	{"in a URL, + only", strings.NewReplacer("+", "%2B").Replace},
	{`in json with \/`, strings.NewReplacer("/", `\/`).Replace},
	{"in json, .NET's", strings.NewReplacer("+", `\u002B`).Replace},
	{"in json, .NET's, lower case", strings.NewReplacer("+", `\u002b`).Replace},
}

// The rest of json, as others than Go write it. `\"` is the first that fits.
var (
	dotNet = strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`, `"`, `\u0022`,
		"<", `\u003C`, ">", `\u003E`, "&", `\u0026`, "'", `\u0027`, "+", `\u002B`, "`", `\u0060`)
	php = strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`, `"`, `\u0022`,
		"<", `\u003C`, ">", `\u003E`, "&", `\u0026`, "'", `\u0027`)
	gson = strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`, `"`, `\"`,
		"<", `\u003c`, ">", `\u003e`, "&", `\u0026`, "'", `\u0027`, "=", `\u003d`)
)

func slashed(write func(string) string) func(string) string {
	return func(s string) string { return strings.ReplaceAll(write(s), "/", `\/`) }
}

// script is encodeURIComponent of JavaScript.
func script(s string) string {
	return strings.NewReplacer("%21", "!", "%27", "'", "%28", "(", "%29", ")", "%2A", "*").Replace(percent(s))
}

func xmlQuotes(single string) func(string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", single).Replace
}

// backslashes is printf %q of bash, for what has no line breaks in it.
func backslashes(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune(" \t!\"#$&'()*,;<>?[\\]^`{|}", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

func each(verb string) func(string) string {
	return func(s string) string {
		var b strings.Builder
		for _, c := range []byte(s) {
			fmt.Fprintf(&b, verb, c)
		}
		return b.String()
	}
}

// packed is the base64 of what e writes: alone, and with one and with two bytes
// before it, which makes three different texts.
func packed(e escaper, value []byte) []Form {
	text := []byte(e.write(string(value)))
	return []Form{
		amidst("base64 of "+e.name, base64.StdEncoding, "", text, ""),
		amidst("base64 of ="+e.name, base64.StdEncoding, "=", text, "\n"),
		amidst("base64 of :="+e.name, base64.StdEncoding, ":=", text, "\n"),
	}
}

// twice is base64 of base64, of which either may begin anywhere.
func twice(value []byte) (forms []Form) {
	for i := range 3 {
		once := base64.StdEncoding.AppendEncode(nil, append([]byte("=:="[:i]), value...))
		for j := range 3 {
			forms = append(forms, amidst(fmt.Sprintf("base64 twice, %d and %d bytes off", i, j), base64.StdEncoding, "=:="[:j], once, ""))
		}
	}
	return forms
}

// narrow writes a text in two rows, where Forms has one.
func narrow(name, text string) Form {
	at := (len(text) + 1) / 2 / 4 * 4
	return Form{
		Name: name + " in narrow rows", Text: []byte(text[:at] + "\n" + text[at:] + "\n"),
		decided: [][]byte{[]byte(text[:at]), []byte(strings.TrimRight(text[at:], "="))},
	}
}
