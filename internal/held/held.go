// Package held has the error of everything that leaves: a scan has read it, or
// remembers its digest as clean, so each way out holds the bytes to the digest.
package held

import (
	"errors"
	"fmt"

	"github.com/org/secure-build/internal/hint"
)

// ErrChanged says that what was about to leave is not what was scanned. It did
// not leave whole, and nothing that names it left.
var ErrChanged = errors.New("its bytes on the disk are not those that were scanned")

// Changed is ErrChanged of something with a name, such as a digest, and what to
// do about it.
func Changed(what string) error {
	return hint.Wrap(fmt.Errorf("reading %s: %w", what, ErrChanged),
		"something else has written to the folder of --cache-dir, or its disk is failing; build again")
}
