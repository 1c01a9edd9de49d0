package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/org/secure-build/internal/buildkit"
	"github.com/org/secure-build/internal/image"
	"github.com/org/secure-build/internal/index"
	"github.com/org/secure-build/internal/scan"
	"github.com/org/secure-build/internal/scan/rules"
	"github.com/org/secure-build/internal/secret"
)

// A side is one way to build and export.
type side struct {
	name string
	sent bool          // by BuildKit's exporter, although its files are at hand
	scan *scan.Options // nil: none
	best lap
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
func (b *bench) overlap(ctx context.Context, size int64, rounds int) error {
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
	for _, layers := range []int{1, 4} {
		if err := b.split(layers); err != nil {
			return err
		}
		for i := range sides {
			sides[i].best = lap{}
		}
		for range rounds {
			for i := range sides {
				if err := b.turn(ctx, value, &sides[i]); err != nil {
					return fmt.Errorf("%s: %w", sides[i].name, err)
				}
			}
		}
		fmt.Printf("overlap: build and export of %d MB in %d layers that BuildKit compresses on the way; fastest of %d\n", size>>20, layers, rounds)
		fmt.Printf("%-28s %8s %12s %12s %9s %13s %8s %11s\n", "", "s", "to sent", "to linked", "at most", "after export", "cpu s", "BuildKit's")
		for _, s := range sides {
			fmt.Printf("%-28s %8.2f %+10.1f %% %+10.1f %% %9s %13.2f %8.2f %11.2f\n", s.name, s.best.took.Seconds(),
				more(s.best.took, sides[0].best.took), more(s.best.took, sides[1].best.took), "+10 %",
				s.best.after.Seconds(), s.best.cpu.Seconds(), s.best.buildkit.Seconds())
		}
	}
	return nil
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
	own, others := processorTime()
	l, err := b.export(ctx, engine, value, scanner, s.sent)
	err = errors.Join(err, engine.Close()) // its time counts when it has ended
	ownThen, othersThen := processorTime()
	l.cpu, l.buildkit = ownThen-own, othersThen-others
	if s.best.took == 0 || l.took < s.best.took {
		s.best = l
	}
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
	stop := engine.Ahead(ctx, buildkit.Reading{Growing: read, Packed: layout.Take(watch)})
	res, err := engine.Solve(ctx, buildkit.Request{
		Context: b.folder(), Store: layout.Store(watch), Secret: func(string) ([]byte, error) { return value, nil },
	}, buildkit.Output{W: io.Discard, Progress: "plain", Redact: func(s string) string { return s }, NewLog: func(w io.Writer) buildkit.LogWriter { return stepLog{w} }})
	exported := time.Now()
	stop()
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
	return scan.Hit{Rule: h.Rule, Severity: h.Severity, Offset: h.Offset}
}
