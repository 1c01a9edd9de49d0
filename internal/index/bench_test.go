package index

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/org/secure-build/internal/secret"
)

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/"

func randomToken(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[r.IntN(62)]
	}
	return b
}

// testSet has n secrets of 16 to 40 random characters, or fewer.
func testSet(n int, least int) secret.Set {
	r := rand.New(rand.NewPCG(1, 2))
	var set secret.Set
	for i := range n {
		_ = set.Add(secret.New(fmt.Sprintf("s%d", i), "test", randomToken(r, least+r.IntN(24))))
	}
	return set
}

// corpus returns 8 MiB of: random bytes, log text, base64 text, zeros.
func corpus(kind string) []byte {
	r := rand.New(rand.NewPCG(3, 4))
	p := make([]byte, 0, 8<<20)
	for len(p) < 8<<20 {
		switch kind {
		case "random":
			for range 1024 {
				p = append(p, byte(r.Uint32()))
			}
		case "text":
			p = fmt.Appendf(p, "2026-11-21T10:%02d:%02dZ info step %d/17: go: downloading github.com/moby/buildkit v0.%d.1 (%d kB) to /go/pkg/mod/cache\n", r.IntN(60), r.IntN(60), r.IntN(17), r.IntN(99), r.IntN(99999))
		case "base64":
			p = append(p, randomToken(r, 76)...)
			p = append(p, '\n')
		case "zeros":
			p = append(p, make([]byte, 4096)...)
		}
	}
	return p
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

// BenchmarkPatterns has exactly as many patterns as its name says, each of 8
// bytes and more: the figure to compare with other matchers.
func BenchmarkPatterns(b *testing.B) {
	for _, n := range []int{50, 200, 1000} {
		r := rand.New(rand.NewPCG(5, 6))
		var needles []needle
		for range n {
			needles = append(needles, needle{bytes: randomToken(r, 8+r.IntN(32)), class: Long, pattern: &Pattern{}})
		}
		needles[0].bytes = needles[0].bytes[:8]
		e := newEngine(needles, minLong)
		for _, kind := range []string{"random", "text", "base64", "zeros"} {
			p := corpus(kind)
			b.Run(fmt.Sprintf("%d/%s", n, kind), func(b *testing.B) {
				perCPU(b, len(p), func() { e.each(p, Blob, func(*needle, int) bool { return true }) })
			})
		}
	}
}

// BenchmarkMatch has whole secrets with all their encodings.
func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{50, 200, 1000} {
		x := Compile(testSet(n, 16))
		for _, kind := range []string{"random", "text", "base64", "zeros"} {
			p := corpus(kind)
			b.Run(fmt.Sprintf("%d_secrets_%d_patterns/%s", n, x.Len(), kind), func(b *testing.B) {
				perCPU(b, len(p), func() { x.Each(p, Blob, func(Match) bool { return true }) })
			})
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	for _, n := range []int{50, 1000} {
		set := testSet(n, 16)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				Compile(set)
			}
		})
	}
	var set secret.Set
	_ = set.Add(secret.New("big", "test", randomToken(rand.New(rand.NewPCG(1, 1)), secret.MaxSize)))
	b.Run("500KiB", func(b *testing.B) {
		for b.Loop() {
			Compile(set)
		}
	})
}
