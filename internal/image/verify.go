package image

import (
	"errors"
	"io"

	"github.com/opencontainers/go-digest"
	"github.com/org/secure-build/internal/held"
)

// pieceSize is how much is held back until a digest is known, in bytes.
const pieceSize = 256 << 10

// copyVerified copies what has this digest. A scan has read these bytes, from
// this file or as they arrived, so they are read again as they leave, and the
// last piece is held back until the digest is right: what has changed since
// never gets anywhere whole, and an archive that was cut off in the middle of a
// file is taken for complete by nobody.
func copyVerified(w io.Writer, r io.Reader, d digest.Digest) error {
	if err := d.Validate(); err != nil { // Verifier panics
		return err
	}
	seen := d.Verifier()
	kept, next := make([]byte, 0, pieceSize), make([]byte, pieceSize)
	for {
		n, err := io.ReadFull(r, next)
		if n > 0 {
			_, _ = seen.Write(next[:n]) // never fails
			if _, err := w.Write(kept); err != nil {
				return err
			}
			kept, next = next[:n], kept[:pieceSize]
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if !seen.Verified() {
		return held.Changed(d.String())
	}
	_, err := w.Write(kept)
	return err
}

// copyBlob writes one blob of the layout.
func (l *Layout) copyBlob(w io.Writer, d digest.Digest) error {
	r, err := l.Open(d.String())
	if err != nil {
		return err
	}
	defer r.Close()
	return copyVerified(w, r, d)
}

// verified says whether a file has this digest.
func verified(r io.Reader, d digest.Digest) error { return copyVerified(io.Discard, r, d) }
