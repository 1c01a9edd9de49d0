package vault

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The supervisor knows no value, dumps no core, and outlasts a job's SIGTERM.
func TestSupervisorIsHarmless(t *testing.T) {
	t.Setenv("SOPS_AGE_KEY", "s3cret")
	v := mustOpen(t, rungs(t)[Memfd])
	mustPut(t, v, "token", []byte("s3cret"))
	dir, err := v.Expose()
	if err != nil {
		t.Fatal(err)
	}
	pid := processes(filepath.Dir(dir))[0]
	proc := fmt.Sprintf("/proc/%d/", pid)
	if env, err := os.ReadFile(proc + "environ"); len(env) != 0 || err != nil {
		t.Errorf("its environment is %q, %v", env, err)
	}
	if args, err := os.ReadFile(proc + "cmdline"); bytes.Contains(args, []byte("s3cret")) || err != nil {
		t.Errorf("its arguments are %q, %v", args, err)
	}
	limits, err := os.ReadFile(proc + "limits")
	if err != nil {
		t.Fatal(err)
	}
	_, core, _ := strings.Cut(string(limits), "Max core file size")
	if f := strings.Fields(core); f[0] != "0" || f[1] != "0" {
		t.Errorf("its core limit is %s, %s", f[0], f[1])
	}
	if sid, err := unix.Getsid(pid); sid != pid || err != nil {
		t.Errorf("its session is %d, %v; want its own", sid, err)
	}
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		_ = syscall.Kill(pid, s)
	}
	time.Sleep(20 * time.Millisecond)
	if now := processes(filepath.Dir(dir)); !slices.Equal(now, []int{pid}) {
		t.Errorf("after the signals the supervisors are %v, want %d", now, pid)
	}
}

// A supervisor that was killed is replaced, and paths lead somewhere again.
func TestSupervisorIsReplaced(t *testing.T) {
	for _, kind := range []Kind{Memfd, Tmpfs} {
		opts := rungs(t)[kind]
		v := mustOpen(t, opts)
		mustPut(t, v, "token", []byte("s3cret"))
		dir, err := v.Expose()
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			var old []int
			eventually(t, func() bool { old = processes(filepath.Dir(dir)); return len(old) > 0 })
			_ = syscall.Kill(old[0], syscall.SIGKILL)
			eventually(t, func() bool {
				now := processes(filepath.Dir(dir))
				got, err := os.ReadFile(filepath.Join(dir, "token"))
				return !slices.Contains(now, old[0]) && err == nil && string(got) == "s3cret"
			})
		}
	}
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not happen")
		}
	}
}

// An ordinary user's hardened process cannot be read by its child, whose
// secrets' paths work all the same.
func TestHarden(t *testing.T) {
	for _, p := range people() {
		out, err := p.command("harden", p.home(t)).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v", p.name, err)
		}
		want := "kind memfd core 0 0\nvalue s3cret\nchild core 0\n"
		if p.name == "root" {
			want += "read environ\nread maps\n" // root may read everything
		}
		if got := strings.ReplaceAll(string(out), "read fd/0\n", ""); got != want {
			t.Errorf("%s: got\n%swant\n%s", p.name, got, want)
		}
	}
}
