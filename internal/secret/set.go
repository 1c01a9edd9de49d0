package secret

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
)

// MaxSize is the largest value that BuildKit takes as a secret, in bytes
// (session/secrets/secretsprovider, MaxSecretSize).
const MaxSize = 500 * 1024

// A Set is the secrets of one run, in the order in which they were added.
// The zero Set is empty and ready.
type Set struct {
	mounted []Secret
	hidden  []Secret
	byID    map[string]int // index in mounted: a file may have thousands of values
	key     func() []byte  // see Key
}

// Add puts a secret on the list. Two secrets with one id are an error that
// names both origins.
func (s *Set) Add(sec Secret) error {
	if old, ok := s.Get(sec.id); ok {
		return fmt.Errorf("two secrets with the id %q: %s and %s", sec.id, old.origin, sec.origin)
	}
	if s.byID == nil {
		s.byID = map[string]int{}
	}
	s.byID[sec.id] = len(s.mounted)
	s.mounted = append(s.mounted, sec)
	return nil
}

// AddHidden puts a value on the list that is masked and searched for but that
// no build can mount, such as an encrypted comment.
func (s *Set) AddHidden(sec Secret) { s.hidden = append(s.hidden, sec) }

// AddKey takes key material that nobody has who cannot decrypt the secrets,
// such as the data key of a SOPS file.
func (s *Set) AddKey(material []byte) {
	h := sha256.New()
	if s.key != nil {
		h.Write(s.key())
	}
	own := sha256.Sum256(material)
	h.Write(own[:])
	sum := h.Sum(nil)
	s.key = func() []byte { return sum }
}

// Key is a key for one purpose, of 32 bytes, that whoever can decrypt the same
// secrets in the same order can make again, and nobody else. It is nil where
// no source gave key material.
func (s Set) Key(purpose string) []byte {
	if s.key == nil {
		return nil
	}
	mac := hmac.New(sha256.New, s.key())
	mac.Write([]byte(purpose))
	return mac.Sum(nil)
}

// Get returns the mountable secret with this id.
func (s Set) Get(id string) (Secret, bool) {
	i, ok := s.byID[id]
	if !ok {
		return Secret{}, false
	}
	return s.mounted[i], true
}

// Mounted lists the secrets that a build may ask for.
func (s Set) Mounted() []Secret { return slices.Clone(s.mounted) }

// IDs lists the ids of the mountable secrets.
func (s Set) IDs() []string {
	ids := make([]string, len(s.mounted))
	for i, m := range s.mounted {
		ids[i] = m.id
	}
	return ids
}

// Hides says whether an id is that of a hidden value, and of no secret that can
// be mounted.
func (s Set) Hides(id string) bool {
	_, mounted := s.Get(id)
	return !mounted && slices.ContainsFunc(s.hidden, func(h Secret) bool { return h.id == id })
}

// Searched lists every value to mask and to look for: the mounted ones,
// documents by their parts, and the hidden ones.
func (s Set) Searched() []Secret {
	var all []Secret
	for _, m := range s.mounted {
		all = append(all, m.Searched()...)
	}
	for _, h := range s.hidden {
		all = append(all, h.Searched()...)
	}
	return all
}

// ID makes an id of a key path: its parts joined by "_", with every byte that
// is awkward in a Dockerfile or a file name replaced (db.password → db_password).
func ID(parts ...string) string {
	clean := func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '-', r == '.':
			return r
		}
		return '_'
	}
	return strings.Map(clean, strings.Join(parts, "_"))
}

// CheckID says what is wrong with an id that a user chose: it becomes a file
// name in the vault and below /run/secrets, so it may be neither a path nor
// hidden in one.
func CheckID(id string) error {
	switch {
	case id == "":
		return fmt.Errorf("an empty secret id")
	case len(id) > 128:
		return fmt.Errorf("a secret id of %d bytes, longer than 128", len(id))
	case id != ID(id), strings.Trim(id, ".") == "":
		return fmt.Errorf("the secret id %q: only letters, digits, _, - and . are allowed", id)
	}
	return nil
}
