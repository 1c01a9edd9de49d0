package secret

import "time"

// MintedSince returns the secret with a moment before which its value cannot
// have existed, such as that of a token that was made for this job. The zero
// time says nothing.
func (s Secret) MintedSince(t time.Time) Secret {
	s.minted = t
	return s
}

// Lasting is what there is to search for beside the values that were minted not
// long ago, and the moment before which none of those existed; the zero time if
// there are none. Minted values change with every run, so that what is
// remembered under all values would be of no use in the next one.
func (s Set) Lasting() (rest Set, since time.Time) {
	for _, sec := range s.Searched() {
		switch {
		case sec.minted.IsZero():
			rest.AddHidden(sec)
		case since.IsZero() || sec.minted.Before(since):
			since = sec.minted
		}
	}
	return rest, since
}
