package index

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"slices"
)

// opensshMagic begins what the base64 of an OpenSSH key encodes.
// https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.key
const opensshMagic = "openssh-key-v1\x00"

// sshPublic marks the characters of an OpenSSH private key that encode what is
// public: the public key, which the file has once by itself and again beside the
// private one, where its base64 may read as it does in authorized_keys, and the
// comment.
// It returns nil for anything else.
func sshPublic(v []byte) []bool {
	start := bytes.Index(v, []byte(publicLine))
	if start < 0 {
		return nil
	}
	var text []byte
	var at []int // where in v each character of text stands
	for i := start; i < len(v) && v[i] != '-' && v[i] != '='; i++ {
		if v[i] > ' ' {
			text, at = append(text, v[i]), append(at, i)
		}
	}
	key := make([]byte, base64.RawStdEncoding.DecodedLen(len(text)))
	n, err := base64.RawStdEncoding.Decode(key, text)
	key = key[:n]
	if err != nil || !bytes.HasPrefix(key, []byte(opensshMagic)) {
		return nil
	}
	rest := key[len(opensshMagic):]
	for range 3 { // cipher, key derivation, its options
		_, rest = sshString(rest)
	}
	if len(rest) < 4 {
		return nil
	}
	public := make([]bool, len(v))
	mark := func(from, to int) { // bytes of the key
		for c := max(0, from) * 8 / 6; c < min((to*8+5)/6, len(at)); c++ {
			public[at[c]] = true
		}
	}
	blob, rest := sshString(rest[4:]) // after the number of keys
	for len(blob) > 0 {
		var field []byte
		if field, blob = sshString(blob); len(field) < len("ssh-rsa") {
			continue
		}
		for from := 0; ; {
			i := bytes.Index(key[from:], field)
			if i < 0 {
				break
			}
			from += i + len(field)
			mark(from-len(field)-4, from+4) // with its length and that of the next one
		}
	}
	private, _ := sshString(rest)
	mark(len(key)-sshComment(private), len(key))
	return public
}

// sshComment is the length of what ends the private part of a key: the comment,
// which ssh-keygen shows to anyone, and the padding 1, 2, 3, …
func sshComment(private []byte) int {
	rest := private[min(8, len(private)):] // after the check
	for len(rest) >= 4 {
		s, after := sshString(rest)
		if len(after) < 8 && bytes.HasPrefix([]byte{1, 2, 3, 4, 5, 6, 7}, after) {
			return 4 + len(s) + len(after)
		}
		rest = after
	}
	return 0
}

// sshString takes a string off SSH's encoding (RFC 4251, 5). What is cut off is
// nothing.
func sshString(b []byte) (s, rest []byte) {
	if len(b) < 4 {
		return nil, nil
	}
	n := binary.BigEndian.Uint32(b)
	if uint64(n) > uint64(len(b)-4) {
		return nil, nil
	}
	return b[4 : 4+n], b[4+n:]
}

// sshPublicLines are the lines of an OpenSSH private key that have nothing but
// the public key in them, as a long key of RSA does.
func sshPublicLines(v []byte) map[string]bool {
	marks := sshPublic(v)
	if marks == nil {
		return nil
	}
	lines := map[string]bool{}
	for from := 0; from < len(v); {
		to := len(v)
		if i := bytes.IndexByte(v[from:], '\n'); i >= 0 {
			to = from + i
		}
		line := bytes.TrimSpace(v[from:to])
		coded := len(bytes.TrimRight(line, "=")) // the padding says nothing
		if coded > 0 && !slices.Contains(marks[from:from+coded], false) {
			lines[string(line)] = true
		}
		from = to + 1
	}
	return lines
}
