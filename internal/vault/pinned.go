package vault

import (
	"errors"
	"os"
)

// maxPinned bounds the mappings of one vault. A process may have 65530
// (vm.max_map_count), and the Go runtime dies when it can get no more.
const maxPinned = 4096

// pinned keeps files in RAM as far as the system allows.
type pinned struct {
	mappings [][]byte
	partly   bool // some file is not
}

// pin locks the n bytes of a file.
func (p *pinned) pin(f *os.File, n int) {
	if n == 0 {
		return
	}
	if len(p.mappings) >= maxPinned {
		p.partly = true
		return
	}
	pages, ok := lockPages(f, n)
	if !ok {
		p.partly = true
		return
	}
	p.mappings = append(p.mappings, pages)
}

// locked says that every page is kept from being swapped.
func (p *pinned) locked() bool { return !p.partly }

func (p *pinned) unpin() error {
	var errs []error
	for _, m := range p.mappings {
		errs = append(errs, unlockPages(m))
	}
	p.mappings = nil
	return errors.Join(errs...)
}
