package source

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/org/secure-build/internal/hint"
)

// parseKey takes a key path apart: components between dots, a component that
// has dots of its own in quotes ("a.b".c) or with a backslash (a\.b.c), or
// what people know from sops --extract: ["a"]["b"][0].
func parseKey(key string) ([]string, error) {
	if strings.HasPrefix(key, "[") {
		if path, err := parseExtract(key); err == nil {
			return path, nil
		}
	}
	path, err := parseDotted(key)
	return path, hint.Wrap(err, `write a.b.c, or "a.b".c when a key has a dot in its name`)
}

func parseDotted(key string) ([]string, error) {
	var path []string
	var part strings.Builder
	for rest := key; ; {
		isQuoted := strings.HasPrefix(rest, `"`)
		quoted, after, err := cutQuoted(rest)
		if err != nil {
			return nil, err
		}
		part.Reset()
		part.WriteString(quoted)
		rest = after
		for rest != "" && rest[0] != '.' {
			if rest[0] == '\\' && len(rest) > 1 {
				rest = rest[1:]
			}
			part.WriteByte(rest[0])
			rest = rest[1:]
		}
		if part.Len() == 0 && !isQuoted {
			return nil, fmt.Errorf("the key %q has an empty part", key)
		}
		path = append(path, part.String())
		if rest == "" {
			return path, nil
		}
		rest = rest[1:]
	}
}

// cutQuoted takes a quoted component off the front of text.
func cutQuoted(text string) (quoted, rest string, err error) {
	if !strings.HasPrefix(text, `"`) {
		return "", text, nil
	}
	prefix, err := strconv.QuotedPrefix(text)
	if err != nil {
		return "", "", errors.New("a quote that does not end")
	}
	quoted, err = strconv.Unquote(prefix)
	rest = text[len(prefix):]
	if err != nil || rest != "" && rest[0] != '.' {
		return "", "", errors.New("a quote that ends inside of a key")
	}
	return quoted, rest, nil
}

// parseExtract reads the path of sops decrypt --extract.
func parseExtract(key string) ([]string, error) {
	var path []string
	for key != "" {
		dec := json.NewDecoder(strings.NewReader(key))
		var one []any
		if err := dec.Decode(&one); err != nil || len(one) != 1 {
			return nil, errors.New(`not a path like ["a"]["b"]`)
		}
		switch part := one[0].(type) {
		case string:
			path = append(path, part)
		case float64:
			path = append(path, strconv.FormatFloat(part, 'f', -1, 64))
		default:
			return nil, errors.New(`not a path like ["a"]["b"]`)
		}
		key = key[dec.InputOffset():]
	}
	return path, nil
}

// formatKey writes a path so that parseKey reads it back, and so that it can be
// printed whatever bytes a hostile file has for its keys.
func formatKey(path []string) string {
	parts := make([]string, len(path))
	for i, p := range path {
		parts[i] = p
		if !plainKey(p) {
			parts[i] = strconv.Quote(p)
		}
	}
	return strings.Join(parts, ".")
}

func plainKey(p string) bool {
	for _, c := range []byte(p) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-', c == '/':
		default:
			return false
		}
	}
	return p != ""
}
