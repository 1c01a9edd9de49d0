package rules

import "bytes"

// confirmed says whether a match is what its rule is for, where the rule's own
// expression is too generous.
func (c *candidate) confirmed(id string) bool {
	switch id {
	case privateKey:
		return isKey(c.secret)
	case "square-access-token":
		// "EAAA" begins many a line of base64.
		return bytes.HasPrefix(c.secret, []byte("sq0")) || containsNear(c.buf, c.from, [][]byte{[]byte("square")})
	}
	return true
}

// Bounds of what is taken for the body of a key.
const (
	keyBody    = 64  // characters: an Ed25519 key in PKCS #8 has exactly these
	keyEntropy = 4.0 // bits per character; base64 of a key has more than 5
)

// isKey says whether a match of the rule for private keys holds a key, and not
// only the two lines around one: libraries that read PEM have both in a row, as
// documentation has "…" between them.
//
// Line breaks may be written "\n" or "\\n", lines quoted and joined, as in JSON,
// YAML and source. Headers as "Proc-Type: 4,ENCRYPTED" have no effect: the
// longest run of base64 counts.
func isKey(match []byte) bool {
	body := match
	if i := bytes.Index(body[min(11, len(body)):], []byte("-----")); i >= 0 {
		body = body[min(11, len(body))+i+5:]
	}
	if i := bytes.LastIndex(body, []byte("-----END")); i >= 0 {
		body = body[:i]
	}
	var run, best []byte
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case isBase64(c):
			run = append(run, c)
			continue
		case c == '\\':
			for i+1 < len(body) && body[i+1] == '\\' {
				i++
			}
			if i+1 < len(body) && (body[i+1] == 'n' || body[i+1] == 'r') {
				i++
			}
			continue
		case c == ' ', c == '\t', c == '\n', c == '\r', c == '"', c == '\'', c == ',':
			continue
		}
		if len(run) > len(best) {
			best = append(best[:0], run...)
		}
		run = run[:0]
	}
	if len(run) > len(best) {
		best = run
	}
	return len(best) >= keyBody && entropy(best) >= keyEntropy
}

func isBase64(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '+' || c == '/' || c == '='
}
