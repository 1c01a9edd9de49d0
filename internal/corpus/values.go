package corpus

import (
	"encoding/base64"
	"math/rand/v2"
	"strings"
)

// Kinds of values.
const (
	token    = "token"    // a prefix that a vendor's scanner knows, then letters and digits
	password = "password" // with characters that each notation escapes in its own way
	key      = "key"      // of several lines, in PEM
)

const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// Values are the secrets of a seed.
func Values(seed uint64) []Value {
	r := newRand(seed, "values")
	return []Value{
		{token, []byte("ghp_" + letters(r, 36))},
		{password, []byte(awkward(r))},
		{key, []byte(pemKey(r))},
	}
}

// newRand gives each purpose random numbers of its own, so that a new form does
// not change the others.
func newRand(seed uint64, purpose string) *rand.Rand {
	var s [32]byte
	copy(s[8:], purpose)
	for i := range 8 {
		s[i] = byte(seed >> (8 * i))
	}
	return rand.New(rand.NewChaCha8(s))
}

func letters(r *rand.Rand, n int) string {
	text := make([]byte, n)
	for i := range text {
		text[i] = alphanumeric[r.IntN(len(alphanumeric))]
	}
	return string(text)
}

// awkward spreads the odd characters, so that no stretch between them is long
// enough to be found by itself.
func awkward(r *rand.Rand) string {
	var b strings.Builder
	b.WriteString(letters(r, 3))
	for _, c := range `/"+&'<%$\=:>?~` { // the last three make + and / in base64
		b.WriteString(string(c) + letters(r, 1))
	}
	return b.String()
}

// pemKey is armour around random bytes: as long as a small RSA key, and of no
// use to anybody.
func pemKey(r *rand.Rand) string {
	der := make([]byte, 330)
	for i := range der {
		der[i] = byte(r.Uint32())
	}
	armour := func(word string) string { return "-----" + word + " PRIVATE KEY-----\n" }
	return armour("BEGIN") + rows(base64.StdEncoding.EncodeToString(der), 64, "\n") + armour("END")
}

// rows wraps a text.
func rows(text string, width int, end string) string {
	var b strings.Builder
	for len(text) > width {
		b.WriteString(text[:width] + end)
		text = text[width:]
	}
	b.WriteString(text + end)
	return b.String()
}
