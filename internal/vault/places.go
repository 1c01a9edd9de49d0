package vault

import (
	"os"
	"path/filepath"
)

// A place is a directory in which a folder may be made.
type place struct {
	dir   string
	owned bool // it must belong to us: an environment variable named it
}

// places are where the vault looks. The zero value is the machine's own.
type places struct {
	tmpfs []place
	disk  *place
	swaps string // the list of swap areas, proc_swaps(5)
}

// ram lists where a tmpfs may be, best first. Whether it is one is for statfs
// to say. A folder of ours below a directory of a stranger would be ours in
// name only, so only the two that root owns are taken on trust.
func (p places) ram() []place {
	if p.tmpfs != nil {
		return p.tmpfs
	}
	var all []place
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		all = append(all, place{dir, true})
	}
	return append(all, place{"/dev/shm", false}, place{"/run", false})
}

func (p places) lastResort() place {
	if p.disk != nil {
		return *p.disk
	}
	dir, err := filepath.Abs(os.TempDir()) // the supervisor has another working directory
	if err != nil {
		dir = os.TempDir()
	}
	return place{dir, false}
}

func (p places) forLinks() []place { return append(p.ram(), p.lastResort()) }

func (p places) swapList() string {
	if p.swaps != "" {
		return p.swaps
	}
	return "/proc/swaps"
}
