package redact

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/org/secure-build/internal/index"
	"github.com/org/secure-build/internal/secret"
)

func randomToken(r *rand.Rand, n int) []byte {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[r.IntN(len(letters))]
	}
	return b
}

// manySecrets is an index of n secrets: passwords of 8 and more, tokens, and a
// key for every ten.
func manySecrets(n int) *index.Index {
	r := rand.New(rand.NewPCG(1, 2))
	var set secret.Set
	for i := range n {
		v := randomToken(r, 8+r.IntN(40))
		if i%10 == 9 {
			v = []byte("-----BEGIN PRIVATE KEY-----\n")
			for range 10 {
				v = append(append(v, randomToken(r, 64)...), '\n')
			}
		}
		_ = set.Add(secret.New(fmt.Sprintf("s%d", i), "test", v))
	}
	return index.Compile(set)
}

// log returns 4 MiB of log lines of about 100 bytes.
func log(colour bool) []byte {
	r := rand.New(rand.NewPCG(3, 4))
	var b bytes.Buffer
	for b.Len() < 4<<20 {
		if colour {
			b.WriteString("\x1b[32m")
		}
		fmt.Fprintf(&b, "#%d %d.%03d go: downloading github.com/moby/buildkit v0.%d.1 sha256:%016x extracted %d kB", r.IntN(60), r.IntN(60), r.IntN(1000), r.IntN(99), r.Uint64(), r.IntN(99999))
		if colour {
			b.WriteString("\x1b[0m")
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// perCPU reports the rate per second of this process's CPU time, which a busy
// machine changes less than the rate by the clock.
func perCPU(b *testing.B, size int, f func()) {
	b.SetBytes(int64(size))
	b.ReportAllocs()
	var before, after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	n := 0
	for b.Loop() {
		f()
		n++
	}
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	b.ReportMetric(float64(n*size)/1e6/time.Duration(after.Utime.Nano()-before.Utime.Nano()).Seconds(), "MB/cpu-s")
}

func BenchmarkWriter(b *testing.B) {
	for _, n := range []int{50, 1000} {
		x := manySecrets(n)
		for _, c := range []struct {
			name   string
			size   int
			colour bool
		}{{"tiny", 20, false}, {"line", 100, false}, {"4KiB", 4 << 10, false}, {"32KiB", 32 << 10, false}, {"32KiB_coloured", 32 << 10, true}} {
			b.Run(fmt.Sprintf("%d_secrets_%d_patterns/%s", n, x.Len(), c.name), func(b *testing.B) {
				r := New()
				r.SetIndex(x)
				w := r.Writer(io.Discard)
				text := log(c.colour)
				perCPU(b, len(text), func() {
					for rest := text; len(rest) > 0; rest = rest[min(c.size, len(rest)):] {
						_, _ = w.Write(rest[:min(c.size, len(rest))])
					}
				})
			})
		}
	}
}

// A write of clean lines allocates nothing, once the buffers have grown.
func TestWritesDoNotAllocate(t *testing.T) {
	x := manySecrets(50)
	text := log(true)[:64<<10]
	for mode, options := range map[string][]Option{"lines": nil, "at once": {Immediately()}} {
		for _, size := range []int{20, 100, 4096, 32768} {
			r := New()
			r.SetIndex(x)
			w := r.Writer(io.Discard, options...)
			all := func() {
				for rest := text; len(rest) > 0; rest = rest[min(size, len(rest)):] {
					_, _ = w.Write(rest[:min(size, len(rest))])
				}
			}
			all()
			if got := testing.AllocsPerRun(10, all); got != 0 {
				t.Errorf("%s, writes of %d: %v allocations", mode, size, got)
			}
			_ = w.Close()
		}
	}
}
