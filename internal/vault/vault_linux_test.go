package vault

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/secret"
)

// onShm gives a private directory on a tmpfs.
func onShm(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "vault-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// rungs are the three ways in which a vault can be had, each in a directory of
// the test's own.
func rungs(t *testing.T) map[Kind]Options {
	shm, disk := onShm(t), t.TempDir()
	ram := []place{{shm, true}}
	onDisk := &place{disk, true}
	return map[Kind]Options{
		Memfd: {places: places{tmpfs: ram, disk: onDisk}},
		Tmpfs: {PlainFiles: true, places: places{tmpfs: ram, disk: onDisk}},
		Disk:  {PlainFiles: true, AllowDisk: true, places: places{tmpfs: []place{}, disk: onDisk}},
	}
}

func mustOpen(t *testing.T, opts Options) *Vault {
	t.Helper()
	v, err := Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	})
	return v
}

func mustPut(t *testing.T, v *Vault, id string, value []byte) {
	t.Helper()
	if err := v.Put(secret.New(id, "test", value)); err != nil {
		t.Fatal(err)
	}
}

func entries(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

func TestEveryRung(t *testing.T) {
	big := make([]byte, secret.MaxSize)
	rand.Read(big)
	values := map[string][]byte{"token": []byte("s3cret"), "empty": {}, "big": big, ".dot": []byte("a\x00b")}
	for kind, opts := range rungs(t) {
		t.Run(string(kind), func(t *testing.T) {
			v := mustOpen(t, opts)
			if got := v.Memory().Kind; got != kind {
				t.Fatalf("the rung is %s, want %s", got, kind)
			}
			for id, value := range values {
				mustPut(t, v, id, value)
			}
			dir, err := v.Expose()
			if err != nil {
				t.Fatal(err)
			}
			if again, err := v.Expose(); again != dir || err != nil {
				t.Errorf("a second Expose gives %q, %v; want %q", again, err, dir)
			}
			checkModes(t, dir, values)
			m := v.Memory()
			if m.Kind != kind || m.Path != dir || m.SurvivesKill != (kind == Memfd) {
				t.Errorf("Memory() = %+v", m)
			}
			if err := v.Close(); err != nil {
				t.Fatal(err)
			}
			checkClosed(t, v, dir)
		})
	}
}

func checkModes(t *testing.T, dir string, values map[string][]byte) {
	t.Helper()
	fi, err := os.Lstat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if fi.Mode() != fs.ModeDir|0o700 {
		t.Errorf("the directory is %v, want drwx------", fi.Mode())
	}
	if got, want := len(entries(t, dir)), len(values); got != want {
		t.Errorf("%d entries, want %d", got, want)
	}
	for id, want := range values {
		path := filepath.Join(dir, id)
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: other bytes than were put", id)
		}
		fi, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if fi.Mode() != 0o400 {
			t.Errorf("%s is %v, want -r--------", id, fi.Mode())
		}
	}
}

func checkClosed(t *testing.T, v *Vault, dir string) {
	t.Helper()
	if left := entries(t, filepath.Dir(dir)); left != nil {
		t.Errorf("after Close there is %q", left)
	}
	if left := processes(filepath.Dir(dir)); left != nil {
		t.Errorf("after Close the supervisors %v are there", left)
	}
	if _, err := v.Get("token"); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Get after Close: %v", err)
	}
	if err := v.Put(secret.New("late", "test", nil)); err == nil {
		t.Error("Put after Close is accepted")
	}
	if _, err := v.Expose(); err == nil {
		t.Error("Expose after Close is accepted")
	}
	if err := v.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
}

func TestBadIDs(t *testing.T) {
	for kind, opts := range rungs(t) {
		v := mustOpen(t, opts)
		mustPut(t, v, "token", []byte("first"))
		for _, id := range []string{"", "..", "../../etc/x", "/etc/x", "a/b", "a\x00b", "~token", strings.Repeat("a", 129)} {
			if err := v.Put(secret.New(id, "test", []byte("x"))); err == nil {
				t.Errorf("%s: the id %q is accepted", kind, id)
			}
		}
		if err := v.Put(secret.New("token", "test", []byte("second"))); !errors.Is(err, os.ErrExist) {
			t.Errorf("%s: a second secret with one id: %v", kind, err)
		}
		if got, err := v.Get("token"); string(got) != "first" || err != nil {
			t.Errorf("%s: Get = %q, %v", kind, got, err)
		}
		if _, err := v.Get("nope"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: Get of an unknown id: %v", kind, err)
		}
	}
}

func TestDiskIsRefused(t *testing.T) {
	nowhere := places{tmpfs: []place{{"/nonexistent", false}}, disk: &place{t.TempDir(), true}}
	for name, opts := range map[string]Options{
		"by default":       {PlainFiles: true, places: nowhere},
		"with require-ram": {PlainFiles: true, RequireRAM: true, places: nowhere},
		"with both":        {RequireRAM: true, AllowDisk: true, places: nowhere},
	} {
		v, err := Open(opts)
		if err == nil {
			t.Errorf("%s: opened on %s", name, v.Memory().Kind)
			v.Close()
			continue
		}
		if hints := hint.Of(err); len(hints) != 1 {
			t.Errorf("%s: the hints are %q", name, hints)
		}
	}
	if left := entries(t, nowhere.disk.dir); left != nil {
		t.Errorf("on the disk there is %q", left)
	}
}

// Where no supervisor can be had, rung 1 cannot give paths, and rung 2 does.
func TestExposeMovesToFiles(t *testing.T) {
	opts := rungs(t)[Memfd]
	v := mustOpen(t, opts)
	mustPut(t, v, "token", []byte("s3cret"))
	mainAsked.Store(false)
	defer mainAsked.Store(true)
	dir, err := v.Expose()
	if err != nil {
		t.Fatal(err)
	}
	m := v.Memory()
	if m.Kind != Tmpfs || m.SurvivesKill || !strings.Contains(m.AfterKill, "does not offer one") {
		t.Errorf("Memory() = %+v", m)
	}
	if fi, err := os.Lstat(filepath.Join(dir, "token")); err != nil || !fi.Mode().IsRegular() {
		t.Errorf("token is %v, %v; want a regular file", fi, err)
	}
	if got, err := v.Get("token"); string(got) != "s3cret" || err != nil {
		t.Errorf("Get = %q, %v", got, err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	checkClosed(t, v, dir)
}

func TestPutAfterExpose(t *testing.T) {
	for kind, want := range map[Kind]bool{Memfd: false, Tmpfs: true} {
		v := mustOpen(t, rungs(t)[kind])
		if _, err := v.Expose(); err != nil {
			t.Fatal(err)
		}
		err := v.Put(secret.New("late", "test", []byte("s3cret")))
		if got := err == nil; got != want {
			t.Errorf("%s: Put after Expose: %v", kind, err)
		}
	}
}

func TestPanicErases(t *testing.T) {
	for kind, opts := range rungs(t) {
		var dir string
		func() {
			defer func() { _ = recover() }()
			v, err := Open(opts)
			if err != nil {
				t.Fatal(err)
			}
			defer v.Close()
			mustPut(t, v, "token", []byte("s3cret"))
			if dir, err = v.Expose(); err != nil {
				t.Fatal(err)
			}
			panic("in the middle")
		}()
		if left := entries(t, filepath.Dir(dir)); dir == "" || left != nil {
			t.Errorf("%s: after a panic there is %q", kind, left)
		}
	}
}

// Close may come from a signal while the main path still fills the vault.
func TestCloseDuringPut(t *testing.T) {
	for kind, opts := range rungs(t) {
		v := mustOpen(t, opts)
		var wg sync.WaitGroup
		begun := make(chan struct{})
		for g := range 4 {
			wg.Go(func() {
				for i := range 200 {
					if i == 5 && g == 0 {
						close(begun)
					}
					id := fmt.Sprintf("s%d_%d", g, i)
					if v.Put(secret.New(id, "test", []byte("s3cret"))) == nil {
						_, _ = v.Get(id)
						_, _ = v.Expose()
					}
				}
			})
		}
		<-begun
		if err := v.Close(); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		wg.Wait()
		for _, p := range opts.places.forLinks() {
			if left := entries(t, p.dir); left != nil {
				t.Errorf("%s: there is %q", kind, left)
			}
		}
	}
}

func TestManySecrets(t *testing.T) {
	n := 5000 // more than are locked
	if testing.Short() {
		n = 300
	}
	for kind, opts := range rungs(t) {
		if kind == Disk {
			continue // one fsync for each
		}
		v := mustOpen(t, opts)
		for i := range n {
			mustPut(t, v, fmt.Sprintf("s%d", i), fmt.Appendf(nil, "value %d", i))
		}
		dir, err := v.Expose()
		if err != nil {
			t.Fatal(err)
		}
		if m := v.Memory(); m.Locked && n > 4096 {
			t.Errorf("%s: all of %d values are said to be locked", kind, n)
		}
		for _, i := range []int{0, n / 2, n - 1} {
			got, err := os.ReadFile(fmt.Sprintf("%s/s%d", dir, i))
			if want := fmt.Sprintf("value %d", i); string(got) != want || err != nil {
				t.Errorf("%s: s%d is %q, %v; want %q", kind, i, got, err, want)
			}
		}
	}
}

func TestLadder(t *testing.T) {
	for _, r := range Ladder() {
		if r.Kind == Memfd && r.Err != nil {
			t.Errorf("memfd: %v", r.Err)
		}
		if r.Place == "/dev/shm" && r.Err != nil {
			t.Errorf("/dev/shm: %v", r.Err)
		}
	}
}

func TestSwapping(t *testing.T) {
	list := filepath.Join(t.TempDir(), "swaps")
	const heading = "Filename\tType\tSize\tUsed\tPriority\n"
	for _, tt := range []struct {
		text string
		want bool
	}{{heading, false}, {"", false}, {heading + "/swapfile file 4194300 0 -2\n", true}} {
		if err := os.WriteFile(list, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := swapping(list); got != tt.want {
			t.Errorf("swapping(%q) = %v", tt.text, got)
		}
	}
	if !swapping("/nonexistent") {
		t.Error("a list that cannot be read counts as no swap")
	}
}

func BenchmarkVault(b *testing.B) {
	for _, expose := range []bool{false, true} {
		b.Run(fmt.Sprintf("expose=%v", expose), func(b *testing.B) {
			for b.Loop() {
				v, err := Open(Options{})
				if err != nil {
					b.Fatal(err)
				}
				for i := range 10 {
					if err := v.Put(secret.New(fmt.Sprintf("s%d", i), "test", []byte("s3cret"))); err != nil {
						b.Fatal(err)
					}
				}
				if expose {
					if _, err := v.Expose(); err != nil {
						b.Fatal(err)
					}
				}
				if err := v.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
