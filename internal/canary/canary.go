// Package canary makes random values that stand in for secrets, and writes a
// value in every encoding in which programs print it, so that a masker can be
// tried: ours, or that of the CI.
//
// The encodings are made with the standard library's encoders and share no code
// with the index and the masks that they put to the test.
package canary

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
)

const (
	// window is the length of a stretch of a form, in bytes, that is too much to
	// be left readable: nine bytes of a value in base64, six in hex.
	window = 12
	// least is the length of a whole stretch that is: not the last row of a
	// longer text with two digits in it.
	least = 6
)

// A Form is a value as some program prints it.
type Form struct {
	Name string // such as "base64" or "json"; no part of the value
	Text []byte // what is printed, with what stands around it; may have several lines

	decided [][]byte // the stretches of Text that the value decides, in order
}

// Shows says whether out, which a masker made of Text, still has enough of the
// value to be of use: any 12 bytes in a row of what the value decides, or all of
// a stretch that is shorter, from 6 on. Bytes that a value shares with any other of its
// kind do not count: the armour of PEM, a lone bracket, padding, and at the ends
// of base64 the characters that the neighbours decide too.
func (f Form) Shows(out []byte) bool {
	for _, d := range f.decided {
		if len(d) >= least && len(d) <= window && bytes.Contains(out, d) {
			return true
		}
	}
	for i := 0; i+window <= len(out); i++ {
		for _, d := range f.decided {
			if bytes.Contains(d, out[i:i+window]) {
				return true
			}
		}
	}
	return false
}

// A Result says what became of one form.
type Result struct {
	Form   string
	Masked bool
}

// Test sends value through mask in every form. The mask has to know the value
// beforehand.
func Test(value []byte, mask func([]byte) []byte) []Result {
	var results []Result
	for _, f := range Forms(value) {
		results = append(results, Result{f.Name, !f.Shows(mask(f.Text))})
	}
	return results
}

const (
	plain   = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	awkward = `+/=&<>"'\ %$` // what one encoding or another writes otherwise
)

// Token returns 40 random characters on one line: mostly letters and digits,
// and each character that an encoding has to escape.
func Token(r io.Reader) ([]byte, error) {
	text, err := letters(r, 40)
	if err != nil {
		return nil, err
	}
	// Each third one is replaced, never the ends: blanks there would be trimmed.
	for i := range awkward {
		text[2+3*i] = awkward[i]
	}
	return text, nil
}

// Key returns a random key in PEM, of several lines.
func Key(r io.Reader) ([]byte, error) {
	der := make([]byte, 300)
	if _, err := io.ReadFull(r, der); err != nil {
		return nil, fmt.Errorf("making a canary: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// Document returns an indented JSON object with random strings in it.
func Document(r io.Reader) ([]byte, error) {
	fields := map[string]any{}
	for _, name := range []string{"access_token", "client_secret", "password", "private_key"} {
		text, err := letters(r, 32)
		if err != nil {
			return nil, err
		}
		text[9], text[17] = '/', '+'
		fields[name] = string(text)
	}
	return json.MarshalIndent(map[string]any{"credentials": fields}, "", "  ")
}

// letters returns n random letters and digits, digits among the first eight.
func letters(r io.Reader, n int) ([]byte, error) {
	text := make([]byte, n)
	if _, err := io.ReadFull(r, text); err != nil {
		return nil, fmt.Errorf("making a canary: %w", err)
	}
	for i, c := range text {
		text[i] = plain[int(c)%len(plain)]
	}
	text[3], text[6] = '0'+text[3]%10, '0'+text[6]%10
	return text, nil
}
