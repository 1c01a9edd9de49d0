package vault

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// A person is who runs the worker.
type person struct {
	name   string
	uid    uint32 // as the file system sees it
	denied bool   // user namespaces are denied
	attr   func() *syscall.SysProcAttr
}

// people lists whom this test can be. Without root it is who runs it.
func people() []person {
	if os.Geteuid() != 0 {
		return []person{{"me", uint32(os.Geteuid()), false, func() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }}}
	}
	user := func(uid uint32) func() *syscall.SysProcAttr {
		return func() *syscall.SysProcAttr {
			return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid, NoSetGroups: true}}
		}
	}
	all := []person{
		{"root", 0, false, func() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }},
		{"user", 65534, false, user(65534)},
	}
	inNamespace := func() *syscall.SysProcAttr {
		ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 65532, Size: 2}}
		return &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: ids, GidMappings: ids,
			Credential: &syscall.Credential{NoSetGroups: true}}
	}
	probe := exec.Command("/proc/self/exe")
	probe.Env, probe.SysProcAttr = []string{"VAULT_TEST_ROLE=nothing"}, inNamespace()
	if probe.Run() != nil { // here they are denied to everybody
		return append(all, person{"user without namespaces", 65533, true, user(65533)})
	}
	return append(all, person{"user without namespaces", 65533, true, inNamespace})
}

// command prepares a worker whose runtime, home and temporary folder are base.
func (p person) command(role, base string) *exec.Cmd {
	c := exec.Command("/proc/self/exe")
	c.SysProcAttr = p.attr()
	c.SysProcAttr.Setpgid = true
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "XDG_RUNTIME_DIR=" + base + "/run", "HOME=" + base + "/home", "TMPDIR=" + base + "/tmp"}
	if p.denied {
		c.Env = append(c.Env, "VAULT_TEST_DENIED=1")
	}
	if c.SysProcAttr.Cloneflags != 0 {
		c.Env = append(c.Env, "VAULT_TEST_THEN="+role)
		role = "denied"
	}
	c.Env = append(c.Env, "VAULT_TEST_ROLE="+role)
	return c
}

// home makes the folders of a run. The runtime folder is on a tmpfs, the others
// as well, which is faster to search and no different to the worker.
func (p person) home(t *testing.T) string {
	t.Helper()
	base := onShm(t)
	if err := os.Chmod(base, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"run", "home", "tmp"} {
		dir := filepath.Join(base, name)
		if err := errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, int(p.uid), int(p.uid))); err != nil {
			t.Fatal(err)
		}
	}
	return base
}
