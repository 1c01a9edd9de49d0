//go:build !unix

package vault

import (
	"errors"
	"os"
)

const firstHeld = 0

type holder struct{ done chan struct{} }

// Hold does nothing here: there is no supervisor.
func Hold() (held bool, err error) { return false, nil }

func startHolder(*folder, []*os.File) (*holder, error) {
	return nil, errors.New("there is none on this system")
}

func (*holder) pid() int { return 0 }

func (*holder) stop() {}

func (*holder) kill() {}
