package vault

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Harden keeps what is in our memory out of core dumps and from other processes
// of the same user. It is called once, before anything is decrypted.
//
// RLIMIT_CORE is inherited by what we start, which is meant. PR_SET_DUMPABLE is
// not (execve(2) sets it back), so commands and daemons run as ever. It is what
// keeps a core_pattern that is a pipe away, to which RLIMIT_CORE means nothing
// (core(5)). In this process it forbids, unless the other one is privileged:
// attaching a debugger or strace, reading /proc/PID/{environ,mem,fd,maps,…},
// and starting a child with user namespace mappings (SysProcAttr.UidMappings).
//
// PR_SET_NO_NEW_PRIVS is left alone: a rootless daemon needs newuidmap, which is
// setuid.
func Harden() error {
	err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	if err = errors.Join(err, unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)); err != nil {
		return fmt.Errorf("forbidding core dumps: %w", err)
	}
	return nil
}
