package index

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// encodings calls emit for every form in which programs write v, other than v
// itself. Some forms come more than once or equal v: the caller sorts that out.
func encodings(v []byte, emit func(name string, text []byte)) {
	base64Forms("base64", base64.StdEncoding, v, inURLs("base64", emit))
	base64Forms("base64url", base64.URLEncoding, v, emit)
	emit("hex", hex.AppendEncode(nil, v))
	emit("hex", bytes.ToUpper(hex.AppendEncode(nil, v)))
	escapes(v, func(name string, text []byte) {
		emit(name, text)
		// A file with the value escaped, in base64: JSON in a Kubernetes secret. Of
		// several lines, each is found by itself.
		if name != eachCharacter && !bytes.Equal(text, v) && bytes.IndexByte(v, '\n') < 0 {
			base64Forms("base64-"+name, base64.StdEncoding, text, emit)
		}
	})
	little, big := utf16Forms(v)
	emit("utf-16le", little)
	emit("utf-16be", big)
	// What PowerShell's -EncodedCommand takes.
	base64Forms("base64-utf-16le", base64.StdEncoding, little, emit)
	// Kubernetes encodes a Docker configuration, whose "auth" is encoded already.
	base64Forms("", base64.StdEncoding, v, func(_ string, inner []byte) {
		if len(inner) >= minLong {
			base64Forms("base64-twice", base64.StdEncoding, inner, emit)
		}
	})
	decodings(v, emit)
}

// base64Forms emits the base64 of v alone, with and without padding, and of v
// in the midst of other data: at each of the three alignments the characters
// that v alone decides.
func base64Forms(name string, enc *base64.Encoding, v []byte, emit func(string, []byte)) {
	for shift := range 3 {
		text, _ := base64Shifted(enc, v, shift)
		emit(name, text)
	}
	emit(name, enc.WithPadding(base64.NoPadding).AppendEncode(nil, v))
	emit(name, enc.AppendEncode(nil, v))
}

// inURLs calls emit for base64 and for what becomes of its + and / in a URL and
// in JSON, where PHP and .NET escape them.
func inURLs(name string, emit func(string, []byte)) func(string, []byte) {
	return func(_ string, text []byte) {
		emit(name, text)
		if !bytes.ContainsAny(text, "+/") {
			return
		}
		for _, r := range []*strings.Replacer{
			strings.NewReplacer("+", "%2B", "/", "%2F", "=", "%3D"), strings.NewReplacer("+", "%2b", "/", "%2f", "=", "%3d"),
			strings.NewReplacer("+", "%2B"), strings.NewReplacer("/", `\/`), strings.NewReplacer("+", `\u002B`), strings.NewReplacer("+", `\u002b`),
		} {
			emit(name, []byte(r.Replace(string(text))))
		}
	}
}

// base64Shifted encodes v with shift bytes before it, and returns the characters
// that lie wholly within v, and the number of bits of v before the first.
func base64Shifted(enc *base64.Encoding, v []byte, shift int) (text []byte, skipped int) {
	all := enc.WithPadding(base64.NoPadding).AppendEncode(nil, append(make([]byte, shift, shift+len(v)), v...))
	from, to := (8*shift+5)/6, 8*(shift+len(v))/6
	return all[from:to], 6*from - 8*shift
}

// utf16Forms returns v in UTF-16. Bytes that are no UTF-8 are widened one by one,
// as Latin-1.
func utf16Forms(v []byte) (little, big []byte) {
	var units []uint16
	if utf8.Valid(v) {
		units = utf16.Encode([]rune(string(v)))
	} else {
		for _, c := range v {
			units = append(units, uint16(c))
		}
	}
	for _, u := range units {
		little = append(little, byte(u), byte(u>>8))
		big = append(big, byte(u>>8), byte(u))
	}
	return little, big
}

// lineBreaks is v with the line breaks of Unix and with those of Windows, other
// than v itself: each encoding of the whole has its own bytes for them.
func lineBreaks(v []byte) (others [][]byte) {
	unix := bytes.ReplaceAll(v, []byte("\r\n"), []byte("\n"))
	for _, text := range [][]byte{unix, bytes.ReplaceAll(unix, []byte("\n"), []byte("\r\n"))} {
		if !bytes.Equal(text, v) {
			others = append(others, text)
		}
	}
	return others
}

// joins emits the forms of a value of several lines in which its line breaks
// are written otherwise or left out, as happens to keys in PEM.
func joins(v []byte, emit func(name string, text []byte)) {
	lines := bytes.Split(bytes.ReplaceAll(v, []byte("\r\n"), []byte("\n")), []byte("\n"))
	for _, by := range []string{`\n`, `\r\n`, `\\n`, "\n", "\r\n", "", " "} {
		emit("joined", bytes.Join(lines, []byte(by)))
	}
	if block, rest := pem.Decode(v); block != nil && len(bytes.TrimSpace(rest)) == 0 {
		emit("joined", pemBody(v))
	}
}

// pemBody is the base64 of the PEM block that v is, without armour, headers and
// line breaks, or nil.
func pemBody(v []byte) []byte {
	block, _ := pem.Decode(v)
	if block == nil {
		return nil
	}
	return base64.StdEncoding.AppendEncode(nil, block.Bytes)
}

// decodings emits what v is the encoding of: a program decodes a key and writes
// its bytes. Below 16 bytes that could be any text.
func decodings(v []byte, emit func(name string, text []byte)) {
	const least = 16
	if block, _ := pem.Decode(v); block != nil && len(block.Bytes) >= least {
		emit("der", block.Bytes)
	}
	if raw := make([]byte, hex.DecodedLen(len(v))); len(v)%2 == 0 {
		if n, err := hex.Decode(raw, v); err == nil && n >= least {
			emit("hex-decoded", raw)
			return
		}
	}
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if raw, err := enc.AppendDecode(nil, v); err == nil && len(raw) >= least && !plain(raw) {
			emit("base64-decoded", raw)
			return
		}
	}
}

// plain says whether all bytes are printable ASCII or line breaks: the text that
// comes out is looked for only if it is telling itself.
func plain(b []byte) bool {
	for _, c := range b {
		if (c < ' ' || c > '~') && c != '\n' && c != '\r' && c != '\t' {
			return false
		}
	}
	return !tellingField(string(b))
}
