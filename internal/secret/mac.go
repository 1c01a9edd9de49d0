package secret

import (
	"crypto/hmac"
	"crypto/sha256"
)

// Keyed returns the secret with key material of its own for [Secret.MAC], such
// as the data key of the SOPS file that it comes from.
func (s Secret) Keyed(material []byte) Secret {
	sum := sha256.Sum256(material)
	s.key = func() []byte { return sum[:] }
	return s
}

// MAC is a digest of the value, of 32 bytes, that changes with it and tells
// nothing of it to who has not the key: that of the secret itself, or else
// other. It is nil where there is neither, since a digest without a key could
// be held against guesses.
func (s Secret) MAC(purpose string, other []byte) []byte {
	key := other
	if s.key != nil {
		key = s.key()
	}
	if len(key) == 0 || s.value == nil {
		return nil
	}
	for _, part := range [][]byte{[]byte(purpose), []byte(s.id), s.value()} {
		mac := hmac.New(sha256.New, key)
		mac.Write(part)
		key = mac.Sum(nil)
	}
	return key
}
