package scan

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/org/secure-build/internal/index"
	"github.com/org/secure-build/internal/secret"
)

// BenchmarkLayer scans a layer of real files, the Go toolchain's own, in each
// compression.
func BenchmarkLayer(b *testing.B) {
	plain := filesOf(b, goRoot(b), 128<<20)
	for name, layer := range map[string][]byte{"plain": plain, "gzip": gz(b, plain), "zstd": zst(b, plain)} {
		b.Run(name, func(b *testing.B) {
			sc := New(Options{Index: testIndex()})
			b.SetBytes(int64(len(plain)))
			for b.Loop() {
				if rec := sc.inspect("sha256:0", bytes.NewReader(layer)); len(rec.unread) > 0 {
					b.Fatal(rec.unread)
				}
			}
		})
	}
}

// BenchmarkImage scans three gzip layers of real files side by side, and
// compares the time with that of gzip -dc on one after the other.
func BenchmarkImage(b *testing.B) {
	dir := b.TempDir()
	var paths []string
	for i, from := range []string{goRoot(b), "/usr/lib", "/usr/share"} {
		if _, err := os.Stat(from); err != nil {
			b.Skip(err) // not a machine to measure on
		}
		path := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(path, gz(b, filesOf(b, from, 110<<20)), 0o600); err != nil {
			b.Fatal(err)
		}
		paths = append(paths, path)
	}
	runtime.GC()
	b.Run("gzip -dc", func(b *testing.B) {
		var used time.Duration
		for b.Loop() {
			for _, path := range paths {
				cmd := exec.Command("gzip", "-dc", path)
				if err := cmd.Run(); err != nil { // gzip has no suffix to look at with -c and a file
					in, _ := os.Open(path)
					cmd = exec.Command("gzip", "-dc")
					cmd.Stdin = in
					if err := cmd.Run(); err != nil {
						b.Fatal(err)
					}
				}
				used += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
			}
		}
		b.ReportMetric(used.Seconds()/float64(b.N), "cpu-s/op")
	})
	idx := manyValues(200)
	for name, opts := range map[string]Options{"shallow": {Index: idx, Shallow: true}, "nested": {Index: idx}} {
		b.Run(name, func(b *testing.B) {
			before := cpuTime()
			var total int64
			for b.Loop() {
				sc := New(opts)
				var wg sync.WaitGroup
				room := make(chan struct{}, runtime.GOMAXPROCS(0))
				for i, path := range paths {
					room <- struct{}{}
					wg.Go(func() {
						defer func() { <-room }()
						in, err := os.Open(path)
						if err != nil {
							b.Error(err)
							return
						}
						defer in.Close()
						sc.keep(sc.inspect(fmt.Sprint(i), in))
					})
				}
				wg.Wait()
				total = 0
				for _, rec := range sc.records {
					if total += rec.total; len(rec.unread)+len(rec.found.unread.list) > 0 {
						b.Log(rec.unread, rec.found.unread)
					}
				}
			}
			b.ReportMetric((cpuTime()-before).Seconds()/float64(b.N), "cpu-s/op")
			b.ReportMetric(float64(total)/1e6, "MB")
		})
	}
}

func goRoot(b *testing.B) string {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(string(root))
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// manyValues is an index of n random values.
func manyValues(n int) *index.Index {
	r := rand.New(rand.NewPCG(7, 7))
	var set secret.Set
	for i := range n {
		v := make([]byte, 24)
		for j := range v {
			v[j] = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"[r.IntN(56)]
		}
		_ = set.Add(secret.New(fmt.Sprint("s", i), "test", v))
	}
	return index.Compile(set)
}

// filesOf makes a tar of the files below dir, up to about size bytes.
func filesOf(b *testing.B, dir string, size int) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || out.Len() > size {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: path, Size: int64(len(content)), Mode: 0o644}); err != nil {
			return err
		}
		_, err = io.Copy(w, bytes.NewReader(content))
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	return out.Bytes()
}
