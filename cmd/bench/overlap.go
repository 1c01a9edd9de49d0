package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/org/secure-build/internal/buildkit"
	"github.com/org/secure-build/internal/image"
	"github.com/org/secure-build/internal/index"
	"github.com/org/secure-build/internal/scan"
	"github.com/org/secure-build/internal/scan/rules"
	"github.com/org/secure-build/internal/secret"
	"github.com/sirupsen/logrus"
)

// overlap compares a build whose export is scanned while it arrives with the
// same build and export without a scan. The cache is empty, so that BuildKit has
// to compress the layers.
func (b *bench) overlap(ctx context.Context, size int64, rounds int) error {
	logrus.SetLevel(logrus.ErrorLevel) // containerd warns of file systems without fs-verity
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
	sides := []struct {
		name string
		scan *scan.Options // nil: none
		took time.Duration
	}{
		{"not scanned", nil, 0},
		{"known values, nested", &scan.Options{Index: index.Compile(set)}, 0},
		{"nested, and patterns", &scan.Options{Index: index.Compile(set), Patterns: patterns{known}}, 0},
	}
	for range rounds {
		for i := range sides {
			side := &sides[i]
			if err := b.prune(ctx); err != nil {
				return err
			}
			var s *scan.Scanner
			if side.scan != nil {
				s = scan.New(*side.scan)
			}
			took, err := b.export(ctx, value, s)
			if err != nil {
				return fmt.Errorf("%s: %w", side.name, err)
			}
			if side.took == 0 || took < side.took {
				side.took = took
			}
		}
	}
	fmt.Printf("overlap: build and export of %d MB that BuildKit compresses on the way; fastest of %d\n", size>>20, rounds)
	for _, side := range sides {
		fmt.Printf("%-28s %8.2f s %+7.1f %%; at most +10 %%\n", side.name, side.took.Seconds(), 100*(side.took.Seconds()/sides[0].took.Seconds()-1))
	}
	return nil
}

// export builds into a layout, and scans what arrives if there is a scanner.
func (b *bench) export(ctx context.Context, value []byte, s *scan.Scanner) (took time.Duration, err error) {
	engine, err := buildkit.Connect(ctx, buildkit.EngineOptions{Builders: []string{b.daemon}, Getenv: func(string) string { return "" }, Log: io.Discard})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	layout, err := image.Create(filepath.Join(b.dir, "layout"))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, layout.Remove()) }()
	watch := func(digest string) (io.Writer, func(bool)) {
		if s == nil {
			return io.Discard, func(bool) {}
		}
		w := s.Blob(digest)
		return w, func(bool) { _ = w.Close() }
	}
	began := time.Now()
	res, err := engine.Solve(ctx, buildkit.Request{
		Context: b.folder(), Store: layout.Store(watch), Secret: func(string) ([]byte, error) { return value, nil },
	}, buildkit.Output{W: io.Discard, Progress: "plain", Redact: func(s string) string { return s }, NewLog: func(w io.Writer) buildkit.LogWriter { return stepLog{w} }})
	if err != nil || s == nil {
		return time.Since(began), err
	}
	root := scan.Descriptor{MediaType: res.Root.MediaType, Digest: res.Root.Digest.String(), Size: res.Root.Size}
	rep, err := s.Report(ctx, root, layout.Open)
	took = time.Since(began)
	if err == nil && len(rep.Coverage.Unread) > 0 {
		err = fmt.Errorf("not read: %v", rep.Coverage.Unread)
	}
	return took, err
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
