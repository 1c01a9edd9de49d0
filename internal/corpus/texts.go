package corpus

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"html"
	"math/rand/v2"
	"net/url"
	"os"
	"strconv"
	"strings"
	"unicode/utf16"
)

// A text is a form in which a value stands in a file as it is.
type text struct {
	name   string
	dir    string // where such files are; "" for a folder of programs
	file   string
	single bool // cannot hold a value of several lines
	write  func(r *rand.Rand, v string) string
}

// around puts text before and after what f makes of a value.
func around(before string, f func(string) string, after string) func(*rand.Rand, string) string {
	return func(_ *rand.Rand, v string) string { return before + f(v) + after }
}

func same(s string) string { return s }

func in(enc *base64.Encoding) func(string) string {
	return func(s string) string { return enc.EncodeToString([]byte(s)) }
}

// shifted puts n bytes before the value, so that its base64 begins n bytes after
// a group of three.
func shifted(enc *base64.Encoding, n int) func(*rand.Rand, string) string {
	return func(r *rand.Rand, v string) string {
		return "data: " + enc.EncodeToString([]byte(letters(r, 27+n)+v+letters(r, 32-n))) + "\n"
	}
}

// wrapped is a longer document in base64, in rows.
func wrapped(width int, end string) func(*rand.Rand, string) string {
	return func(r *rand.Rand, v string) string {
		return "Content-Transfer-Encoding: base64" + end + end +
			rows(base64.StdEncoding.EncodeToString([]byte(words(r, 21)+v+words(r, 20))), width, end)
	}
}

var (
	std     = base64.StdEncoding
	b64     = std.EncodeToString
	replace = func(pairs ...string) func(string) string { return strings.NewReplacer(pairs...).Replace }
)

// texts are all such forms: encodings, file formats, and places that scanners
// leave out.
var texts = []text{
	{name: "raw in a text", file: "app.log", write: func(r *rand.Rand, v string) string { return words(r, 80) + v + words(r, 80) }},
	{name: "raw in a binary", file: "core", write: func(r *rand.Rand, v string) string { return noise(r, 4000) + v + noise(r, 4000) }},
	{name: "raw at the end of an ELF file", file: "server", write: func(r *rand.Rand, v string) string { return program(r) + v }},
	{name: "raw in a database page", file: "app.sqlite", write: func(r *rand.Rand, v string) string {
		return "SQLite format 3\x00\x10\x00\x01\x01\x00\x40\x20\x20" + noise(r, 800) + "\x00\x83\x09\x05\x06\x00\x17\x81\x0d\x06root" + v + "\x02\x00" + noise(r, 700)
	}},
	{name: "env file", file: ".env", write: around("PORT=80\nPASSWORD='", same, "'\n")},
	{name: "JSON", file: "config.json", write: around(`{"password":`, inJSON(true), "}")},
	{name: "JSON without HTML escapes", file: "config.json", write: around(`{"password":`, inJSON(false), "}")},
	{name: `JSON with \/`, file: "config.json", write: around(`{"password":`, func(s string) string { return strings.ReplaceAll(inJSON(false)(s), "/", `\/`) }, "}")},
	{name: "JSON in JSON", file: "app.log", write: around(`{"message":`, func(s string) string { return inJSON(false)(`{"password":` + inJSON(false)(s) + `}`) }, "}")},
	{name: "YAML, double quotes", file: "values.yaml", write: around("db:\n  password: \"", replace(`\`, `\\`, `"`, `\"`, "\n", `\n`), "\"\n")},
	{name: "YAML, single quotes", file: "values.yaml", single: true, write: around("db:\n  password: '", replace("'", "''"), "'\n")},
	{name: "YAML block", file: "values.yaml", write: around("key: |\n    ", replace("\n", "\n    "), "\nport: 80\n")},
	{name: "XML", file: "settings.xml", write: around("<password>", inXML, "</password>")},
	{name: "XML attribute", file: "settings.xml", write: around(`<user password="`, replace("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;"), `"/>`)},
	{name: "HTML", file: "index.html", write: around(`<input value="`, html.EscapeString, `">`)},
	{name: "HTML, a number for each character", file: "index.html", write: around("<p>", each("&#%d;"), "</p>")},
	{name: "HTML, a hex number for each character", file: "index.html", write: around("<p>", each("&#x%X;"), "</p>")},
	{name: "shell, single quotes", file: "run.sh", write: around("export PW='", replace("'", `'\''`), "'\n")},
	{name: "shell, double quotes", file: "run.sh", write: around(`export PW="`, replace(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`"), "\"\n")},
	{name: "shell, backslashes", file: "run.sh", single: true, // as printf %q of bash writes it
		write: around("export PW=", replace(`\`, `\\`, `"`, `\"`, "$", `\$`, "&", `\&`, "'", `\'`, "<", `\<`, ">", `\>`, "?", `\?`), "\n")},
	{name: "shell, $''", file: "run.sh", write: around("PW=$'", replace(`\`, `\\`, "'", `\'`, "\n", `\n`), "'\n")},
	{name: "Go string", file: "main.go", write: around("const pw = ", strconv.Quote, "\n")},
	{name: "C string", file: "main.c", write: around(`char *pw = "`, replace(`\`, `\\`, `"`, `\"`, "\n", `\n`), "\";\n")},
	{name: "JavaScript, single quotes", file: "main.js", write: around(`pw = '`, replace(`\`, `\\`, `'`, `\'`, "\n", `\n`), "';\n")},
	{name: `\u of the odd characters, as .NET writes JSON`, file: "appsettings.json", single: true,
		write: around(`{"pw":"`, replace(`"`, `\u0022`, "&", `\u0026`, "'", `\u0027`, "+", `\u002B`, "<", `\u003C`, ">", `\u003E`, `\`, `\\`), `"}`)},
	{name: `\u of the odd characters, as Gson writes JSON`, file: "app.json", single: true,
		write: around(`{"pw":"`, replace("&", `\u0026`, "'", `\u0027`, "<", `\u003c`, ">", `\u003e`, "=", `\u003d`, `"`, `\"`, `\`, `\\`), `"}`)},
	{name: `\u of the odd characters, as PHP writes JSON for a page`, file: "page.html", single: true,
		write: around(`pw = "`, replace("&", `\u0026`, "'", `\u0027`, "<", `\u003C`, ">", `\u003E`, `"`, `\u0022`, `\`, `\\`, "/", `\/`), `"`)},
	{name: `\u of each character`, file: "messages.properties", write: around("pw=", each(`\u%04x`), "\n")},
	{name: `\x of each character`, file: "main.js", write: around("pw='", each(`\x%02x`), "'\n")},
	{name: "base64", file: "secret.yaml", write: around("data:\n  pw: ", in(std), "\n")},
	{name: "base64 without padding", file: "secret.yaml", write: around("pw: ", in(base64.RawStdEncoding), "\n")},
	{name: "base64 in the midst, aligned", file: "blob.txt", write: shifted(std, 0)},
	{name: "base64 in the midst, one byte off", file: "blob.txt", write: shifted(std, 1)},
	{name: "base64 in the midst, two bytes off", file: "blob.txt", write: shifted(std, 2)},
	{name: "base64url", file: "token.txt", write: around("pw=", in(base64.URLEncoding), "\n")},
	{name: "base64url without padding", file: "token.txt", write: around("pw=", in(base64.RawURLEncoding), "\n")},
	{name: "base64url in the midst, one byte off", file: "token.txt", write: shifted(base64.URLEncoding, 1)},
	{name: "base64 in rows of 64", file: "mail.eml", write: wrapped(64, "\n")},
	{name: "base64 in rows of 76", file: "mail.eml", write: wrapped(76, "\n")},
	{name: "base64 in rows with CRLF", file: "mail.eml", write: wrapped(76, "\r\n")},
	{name: "base64 twice", file: "secret.yaml", write: around("pw: ", func(s string) string { return b64([]byte(b64([]byte(s)))) }, "\n")},
	{name: "base64 of UTF-16", file: "run.ps1", write: around("powershell -EncodedCommand ", func(s string) string { return b64(wide("$pw = '"+s+"'", binary.LittleEndian)) }, "\n")},
	{name: "base64 in a URL", file: "access.log", write: around("GET /?auth=", func(s string) string { return url.QueryEscape(b64([]byte(s))) }, "&x=1\n")},
	{name: `base64 in JSON with \/`, file: "cache.json", write: around(`{"pw":"`, func(s string) string { return strings.ReplaceAll(b64([]byte(s)), "/", `\/`) }, `"}`)},
	{name: "base64 in JSON of .NET's", file: "cache.json", write: around(`{"pw":"`, func(s string) string { return strings.ReplaceAll(b64([]byte(s)), "+", `\u002B`) }, `"}`)},
	{name: "base64 of JSON", file: "secret.yaml", write: around("config.json: ", func(s string) string { return b64([]byte(`{"user":"app","password":` + inJSON(true)(s) + "}")) }, "\n")},
	{name: "base64 of a data source name", file: "secret.yaml", single: true,
		write: around("dsn: ", func(s string) string { return b64([]byte("postgres://app:" + url.QueryEscape(s) + "@db/app")) }, "\n")},
	{name: "base64 of a script", file: "user-data.yaml", write: around("user-data: ", func(s string) string {
		return b64([]byte("#!/bin/sh\nexport PW='" + strings.ReplaceAll(s, "'", `'\''`) + "'\n"))
	}, "\n")},
	{name: "hex", file: "dump.txt", write: around("pw=", hexOf, "\n")},
	{name: "HEX", file: "dump.txt", write: around("pw=", func(s string) string { return strings.ToUpper(hexOf(s)) }, "\n")},
	{name: "hex in rows", file: "dump.txt", write: func(r *rand.Rand, v string) string { return rows(hexOf(words(r, 9)+v+words(r, 9)), 60, "\n") }},
	{name: "percent, query", file: "access.log", write: around("GET /?pw=", url.QueryEscape, "&x=1 HTTP/1.1\n")},
	{name: "percent, path", file: "access.log", write: around("GET /", url.PathEscape, " HTTP/1.1\n")},
	{name: "percent, lower case", file: "access.log", write: around("GET /?pw=", lowerPercent, "&x=1\n")},
	{name: "percent, each character", file: "access.log", write: around("GET /?pw=", each("%%%02X"), "&x=1\n")},
	{name: "UTF-16, little endian", file: "registry.reg", write: around("\xff\xfe", func(s string) string { return string(wide("pw="+s+"\r\n", binary.LittleEndian)) }, "")},
	{name: "UTF-16 with CRLF, as PowerShell writes it", file: "copy.pem", write: around("\xff\xfe", func(s string) string {
		return string(wide("pw:\r\n"+strings.ReplaceAll(s, "\n", "\r\n"), binary.LittleEndian))
	}, "")},
	{name: "UTF-16 of base64 in rows", file: "cert.txt", write: func(r *rand.Rand, v string) string {
		return "\xff\xfe" + string(wide(wrapped(64, "\r\n")(r, v), binary.LittleEndian))
	}},
	{name: "base64 in rows of bytes in Python", file: "blob.py", write: func(r *rand.Rand, v string) string {
		return "blob = (b\"" + rows(b64([]byte(words(r, 21)+v+words(r, 20))), 76, "\"\n        b\"") + "\")\n"
	}},
	{name: "UTF-16, big endian", file: "registry.reg", write: around("\xfe\xff", func(s string) string { return string(wide("pw="+s+"\r\n", binary.BigEndian)) }, "")},
	{name: "basic auth", file: "request.http", single: true, write: around("Authorization: Basic ", func(s string) string { return b64([]byte("deploy:" + s)) }, "\r\n")},
	{name: "Docker's auth", dir: "root/.docker", file: "config.json", single: true,
		write: around(`{"auths":{"registry.example.com":{"auth":"`, func(s string) string { return b64([]byte("ci-robot:" + s)) }, `"}}}`)},
	{name: "Docker's auth in a Kubernetes secret", file: "pull.yaml", single: true,
		write: around(".dockerconfigjson: ", func(s string) string {
			return b64([]byte(`{"auths":{"registry.example.com":{"auth":"` + b64([]byte("robot:"+s)) + `"}}}`))
		}, "\n")},
	{name: "data source name", file: "app.ini", single: true, write: around("postgres://app:", func(s string) string { return strings.TrimPrefix(url.UserPassword("", s).String(), ":") }, "@db:5432/app\n")},
	{name: ".netrc", dir: "root", file: ".netrc", single: true, write: around("machine example.com login ci password ", same, "\n")},
	{name: ".npmrc", dir: "root", file: ".npmrc", single: true, write: around("//registry.example.com/:_authToken=", same, "\n")},
	{name: ".pgpass", dir: "root", file: ".pgpass", single: true, write: around("db:5432:app:app:", replace(`\`, `\\`, ":", `\:`), "\n")},
	{name: "git credentials", dir: "root", file: ".git-credentials", single: true, write: around("https://ci:", url.QueryEscape, "@git.example.com\n")},
	{name: "raw in usr/lib", dir: "usr/lib/python3/dist-packages", file: "settings.py", write: around("PW = '''", same, "'''\n")},
	{name: "raw in usr/share", dir: "usr/share/doc", file: "README.md", write: around("    ", same, "\n")},
	{name: "raw in node_modules", dir: "srv/node_modules/left-pad", file: "index.js", write: around("x = `", same, "`\n")},
	{name: "raw in a test", dir: "srv/app/test/fixtures", file: "example_test.go", write: around("pw := `", same, "` // example gitleaks:allow\n")},
	{name: "raw in an example", dir: "usr/share/examples", file: "example.conf", write: around("pw = ", same, "\n")},
	{name: "raw in a lock file", dir: "srv/app", file: "package-lock.json", write: around(`"resolved": "`, same, "\"\n")},
	{name: "raw in an image", dir: "srv/app/static", file: "logo.png", write: func(r *rand.Rand, v string) string { return "\x89PNG\r\n\x1a\n" + noise(r, 900) + v + noise(r, 90) }},
	{name: "raw in a trace of Python's", dir: "srv/app/__pycache__", file: "app.cpython-313.pyc", write: func(r *rand.Rand, v string) string {
		return "\xf3\x0d\x0d\x0a" + noise(r, 300) + "\xda" + v + noise(r, 300)
	}},
}

// program is a real one, if this machine has it.
func program(r *rand.Rand) string {
	b, err := os.ReadFile("/bin/true")
	if err != nil {
		return "\x7fELF\x02\x01\x01" + noise(r, 9000)
	}
	return string(b)
}

func inJSON(escapeHTML bool) func(string) string {
	return func(s string) string {
		var b strings.Builder
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(escapeHTML)
		_ = enc.Encode(s) // of a string, into memory
		return strings.TrimSuffix(b.String(), "\n")
	}
}

func inXML(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // into memory
	return b.String()
}

func hexOf(s string) string { return hex.EncodeToString([]byte(s)) }

// each writes every byte of an ASCII text by a verb.
func each(verb string) func(string) string {
	return func(s string) string {
		var b strings.Builder
		for _, c := range []byte(s) {
			fmt.Fprintf(&b, verb, c)
		}
		return b.String()
	}
}

func lowerPercent(s string) string {
	parts := strings.Split(url.QueryEscape(s), "%")
	for i := 1; i < len(parts); i++ {
		parts[i] = strings.ToLower(parts[i][:2]) + parts[i][2:]
	}
	return strings.Join(parts, "%")
}

func wide(s string, order binary.AppendByteOrder) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = order.AppendUint16(b, u)
	}
	return b
}
