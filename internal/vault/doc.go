// Package vault holds the plaintext of a run's secrets in memory, and sees to
// it that nothing of it is left, however the run ends.
//
// # The ladder
//
// Open takes the first rung that the machine offers:
//
//  1. memfd. Each secret is an anonymous file in RAM (memfd_create(2)), mode
//     0400, sealed against every later write, its pages locked as far as
//     RLIMIT_MEMLOCK allows. It has no name in any file system: when the last
//     process that holds it is gone, the kernel frees the pages. That holds for
//     a SIGKILL of everything at once, and needs no privilege, namespace or
//     process of ours.
//  2. tmpfs. Files of mode 0400 in a directory of mode 0700 on a tmpfs, which
//     statfs(2) has confirmed. A second process, the supervisor, erases it as
//     soon as the first is gone. If both are killed, the plaintext stays in RAM
//     until [Sweep] of the next run.
//  3. disk. The same on a disk, only if the user allows it. Overwriting is no
//     erasure on journaling, copy-on-write or flash storage (shred(1)), so this
//     rung promises a best effort and says so.
//
// A tmpfs in a mount namespace of the worker's own, which is what one thinks of
// first, is not on the ladder: it survives a SIGKILL no better than rung 1, is
// forbidden to ordinary users on Ubuntu 24.04 and in most CI containers, and
// costs a re-execution of the worker. memfd_secret(2) is not either: such a
// file can be mapped but not read, so no tool could use it.
//
// # Paths
//
// A build gets its values from [Vault.Get] and needs no path. A command that
// wants files gets a directory from [Vault.Expose]. On rung 1 that directory
// holds one symbolic link per secret, to /proc/PID/fd/N of the supervisor: a
// small process of its own session that was given the files, keeps RLIMIT_CORE
// at 0, never reads a value, and has none in its arguments or environment. The
// worker cannot serve its own /proc/PID/fd, because [Harden] makes it not
// dumpable, which closes that directory to every other process (proc(5)).
// The supervisor removes the directory when the worker is gone. If it is killed
// as well, dangling links stay behind, which hold no plaintext.
//
// Such links cannot be resolved to a path (realpath, a bind mount), nor opened
// by a process that enters another user namespace, changes its user, or has
// fewer capabilities than the supervisor. [Options.PlainFiles] takes rung 2 for
// such commands.
//
// # Stale directories
//
// The worker holds a flock(2) on its directory for as long as it lives. That
// lock, and not a process id in the name, tells Sweep which directories are
// dead: it is dropped by the kernel with the process, cannot be reused, and
// means the same in every PID namespace that shares the tmpfs.
//
// # What this does not cover
//
// Copies on the Go heap (the Secret itself, the matcher's tables, buffers on
// their way to BuildKit) are freed, not erased, and may be swapped. A command
// that was given the secrets has them, and outlives a killed worker unless
// whoever started it arranges otherwise.
package vault
