package index

import (
	"bytes"
	"slices"
	"strings"
	"unicode"
)

// common lists values that hide nothing: whoever searched for them would find
// them everywhere. In lower case. "masked" is our own word.
var common = words(`
	false default disabled enabled release staging testing example develop development production
	localhost 127.0.0.1 0.0.0.0 unknown nothing undefined
	masked secret secrets password passwords passwd changeme change-me change_me placeholder
	admin123 administrator username anonymous postgres postgresql mongodb mariadb rabbitmq elastic
	docker github gitlab registry service public private master latest stable config server client
	letmein welcome qwerty abcdef abc123 123456 1234567 12345678 123456789 1234567890
	us-east-1 us-east-2 us-west-1 us-west-2 eu-west-1 eu-central-1 string number boolean object
`)

func words(list string) map[string]bool {
	set := map[string]bool{}
	for w := range strings.FieldsSeq(list) {
		set[w] = true
	}
	return set
}

// weak says that a value, trimmed, is too short or too common to look for.
func weak(v []byte) bool {
	if len(v) < MinPattern || common[strings.ToLower(string(v))] {
		return true
	}
	return bytes.Count(v, v[:1]) == len(v) // one character again and again
}

// tellingLines are the lines of a value of several lines that are worth looking
// for on their own, trimmed. A line that any other file may have (PEM armour,
// "apiVersion: v1", a bracket) is not among them.
func tellingLines(v []byte) [][]byte {
	if !bytes.ContainsAny(v, "\n") {
		return nil
	}
	var lines [][]byte
	public := sshPublicLines(v)
	armoured := false
	for l := range bytes.FieldsFuncSeq(v, func(r rune) bool { return r == '\n' || r == '\r' }) {
		l = bytes.TrimSpace(l)
		switch {
		case public[string(l)]:
		case bytes.HasPrefix(l, []byte("-----")):
			armoured = bytes.HasPrefix(l, []byte("-----BEGIN "))
		case tellingLine(string(l)), armoured && keyMaterial(l):
			lines = append(lines, l)
		}
	}
	return lines
}

// keyMaterial says whether a line between PEM's armour is a row of base64. The
// last row is short and may begin with a slash, and counts all the same.
func keyMaterial(l []byte) bool {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
	return len(l) >= minLong && !weak(l) && !bytes.HasPrefix(l, []byte(publicLine)) &&
		len(bytes.Trim(l, alphabet)) == 0
}

// publicLine begins the first line of every unencrypted OpenSSH key.
const publicLine = "b3BlbnNzaC1rZXktdjE"

func tellingLine(l string) bool {
	switch {
	case len(l) < minLong, weak([]byte(l)), strings.HasPrefix(l, "-----"):
		return false
	case strings.HasPrefix(l, publicLine) && len(l) <= 76:
		return false
	case !strings.ContainsFunc(l, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }):
		return false
	}
	key, value, ok := cutKey(l)
	if ok {
		return tellingSetting(key, value)
	}
	if strings.ContainsAny(l[:1], "#<[{;/") || strings.HasSuffix(l, ":") {
		return hinted(l) && tellingField(l) || randomWord(l)
	}
	return true
}

// cutKey splits a line such as «"key": "value",», «export KEY=value»,
// «- key: value» or «password value» (netrc).
func cutKey(l string) (key, value string, ok bool) {
	l = strings.TrimPrefix(strings.TrimPrefix(l, "export "), "- ")
	const trim = " \t\"'"
	for i, r := range l {
		switch {
		case r == '=' || r == ':' && (i+1 == len(l) || strings.ContainsRune(" \t\"'", rune(l[i+1]))):
			key, value = strings.Trim(l[:i], trim), strings.Trim(strings.TrimRight(l[i+1:], ",; \t"), trim)
			// The padding of base64 is no key's end.
			return key, value, key != "" && strings.Trim(value, "=") != ""
		case r == ' ' && slices.Contains([]string{"machine", "login", "password", "account", "Host", "HostName", "User"}, l[:i]):
			return l[:i], strings.Trim(l[i+1:], trim), true
		case unicode.IsSpace(r):
			if rest := strings.TrimLeft(l[i:], " \t"); rest == "" || !strings.ContainsAny(rest[:1], "=:") {
				return "", "", false
			}
		}
	}
	return "", "", false
}

// tellingSetting judges a line that is a key and its value.
func tellingSetting(key, value string) bool {
	low := strings.ToLower(key)
	address := strings.Contains(value, "://")
	switch {
	case len(value) < MinPattern || weak([]byte(value)):
		return false
	case address && !strings.Contains(value, "@") && !strings.Contains(value, "?"):
		return false // the address of a service
	case publicKeys[low]:
		return false
	case hinted(low) || address:
		return true
	}
	return tellingField(value)
}

// publicKeys are settings that stand beside secrets and are none.
var publicKeys = map[string]bool{
	"type": true, "project_id": true, "client_email": true, "client_id": true, "universe_domain": true,
	"apiversion": true, "kind": true, "name": true, "namespace": true, "cluster": true, "current-context": true,
	"server": true, "host": true, "hostname": true, "port": true, "user": true, "username": true, "login": true,
	"machine": true, "region": true, "email": true, "registry": true, "version": true, "comment": true,
	"proc-type": true, "dek-info": true,
}

// hinted says whether a text speaks of a secret.
func hinted(s string) bool {
	s = strings.ToLower(s)
	for _, h := range []string{"pass", "pwd", "secret", "token", "credential", "apikey", "api_key", "api-key", "private", "auth", "_key"} {
		if strings.Contains(s, h) {
			return true
		}
	}
	return false
}

// tellingField says whether a text has a word that somebody or something made
// up: of 8 and more characters with two digits and two letters among them, or
// with a character that names do not have, or of 20 and more without a gap.
func tellingField(s string) bool {
	for w := range strings.FieldsFuncSeq(s, func(r rune) bool {
		return unicode.IsSpace(r) || strings.ContainsRune("\"'`,;:/.()[]{}<>", r)
	}) {
		digits, letters, odd := 0, 0, 0
		for _, r := range w {
			switch {
			case unicode.IsDigit(r):
				digits++
			case unicode.IsLetter(r):
				letters++
			case strings.ContainsRune("!$%^&*#~+|\\", r):
				odd++
			}
		}
		if len(w) >= 8 && (digits >= 2 && letters >= 2 || odd > 0 && letters >= 2) || len(w) >= 20 {
			return true
		}
	}
	return false
}

// randomWord says whether a text has a long stretch that looks random.
func randomWord(s string) bool {
	for i := 0; i+rawPart <= len(s); i++ {
		if telling([]byte(s[i : i+rawPart])) {
			return true
		}
	}
	return false
}
