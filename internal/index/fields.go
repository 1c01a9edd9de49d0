package index

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// fields are the secrets within a secret: the password in the URL of a
// database, the values of a settings file, of JSON, of Docker's "auth". 8 bytes
// and more, and a bounded number of them.
func fields(v []byte) [][]byte {
	var found [][]byte
	add := func(s string) {
		if len(found) < 4*manyLines && len(s) >= minLong && !weak([]byte(s)) {
			found = append(found, []byte(s))
		}
	}
	var tree any
	if strings.HasPrefix(string(v), "{") && json.Unmarshal(v, &tree) == nil {
		jsonFields("", tree, add)
		return found
	}
	for l := range strings.FieldsFuncSeq(string(v), func(r rune) bool { return r == '\n' || r == '\r' }) {
		l = strings.TrimSpace(l)
		for word := range strings.FieldsFuncSeq(l, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune("\"'<>", r) }) {
			addPassword(word, add)
		}
		key, value, ok := cutKey(l)
		addSetting(key, value, ok, add)
	}
	return found
}

// jsonFields walks decoded JSON; key is that of the nearest object.
func jsonFields(key string, tree any, add func(string)) {
	switch t := tree.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(t)) {
			jsonFields(k, t[k], add)
		}
	case []any:
		for _, v := range t {
			jsonFields(key, v, add)
		}
	case string:
		addPassword(t, add)
		addSetting(key, t, true, add)
		if b, err := base64.StdEncoding.DecodeString(t); err == nil && key == "auth" {
			if _, pass, ok := strings.Cut(string(b), ":"); ok {
				add(pass)
			}
		}
	}
}

// addPassword adds the password of a URL.
func addPassword(word string, add func(string)) {
	_, rest, ok := strings.Cut(word, "://")
	if !ok {
		return
	}
	rest, _, _ = strings.Cut(rest, "/")
	user, pass, ok := strings.Cut(rest[:max(0, strings.LastIndex(rest, "@"))], ":")
	if ok && user != pass {
		add(pass)
	}
}

// addSetting adds the value of a setting that is one word and tells.
func addSetting(key, value string, ok bool, add func(string)) {
	if ok && !strings.ContainsAny(value, " \t\n") && !strings.Contains(value, "://") && tellingSetting(key, value) {
		add(value)
	}
}
