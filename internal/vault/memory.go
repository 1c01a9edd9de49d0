package vault

// Kind is a rung of the ladder.
type Kind string

const (
	Memfd Kind = "memfd" // anonymous files in RAM
	Tmpfs Kind = "tmpfs" // files in RAM
	Disk  Kind = "disk"
)

// Memory says what the secrets are kept in, for receipt.json and doctor.
type Memory struct {
	Kind   Kind   `json:"kind"`
	Path   string `json:"path,omitempty"` // the directory, if there is one
	Locked bool   `json:"locked"`         // every page of the vault is locked into RAM
	Swap   bool   `json:"swap"`           // its pages may be written to swap space

	// SurvivesKill says that a SIGKILL of every process of the run at once
	// leaves no plaintext. AfterKill says what happens in words.
	SurvivesKill bool   `json:"survives_kill"`
	AfterKill    string `json:"after_kill"`
	End          string `json:"end"` // what Close does to the plaintext
}

// Memory describes the vault as it is now. It may be called after Close.
func (v *Vault) Memory() Memory {
	v.mu.Lock()
	defer v.mu.Unlock()
	m := Memory{
		Kind:         v.kind,
		Locked:       v.store.locked(),
		SurvivesKill: v.kind == Memfd,
		AfterKill:    "nothing is left: the kernel frees the pages with the last process",
		End:          "erased from RAM",
	}
	if v.folder != nil {
		m.Path = v.folder.path()
	}
	m.Swap = v.kind != Disk && !m.Locked && swapping(v.opts.places.swapList())
	if v.kind == Disk {
		m.End = "overwritten and unlinked, best effort"
	}
	switch {
	case v.kind == Memfd:
	case v.unsupervised == nil:
		m.AfterKill = "erased by the supervisor; if that is killed too, by the next run"
	default:
		m.AfterKill = "left until the next run erases it: " + v.unsupervised.Error()
	}
	return m
}

// A Rung is one step of the ladder and whether it can be taken here.
type Rung struct {
	Kind  Kind
	Place string // a directory, or "" for memfd
	Err   error  // why not
}

// Ladder tries every rung, best first, and leaves nothing behind. It is what
// doctor shows.
func Ladder() []Rung {
	var here places
	m, err := openAnonymous()
	if err == nil {
		err = m.close()
	}
	rungs := []Rung{{Kind: Memfd, Err: err}}
	try := func(kind Kind, p place, check fsCheck) {
		f, err := chooseFolder(p, check)
		if err == nil {
			if err = f.make(); err == nil {
				err = f.end()
			} else {
				_ = f.drop()
			}
		}
		rungs = append(rungs, Rung{kind, p.dir, err})
	}
	for _, p := range here.ram() {
		try(Tmpfs, p, onTmpfs)
	}
	try(Disk, here.lastResort(), anyFilesystem)
	return rungs
}
