package main_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// leftovers is how long it may take after a run until nothing of it is left.
const leftovers = 2 * time.Second

// vault-empty [-killed]: nothing that could hold plaintext is left of the runs.
// It does not look for values (hunt does), but for places. A run that was
// killed leaves its empty folders to the next one.
func (s *scene) vaultEmptyCmd(_ *testscript.TestScript, args []string) error {
	folders := []string{"tmp", "run", filepath.Join("cache", "runs")}
	if slices.Equal(args, []string{"-killed"}) {
		folders = folders[:2]
	} else if len(args) > 0 {
		return errors.New("usage: vault-empty [-killed]")
	}
	var left []string
	for end := time.Now().Add(leftovers); ; time.Sleep(50 * time.Millisecond) {
		if left = s.left(); len(left) == 0 || time.Now().After(end) {
			break
		}
	}
	var errs []error
	for _, p := range left {
		errs = append(errs, fmt.Errorf("a process is left: %s", p))
	}
	for _, dir := range folders {
		entries, err := os.ReadDir(filepath.Join(s.work, dir))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
		for _, e := range entries {
			errs = append(errs, fmt.Errorf("left in %s: %s", dir, e.Name()))
		}
	}
	if len(s.sampler.seen) == 0 {
		errs = append(errs, errors.New("no run was watched"))
	}
	// Vault folders in a tmpfs that others use too are known by who was told of them.
	for p, cmdline := range s.sampler.looked {
		args := strings.Split(strings.TrimSuffix(cmdline, "\x00"), "\x00")
		if s.sampler.seen[p] && len(args) == 4 && args[1] == "hold-vault" {
			if _, err := os.Lstat(filepath.Join(args[2], args[3])); err == nil {
				errs = append(errs, fmt.Errorf("a vault is left: %s/%s", args[2], args[3]))
			}
		}
	}
	return errors.Join(errs...)
}
