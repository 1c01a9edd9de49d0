// Command bench prints what secure-build costs, as ratios of one run on one
// machine: make bench runs it.
//
//   - Whole runs beside BuildKit alone. Both sides use one registry on disk and
//     one context: a Dockerfile with a secret, and 1.2 GB of this machine's own
//     files (-size changes that), most of them in one layer. secure-build runs
//     twice: with the daemon that buildctl uses, and with the one that it starts,
//     and ends, by itself.
//     Cold is an empty build cache and registry, and nothing remembered; warm is
//     the same again with nothing changed. With -full, or -only large, the memory
//     for an image four times as large.
//   - secure-build scan beside gzip -dc on the layers of the corpus
//     (internal/corpus, -scan-size), and what it finds there.
//   - An export that is scanned while it arrives beside one that is not
//     (-overlap-size; -layers says how many BuildKit packs side by side).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/org/secure-build/internal/buildkit/shim"
)

// options of a run. Sizes are in bytes.
type options struct {
	size, scanSize, overlapSize int64
	rounds                      int
	full                        bool   // also images four times as large
	only                        string // scan, overlap, run or large; "" is all
	layers                      int    // of the overlap; 0 is one, and then four
}

func main() {
	if shim.Asked {
		fmt.Fprintln(os.Stderr, "bench:", shim.Err)
		os.Exit(1)
	}
	if len(os.Args) > 2 && os.Args[1] == measureFlag {
		if err := measure(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	var o options
	flag.Int64Var(&o.size, "size", 1200, "MB of files in the image of whole runs")
	flag.Int64Var(&o.scanSize, "scan-size", 700, "MB of files in the image to scan")
	flag.Int64Var(&o.overlapSize, "overlap-size", 400, "MB of files in the image to export")
	flag.IntVar(&o.rounds, "rounds", 1, "runs of each")
	flag.BoolVar(&o.full, "full", false, "also build and scan images four times as large")
	flag.IntVar(&o.layers, "layers", 0, "layers of the image to export (default one, and then four)")
	flag.StringVar(&o.only, "only", "", "one part: scan, overlap, run or large")
	flag.Parse()
	o.size, o.scanSize, o.overlapSize = o.size<<20, o.scanSize<<20, o.overlapSize<<20
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		stop()
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench is what all parts share.
type bench struct {
	dir, tools, self string
	daemon           string
	env              []string
	host             string
	stored           string // the registry's folder
}

func run(ctx context.Context, o options) (err error) {
	b := &bench{env: os.Environ()}
	if b.dir, err = os.MkdirTemp("", "secure-build-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if b.tools, err = filepath.Abs("bin/tools"); err != nil {
		return err
	}
	b.self = filepath.Join(filepath.Dir(b.tools), "secure-build")
	var bad error
	for _, part := range []struct {
		name string
		run  func() error
	}{
		{"scan", func() error { return b.scans(ctx, o) }},
		{"overlap", func() error {
			if err := errors.Join(b.context(o.overlapSize), b.secret(ctx)); err != nil {
				return err
			}
			return errors.Join(b.overlap(ctx, o), os.RemoveAll(b.folder()))
		}},
		{"run", func() error {
			return b.withDaemon(ctx, o.size, func() error { return b.wholeRuns(ctx, o) })
		}},
		{"large", func() error {
			return b.withDaemon(ctx, 4*o.size, func() error { return b.fourfold(ctx, 4*o.size) })
		}},
	} {
		if o.only != part.name && (o.only != "" || part.name == "large" && !o.full) {
			continue
		}
		err := part.run()
		if w, ok := errors.AsType[wrong](err); ok { // the other parts' figures are right
			bad = w
		} else if err != nil {
			return err
		}
	}
	return bad
}

// withDaemon runs a part that builds: with files, a secret and a buildkitd.
func (b *bench) withDaemon(ctx context.Context, size int64, part func() error) error {
	if err := errors.Join(b.context(size), b.secret(ctx)); err != nil {
		return err
	}
	stop, err := b.start(ctx)
	if err != nil {
		return err
	}
	stopRegistry, err := b.registry(ctx)
	if err == nil {
		err = part()
		stopRegistry()
	}
	stop()
	return errors.Join(err, os.RemoveAll(b.folder()), os.RemoveAll(filepath.Join(b.dir, "buildkit")))
}

// command runs to the end and says how long it took.
func (b *bench) command(ctx context.Context, args ...string) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = b.environ()
	began := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(began)
	if err != nil {
		return 0, fmt.Errorf("%s: %w\n%s", filepath.Base(args[0]), err, out)
	}
	return took, nil
}

// cacheDir is what secure-build remembers things in.
func (b *bench) cacheDir() string { return filepath.Join(b.dir, "cache") }

func (b *bench) environ() []string {
	return append(slices.Clone(b.env), "SECURE_BUILD_CACHE_DIR="+b.cacheDir())
}

// best is the fastest of n.
func (b *bench) best(n int, f func() (time.Duration, error)) time.Duration {
	var best time.Duration
	for range n {
		if d, err := f(); err == nil && (best == 0 || d < best) {
			best = d
		}
	}
	return best
}
