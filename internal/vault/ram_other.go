//go:build !linux

package vault

import (
	"errors"
	"fmt"
	"os"
	"runtime"
)

func openAnonymous() (anonymous, error) {
	return nil, fmt.Errorf("anonymous files in RAM are not available on %s", runtime.GOOS)
}

func onTmpfs(*os.File) error { return errors.New("not on a tmpfs") }

func lockPages(*os.File, int) ([]byte, bool) { return nil, false }

func unlockPages([]byte) error { return nil }

func swapping(string) bool { return true }
