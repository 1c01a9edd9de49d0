package main_test

import (
	"errors"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A user is who runs a command that is killed.
type user struct {
	name string
	uid  int // as the file system sees it
	args []string
	attr syscall.SysProcAttr
}

// users lists whom this test can be; without root, who runs it.
func users() []user {
	if os.Geteuid() != 0 {
		return []user{{name: "me", uid: os.Geteuid()}}
	}
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 65532, Size: 2}}
	return []user{
		{name: "root"},
		{name: "a user", uid: 65534, attr: syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534, NoSetGroups: true}}},
		{name: "a user without namespaces", uid: 65533, args: []string{deniedCommand}, attr: syscall.SysProcAttr{
			Cloneflags: syscall.CLONE_NEWUSER, UidMappings: ids, GidMappings: ids, Credential: &syscall.Credential{NoSetGroups: true},
		}},
	}
}

// deniedCommand is started as root of a user namespace. It forbids all below
// it any further namespace, and goes on as an ordinary user with the command
// in its arguments.
const deniedCommand = "denied-namespaces"

func denyNamespaces() error {
	for _, kind := range []string{"user", "mnt", "pid"} {
		if err := os.WriteFile("/proc/sys/user/max_"+kind+"_namespaces", []byte("0"), 0); err != nil {
			return err
		}
	}
	if err := errors.Join(syscall.Setgid(1), syscall.Setuid(1)); err != nil {
		return err
	}
	return syscall.Exec("/proc/self/exe", os.Args[1:], os.Environ())
}

// TestKilledExecs holds I6 for whole runs that have a vault with links in it,
// a supervisor and a command: 200 of them are killed by SIGKILL at a random
// moment between start and end, by turns the run itself, its supervisor, both,
// and the process group.
func TestKilledExecs(t *testing.T) {
	all := 200
	if testing.Short() {
		all = 24
	}
	people := users()
	var wait sync.WaitGroup
	for i, who := range people {
		wait.Go(func() {
			n := (all + i) / len(people)
			moments, err := killExecs(t.TempDir(), who, n)
			if err != nil {
				t.Errorf("%s: %v", who.name, err)
			}
			if moments["killed"] < n/8 {
				t.Errorf("%s: of %d runs, only %d were killed before their end", who.name, n, moments["killed"])
			}
			t.Logf("%s: %v", who.name, moments)
		})
	}
	wait.Wait()
}

func killExecs(work string, who user, n int) (map[string]int, error) {
	k, err := newKillScene(work)
	if err == nil {
		err = give(work, who.uid)
	}
	if err != nil {
		return nil, err
	}
	whole, err := k.exec(who, "nobody", 0)
	if err != nil {
		return nil, fmt.Errorf("a run that nobody kills: %w", err)
	}
	moments := map[string]int{}
	for i := range n {
		victim := []string{"run", "supervisor", "both", "group"}[i%4]
		after := time.Duration(rand.Int63n(int64(whole)))
		took, err := k.exec(who, victim, after)
		switch {
		case err == nil && took > 0:
			moments["ended"]++
		case err == nil:
			moments["killed"]++
		}
		if err = errors.Join(err, k.clean(i%10 == 9)); err != nil {
			return moments, fmt.Errorf("%s killed after %v of %v: %w", victim, after, whole, err)
		}
	}
	return moments, nil
}

// give makes somebody the owner of a scene's folders, which are his own to go
// into.
func give(work string, uid int) error {
	if os.Geteuid() != 0 {
		return nil
	}
	for dir := work; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			return err
		}
	}
	return filepath.WalkDir(work, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, uid, uid))
	})
}

// exec runs "secure-build exec" to its end, or until it is killed: then the
// time that it took is zero. A run outlives its supervisor.
func (k *killScene) exec(who user, victim string, after time.Duration) (took time.Duration, err error) {
	script := `test -n "$(cat "$SECURE_BUILD_SECRETS_DIR/token")" && sleep 0.05`
	args := append(who.args, "secure-build", "exec", "--sops", filepath.Join(k.work, "secrets.yaml"), "--", "sh", "-c", script)
	var out strings.Builder
	attr := who.attr
	attr.Setpgid = true
	cmd := &exec.Cmd{Path: "/proc/self/exe", Args: args, Env: k.env, Stdout: &out, Stderr: &out, SysProcAttr: &attr, WaitDelay: time.Second}
	cmd.Dir = k.work
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	struck := make(chan bool, 1)
	struck <- false
	if victim != "nobody" {
		time.AfterFunc(after, func() {
			<-struck
			struck <- strike(victim, cmd.Process.Pid)
		})
	}
	err = cmd.Wait()
	switch {
	case (victim == "supervisor" || victim == "both") && err != nil && strings.Contains(out.String(), "cat: "):
		return 0, nil // the links lead nowhere, or to a dying process, for a moment
	case err == nil:
		return time.Since(began), nil
	case <-struck:
		return 0, nil
	}
	return 0, fmt.Errorf("%w\n%s", err, &out)
}

// strike kills, and says whether the run itself was among the victims.
func strike(victim string, pid int) bool {
	if victim == "supervisor" || victim == "both" {
		for _, child := range pids() {
			cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", child))
			if ppid, _, _ := stat(child); ppid == pid && strings.Contains(string(cmdline), "\x00hold-vault\x00") {
				_ = syscall.Kill(child, syscall.SIGKILL)
			}
		}
	}
	switch victim {
	case "supervisor":
		return false
	case "group":
		pid = -pid
	}
	return syscall.Kill(pid, syscall.SIGKILL) == nil
}
