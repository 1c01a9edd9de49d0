package vault

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// newTestFolder makes a folder of a name, or of a random one.
func newTestFolder(p place, check fsCheck, name string) (*folder, error) {
	f, err := chooseFolder(p, check)
	if err != nil {
		return nil, err
	}
	if name != "" {
		f.name = name
	}
	if err := f.make(); err != nil {
		return nil, errors.Join(err, f.drop())
	}
	return f, nil
}

func TestStatfs(t *testing.T) {
	shm, disk := onShm(t), t.TempDir()
	f, err := newTestFolder(place{shm, true}, onTmpfs, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.end(); err != nil {
		t.Error(err)
	}
	for _, dir := range []string{disk, "/proc", "/sys"} {
		if isTmpfs(t, dir) {
			continue // a machine whose /tmp is one
		}
		if _, err := newTestFolder(place{dir, false}, onTmpfs, ""); err == nil || !strings.Contains(err.Error(), "not on a tmpfs") {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

func isTmpfs(t *testing.T, dir string) bool {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	return st.Type == unix.TMPFS_MAGIC
}

func TestBadParents(t *testing.T) {
	base := onShm(t)
	real := filepath.Join(base, "real")
	link := filepath.Join(base, "link")
	open := filepath.Join(base, "open")
	file := filepath.Join(base, "file")
	foreign := filepath.Join(base, "foreign")
	err := errors.Join(os.Mkdir(real, 0o700), os.Symlink(real, link), os.Mkdir(open, 0o700), os.Chmod(open, 0o777),
		os.WriteFile(file, nil, 0o600), os.Mkdir(foreign, 0o700))
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(foreign, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	} else {
		foreign = "/"
	}
	for dir, want := range map[string]string{
		link:                          "is not a directory",
		file:                          "is not a directory",
		open:                          "is not sticky",
		foreign:                       "belongs to somebody else",
		filepath.Join(base, "absent"): "no such file",
	} {
		f, err := newTestFolder(place{dir, true}, anyFilesystem, "")
		if err == nil {
			t.Errorf("%s is accepted", dir)
			_ = f.end()
			continue
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", dir, err, want)
		}
	}
	if left := entries(t, real); left != nil {
		t.Errorf("through the link came %q", left)
	}
}

// Somebody has made, in advance, what we are about to make.
func TestNameIsTaken(t *testing.T) {
	base, trap := onShm(t), t.TempDir()
	name := randomName()
	path := filepath.Join(base, name)
	for what, prepare := range map[string]func() error{
		"link":          func() error { return os.Symlink(trap, path) },
		"dangling link": func() error { return os.Symlink("/nonexistent", path) },
		"directory":     func() error { return os.Mkdir(path, 0o700) },
		"file":          func() error { return os.WriteFile(path, nil, 0o600) },
	} {
		if err := prepare(); err != nil {
			t.Fatal(err)
		}
		if _, err := newTestFolder(place{base, true}, onTmpfs, name); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("%s: what was not ours was removed: %v", what, err)
		}
		os.Remove(path)
	}
	if left := entries(t, trap); left != nil {
		t.Errorf("in the trap there is %q", left)
	}
}

// A file or link that is planted in the folder is neither followed nor kept.
func TestPlantedInFolder(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	v := mustOpen(t, rungs(t)[Tmpfs])
	dir, err := v.Expose()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "token")); err != nil {
		t.Fatal(err)
	}
	if err := v.store.put("token", []byte("s3cret")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a value was written through a link: %v", err)
	}
	if err := v.Close(); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(outside); string(got) != "mine" || err != nil {
		t.Errorf("the file outside is %q, %v", got, err)
	}
}

// Erasing overwrites first: who holds the file open sees no plaintext in it.
func TestOverwrites(t *testing.T) {
	for _, kind := range []Kind{Tmpfs, Disk} {
		v := mustOpen(t, rungs(t)[kind])
		value := strings.Repeat("s3cret", 30000) // more than one block of zeros
		mustPut(t, v, "token", []byte(value))
		dir, _ := v.Expose()
		f, err := os.Open(filepath.Join(dir, "token"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(value))
		if n, err := f.ReadAt(got, 0); n != len(value) || strings.Trim(string(got), "\x00") != "" {
			t.Errorf("%s: after Close %d bytes are left of the file, %v, not all zero", kind, n, err)
		}
	}
}

// dead makes a folder as a run leaves it that was killed with its supervisor.
func dead(t *testing.T, p place) string {
	t.Helper()
	f, err := newTestFolder(p, anyFilesystem, "")
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join((&plain{folder: f}).put("token", []byte("s3cret")), f.root.Symlink("/proc/1/fd/5", "link"), f.drop())
	if err != nil {
		t.Fatal(err)
	}
	return f.path()
}

func TestSweep(t *testing.T) {
	opts := rungs(t)[Tmpfs]
	p := opts.places.tmpfs[0]
	stale := dead(t, p)
	kept := map[string]string{
		"another name":  filepath.Join(p.dir, "secure-build-notes"),
		"another mode":  dead(t, p),
		"a link":        filepath.Join(p.dir, randomName()),
		"a living run":  mustOpen(t, opts).Memory().Path,
		"a user's file": filepath.Join(p.dir, randomName()),
	}
	target := dead(t, place{t.TempDir(), true})
	err := errors.Join(os.Mkdir(kept["another name"], 0o700), os.Chmod(kept["another mode"], 0o750),
		os.Symlink(target, kept["a link"]), os.WriteFile(kept["a user's file"], nil, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		kept["another owner"] = dead(t, p)
		if err := os.Chown(kept["another owner"], 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	removed, err := opts.places.sweep()
	if err != nil {
		t.Error(err)
	}
	if len(removed) != 1 || removed[0] != stale {
		t.Errorf("removed %q, want %q", removed, stale)
	}
	if _, err := os.Lstat(stale); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the stale folder: %v", err)
	}
	for what, path := range kept {
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("%s was removed: %v", what, err)
		}
	}
	if left := entries(t, target); len(left) != 2 {
		t.Errorf("behind the link there is only %q", left)
	}
}

// What we never make is not removed, and is reported.
func TestSweepMeetsDirectory(t *testing.T) {
	p := place{onShm(t), true}
	stale := dead(t, p)
	if err := os.Mkdir(filepath.Join(stale, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	removed, err := places{tmpfs: []place{p}, disk: &p}.sweep()
	if removed != nil || err == nil {
		t.Errorf("sweep() = %q, %v", removed, err)
	}
	if left := entries(t, stale); len(left) != 1 {
		t.Errorf("there is %q, want the directory only", left)
	}
}

// A run that starts while others sweep keeps its vault.
func TestSweepBesideOpen(t *testing.T) {
	opts := rungs(t)[Tmpfs]
	mainAsked.Store(false) // without supervisors this is a hundred times as fast
	defer mainAsked.Store(true)
	stop := make(chan struct{})
	var sweepers, runs sync.WaitGroup
	for range 2 {
		sweepers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_, _ = opts.places.sweep()
				}
			}
		})
	}
	for range 2 {
		runs.Go(func() {
			for range 300 {
				v, err := Open(opts)
				if err != nil {
					t.Error(err)
					return
				}
				mustPut(t, v, "token", []byte("s3cret"))
				if got, err := v.Get("token"); string(got) != "s3cret" || err != nil {
					t.Errorf("Get = %q, %v", got, err)
				}
				if err := v.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	runs.Wait()
	close(stop)
	sweepers.Wait()
}

// A full tmpfs is an error with a hint, and leaves room for what is smaller.
func TestFullTmpfs(t *testing.T) {
	me := people()[0]
	c := me.command("full", me.home(t))
	c.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS
	c.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
	c.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	out, err := c.CombinedOutput()
	if len(out) == 0 && err != nil {
		t.Logf("no mount namespace is to be had here: %v", err)
		return
	}
	const want = "true [the tmpfs is full: give the job a larger /dev/shm (docker run --shm-size=64m)]\n"
	if got := string(out); got != want || err != nil {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
}
