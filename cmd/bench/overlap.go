package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/org/secure-build/internal/buildkit"
	"github.com/org/secure-build/internal/image"
	"github.com/org/secure-build/internal/index"
	"github.com/org/secure-build/internal/scan"
	"github.com/org/secure-build/internal/scan/rules"
	"github.com/org/secure-build/internal/secret"
)

// overlapRounds is how many rounds of all sides make one of the bench's.
const overlapRounds = 3

// A side is one way to build and export.
type side struct {
	name string
	sent bool          // by BuildKit's exporter, as it is without us, although its files are at hand
	scan *scan.Options // nil: none
	laps []lap         // one for each round
}

// A lap is what one build and export took.
type lap struct {
	took     time.Duration // all of it
	after    time.Duration // from the end of the export to the verdict
	cpu      time.Duration // of this process, of which BuildKit is none
	buildkit time.Duration // its processor time
}

// overlap compares a build whose export is scanned while it arrives with the
// same build and export without a scan. The cache is empty, so that BuildKit has
// to compress the layers.
func (b *bench) overlap(ctx context.Context, o options) error {
	buildkit.Quiet(io.Discard)
	value, err := os.ReadFile(filepath.Join(b.dir, "plain"))
	if err != nil {
		return err
	}
	var set secret.Set
	if err := set.Add(secret.New("token", "plain", value)); err != nil {
		return err
	}
	known, err := rules.New(rules.Options{})
	if err != nil {
		return err
	}
	sides := []side{
		{name: "sent, not scanned", sent: true},
		{name: "linked, not scanned"},
		{name: "known values, nested", scan: &scan.Options{Index: index.Compile(set)}},
		{name: "nested, and patterns", scan: &scan.Options{Index: index.Compile(set), Patterns: patterns{known}}},
	}
	counts := []int{1, 4}
	if o.layers > 0 {
		counts = []int{o.layers}
	}
	for _, layers := range counts {
		if err := b.split(layers); err != nil {
			return err
		}
		for i := range sides {
			sides[i].laps = nil
		}
		for round := range o.rounds * overlapRounds {
			for i := range sides { // each side has each place in turn
				s := &sides[(i+round)%len(sides)]
				if err := b.turn(ctx, value, s); err != nil {
					return fmt.Errorf("%s: %w", s.name, err)
				}
			}
		}
		printOverlap(sides, o.overlapSize, layers)
	}
	return nil
}

// printOverlap prints medians. Those of the ratios are over rounds, whose sides
// ran one after the other: what a machine gives changes by more than 10 % within
// minutes.
func printOverlap(sides []side, size int64, layers int) {
	fmt.Printf("overlap: build and export of %d MB in %d layers that BuildKit compresses on the way; medians of %d rounds\n", size>>20, layers, len(sides[0].laps))
	fmt.Printf("%-28s %8s %12s %12s %9s %13s %8s %11s\n", "", "s", "to sent", "to linked", "at most", "after export", "cpu s", "BuildKit's")
	seconds := func(s side, of func(lap) time.Duration) float64 {
		return median(s.laps, func(i int) float64 { return of(s.laps[i]).Seconds() })
	}
	took := func(l lap) time.Duration { return l.took }
	for _, s := range sides {
		to := func(base side) float64 {
			return median(s.laps, func(i int) float64 { return more(s.laps[i].took, base.laps[i].took) })
		}
		fmt.Printf("%-28s %8.2f %+10.1f %% %+10.1f %% %9s %13.2f %8.2f %11.2f\n", s.name, seconds(s, took), to(sides[0]), to(sides[1]), "+10 %",
			seconds(s, func(l lap) time.Duration { return l.after }), seconds(s, func(l lap) time.Duration { return l.cpu }),
			seconds(s, func(l lap) time.Duration { return l.buildkit }))
	}
}

// median of what of says about each lap.
func median(laps []lap, of func(i int) float64) float64 {
	all := make([]float64, len(laps))
	for i := range laps {
		all[i] = of(i)
	}
	return middle(all)
}

// middle is the median.
func middle[T ~int64 | ~float64](all []T) T {
	all = slices.Sorted(slices.Values(all))
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

// more is how much longer took is than base, in percent.
func more(took, base time.Duration) float64 { return 100 * (took.Seconds()/base.Seconds() - 1) }

// split writes a Dockerfile that brings the files in as so many layers.
func (b *bench) split(layers int) error {
	var text strings.Builder
	text.WriteString("FROM scratch\n")
	for i := range layers {
		text.WriteString("COPY")
		for folder := i; folder < folders; folder += layers {
			fmt.Fprintf(&text, " files/%02d", folder)
		}
		fmt.Fprintf(&text, " /files/%d/\n", i)
	}
	return os.WriteFile(filepath.Join(b.folder(), "Dockerfile"), []byte(text.String()), 0o644)
}

// turn runs one side once, with a private daemon that has nothing yet.
func (b *bench) turn(ctx context.Context, value []byte, s *side) (err error) {
	state := filepath.Join(b.dir, "state")
	defer func() { err = errors.Join(err, os.RemoveAll(state)) }()
	engine, err := buildkit.Connect(ctx, buildkit.EngineOptions{CacheDir: state, Executable: b.self, Log: io.Discard, Getenv: func(name string) string {
		if name == "PATH" {
			return os.Getenv(name)
		}
		return ""
	}})
	if err != nil {
		return err
	}
	var scanner *scan.Scanner
	if s.scan != nil {
		scanner = scan.New(*s.scan)
	}
	syscall.Sync() // what the turn before has left to be written is not ours
	own, others := processorTime()
	l, err := b.export(ctx, engine, value, scanner, s.sent)
	err = errors.Join(err, engine.Close()) // its time counts when it has ended
	ownThen, othersThen := processorTime()
	l.cpu, l.buildkit = ownThen-own, othersThen-others
	s.laps = append(s.laps, l)
	return err
}

// export builds into a layout, and scans what arrives if there is a scanner.
func (b *bench) export(ctx context.Context, engine *buildkit.Engine, value []byte, s *scan.Scanner, sent bool) (l lap, err error) {
	layout, err := image.Create(filepath.Join(b.dir, "state", "layout"))
	if err != nil {
		return l, err
	}
	if !sent {
		layout.Borrow(engine.Blobs)
	}
	read, watch := func(io.Reader) {}, func(string) (io.Writer, func(bool)) { return io.Discard, func(bool) {} }
	if s != nil {
		read, watch = s.Unnamed, func(digest string) (io.Writer, func(bool)) {
			w := s.Blob(digest)
			return w, func(bool) { _ = w.Close() }
		}
	}
	began := time.Now()
	take := layout.Take(watch)
	stop := engine.Ahead(ctx, buildkit.Reading{Growing: read, Packed: take})
	res, err := engine.Solve(ctx, buildkit.Request{
		Context: b.folder(), Store: layout.Store(watch), Take: take, Secret: func(string) ([]byte, error) { return value, nil },
	}, buildkit.Output{W: io.Discard, Progress: "plain", Redact: func(s string) string { return s }, NewLog: func(w io.Writer) buildkit.LogWriter { return stepLog{w} }})
	exported := time.Now()
	stop()
	if err == nil {
		err = layout.SetRoot(ctx, res.Root)
	}
	if err == nil && s != nil {
		root := scan.Descriptor{MediaType: res.Root.MediaType, Digest: res.Root.Digest.String(), Size: res.Root.Size}
		rep, rerr := s.Report(ctx, root, layout.Open)
		if err = rerr; err == nil && len(rep.Coverage.Unread) > 0 {
			err = fmt.Errorf("not read: %v", rep.Coverage.Unread)
		}
	}
	return lap{took: time.Since(began), after: time.Since(exported)}, err
}

// prune empties the build cache.
func (b *bench) prune(ctx context.Context) error {
	_, err := b.command(ctx, filepath.Join(b.tools, "buildctl"), "--addr", b.daemon, "prune", "--all")
	return err
}

// stepLog passes a step's output on as it is.
type stepLog struct{ io.Writer }

func (stepLog) Flush() error { return nil }

// patterns lets the scanner use the rules.
type patterns struct{ rules *rules.Rules }

func (p patterns) Stream(at scan.Place, _ int64, found func(scan.Hit)) scan.PatternStream {
	return p.rules.Stream(at.Path, func(h rules.Hit) { found(hit(h)) })
}

func (p patterns) Name(path string, mode int64, isDir bool) (hits []scan.Hit) {
	for _, h := range rules.Name(path, mode, isDir) {
		hits = append(hits, hit(h))
	}
	return hits
}

func (p patterns) Text(scan.Place, string) []scan.Hit { return nil }

func hit(h rules.Hit) scan.Hit {
	return scan.Hit{Rule: h.Rule, Severity: h.Severity, Offset: h.Offset, Folder: h.Folder}
}
