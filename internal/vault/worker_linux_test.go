package vault

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/secret"
)

// Phases of a worker, which it tells on its standard output as it enters them.
var phases = []string{"started", "opened", "put", "exposed", "used", "closed"}

// play is a worker's whole life, in a process of its own. The values come by
// its standard input: an argument or a variable could be found by the hunt.
func play(role string) error {
	switch role {
	case "denied": // by root of a user namespace, for all below it
		return denyNamespaces()
	case "sweep":
		removed, err := Sweep()
		fmt.Println(len(removed))
		return err
	case "nothing":
		return nil
	case "harden":
		return playHardened()
	case "full":
		return playFull(os.Getenv("TMPDIR"))
	case "memfd", "tmpfs":
		return playWorker(role == "tmpfs")
	}
	return errors.New("an unknown role")
}

func playWorker(plainFiles bool) error {
	if os.Getenv("VAULT_TEST_DENIED") != "" {
		c := exec.Command("/proc/self/exe")
		c.Env = []string{"VAULT_TEST_ROLE=nothing"}
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER}
		if c.Run() == nil {
			return errors.New("user namespaces are not denied")
		}
	}
	fmt.Println("started")
	if err := Harden(); err != nil {
		return err
	}
	canary, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil {
		return err
	}
	v, err := Open(Options{PlainFiles: plainFiles, RequireRAM: true})
	if err != nil {
		return err
	}
	defer v.Close()
	fmt.Println("opened")
	values := map[string]string{"token": canary, "big": strings.Repeat(canary, secret.MaxSize/len(canary)), "key": "-----\n" + canary}
	for id, value := range values {
		if err := v.Put(secret.New(id, "test", []byte(value))); err != nil {
			return err
		}
	}
	fmt.Println("put")
	dir, err := v.Expose()
	if err != nil {
		return err
	}
	if want := (map[bool]Kind{false: Memfd, true: Tmpfs})[plainFiles]; v.Memory().Kind != want {
		return fmt.Errorf("the vault is %+v", v.Memory())
	}
	fmt.Println("exposed")
	time.Sleep(5 * time.Millisecond)
	_, _ = io.Copy(io.Discard, os.Stdin) // a test may keep us here
	for id, want := range values {
		// A path may fail for a moment if the supervisor has just been killed.
		if got, err := os.ReadFile(filepath.Join(dir, id)); err == nil && string(got) != want {
			return fmt.Errorf("%s holds something else", id)
		}
	}
	fmt.Println("used")
	time.Sleep(5 * time.Millisecond)
	if err := v.Close(); err != nil {
		return err
	}
	fmt.Println("closed")
	return nil
}

// denyNamespaces sets the limits of this user namespace to zero, becomes an
// ordinary user and goes on as a worker.
func denyNamespaces() error {
	for _, kind := range []string{"user", "mnt", "pid"} {
		if err := os.WriteFile("/proc/sys/user/max_"+kind+"_namespaces", []byte("0"), 0); err != nil {
			return err
		}
	}
	err := errors.Join(syscall.Setgid(1), syscall.Setuid(1), os.Setenv("VAULT_TEST_ROLE", os.Getenv("VAULT_TEST_THEN")))
	if err != nil {
		return err
	}
	return syscall.Exec("/proc/self/exe", []string{"worker"}, os.Environ())
}

// playHardened shows what a hardened process looks like to a child.
func playHardened() error {
	if err := Harden(); err != nil {
		return err
	}
	v, err := Open(Options{RequireRAM: true})
	if err != nil {
		return err
	}
	defer v.Close()
	if err := v.Put(secret.New("token", "test", []byte("s3cret"))); err != nil {
		return err
	}
	dir, err := v.Expose()
	if err != nil {
		return err
	}
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &old); err != nil {
		return err
	}
	fmt.Println("kind", v.Memory().Kind, "core", old.Cur, old.Max)
	c := exec.Command("sh", "-c", `echo value $(cat token); echo child core $(ulimit -Hc)
		for f in environ maps fd/0; do cat /proc/$PPID/$f >/dev/null 2>&1 && echo read $f; done; true`)
	c.Dir, c.Stdout, c.Stderr = dir, os.Stdout, os.Stderr
	return c.Run()
}

// playFull fills a tmpfs of 1 MiB, in a mount namespace of its own.
func playFull(dir string) error {
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m,mode=0700"); err != nil {
		return err
	}
	v, err := Open(Options{PlainFiles: true, places: places{tmpfs: []place{{dir, true}}}})
	if err != nil {
		return err
	}
	err = v.Put(secret.New("big", "test", make([]byte, 2<<20)))
	fmt.Println(errors.Is(err, unix.ENOSPC), hint.Of(err))
	if err := v.Put(secret.New("token", "test", []byte("s3cret"))); err != nil {
		return err
	}
	return v.Close()
}
