package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// The most that our run may take, as a ratio to buildctl's, and the memory of
// our process, in MiB. The daemon's is not in it: it is the same for both.
const (
	mostGzip   = 1.20
	mostZstd   = 1.30
	mostWarm   = 1.25
	mostMemory = 128

	warmRuns = 5 // for each cold one: half a second is soon disturbed
)

// A pair is what both sides took for the same.
type pair struct {
	name   string
	most   float64
	theirs time.Duration
	ours   [2]ours // by engine
}

// ours is what our side took, and its peak memory in bytes.
type ours struct {
	took time.Duration
	peak int64
}

// The engines of our side: the daemon that buildctl uses too, and the one that
// secure-build starts by itself where there is none, and ends.
const (
	shared = iota
	private
)

var engines = [...]string{"same daemon", "own daemon"}

// wholeRuns compares secure-build with buildctl, cold and warm, with gzip and
// with zstd. With full, it looks at the memory for an image four times as large.
func (b *bench) wholeRuns(ctx context.Context, o options) error {
	stop, err := b.registry(ctx)
	if err != nil {
		return err
	}
	defer stop()
	biggest, err := b.largest()
	if err != nil {
		return err
	}
	pairs := []*pair{
		{name: "cold, gzip", most: mostGzip}, {name: "warm, gzip", most: mostWarm},
		{name: "cold, zstd", most: mostZstd}, {name: "warm, zstd", most: mostWarm},
	}
	for round := range o.rounds {
		for i, how := range []string{"gzip", "zstd"} {
			if err := b.turns(ctx, how, round%2 == 1, pairs[2*i], pairs[2*i+1]); err != nil {
				return err
			}
		}
	}
	fmt.Printf("whole runs: %d MB of files, %d MB of them in one layer; fastest of %d, warm of %d\n", o.size>>20, biggest>>20, o.rounds, o.rounds*warmRuns)
	fmt.Printf("%-28s %10s %14s %7s %8s %8s %8s\n", "", "buildctl s", "secure-build s", "ratio", "at most", "peak MiB", "at most")
	for _, p := range pairs {
		for engine := range p.ours {
			p.print(engine)
		}
	}
	fmt.Printf("%-28s %10s %14.3f\n", "start-up (version)", "", b.best(20, func() (time.Duration, error) { return b.command(ctx, b.self, "version") }).Seconds())
	if !o.full {
		return nil
	}
	return b.fourfold(ctx, o.size)
}

func (p *pair) print(engine int) {
	o := p.ours[engine]
	ratio, peak := o.took.Seconds()/p.theirs.Seconds(), float64(o.peak)/(1<<20)
	verdict := "met"
	if ratio > p.most || peak > mostMemory {
		verdict = "MISSED"
	}
	fmt.Printf("%-28s %10.2f %14.2f %7.2f %8.2f %8.1f %8d  %s\n", p.name+", "+engines[engine], p.theirs.Seconds(), o.took.Seconds(), ratio, p.most, peak, mostMemory, verdict)
}

// turns runs all sides, each on an empty cache and then once more with nothing
// changed. Who is first may matter, so that changes.
func (b *bench) turns(ctx context.Context, how string, oursFirst bool, cold, warm *pair) error {
	sides := []func(*pair) error{
		func(p *pair) error { return b.theirs(ctx, how, p) },
		func(p *pair) error { return b.ours(ctx, how, shared, &p.ours[shared]) },
		func(p *pair) error { return b.ours(ctx, how, private, &p.ours[private]) },
	}
	if oursFirst {
		slices.Reverse(sides)
	}
	for _, side := range sides {
		if err := b.forget(ctx); err != nil {
			return err
		}
		for i, p := range append([]*pair{cold}, slices.Repeat([]*pair{warm}, warmRuns)...) {
			if i <= 1 {
				syscall.Sync() // what was written before is not this run's to wait for
			}
			if err := side(p); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) theirs(ctx context.Context, how string, p *pair) error {
	u, err := b.use(ctx, filepath.Join(b.tools, "buildctl"), "--addr", b.daemon, "build", "--progress", "plain",
		"--frontend", "dockerfile.v0", "--local", "context="+b.folder(), "--local", "dockerfile="+b.folder(),
		"--secret", "id=token,src="+filepath.Join(b.dir, "plain"),
		"--output", "type=image,name="+b.host+"/bench/buildctl:1,push=true,registry.insecure=true,compression="+how)
	if p.theirs == 0 || u.Took < p.theirs {
		p.theirs = u.Took
	}
	return err
}

// ours is without a provenance, which buildctl does not make unasked either.
func (b *bench) ours(ctx context.Context, how string, engine int, o *ours) error {
	args := []string{b.self, "build", "--progress", "plain", "--provenance=false", "--compression", how,
		"--sops", filepath.Join(b.dir, "secrets.yaml"), "--tag", b.host + "/bench/ours:1", "--fail-on", "known-value", "--push", b.folder()}
	if engine == shared {
		args = append(args, "--builder", b.daemon)
	}
	u, err := b.use(ctx, args...)
	if o.took == 0 || u.Took < o.took {
		o.took = u.Took
	}
	o.peak = max(o.peak, u.Peak)
	return err
}

// use runs a command that has to succeed.
func (b *bench) use(ctx context.Context, args ...string) (usage, error) {
	u, out, err := b.measured(ctx, args...)
	if err == nil && u.Exit != 0 {
		err = fmt.Errorf("exit status %d", u.Exit)
	}
	if err != nil {
		return u, fmt.Errorf("%s: %w\n%s", filepath.Base(args[0]), err, out)
	}
	return u, nil
}

// fourfold is the memory for an image four times as large. zstd has the larger
// windows.
func (b *bench) fourfold(ctx context.Context, size int64) error {
	if err := errors.Join(b.forget(ctx), os.RemoveAll(b.folder()), b.context(4*size)); err != nil {
		return err
	}
	for engine, name := range engines {
		var o ours
		if err := errors.Join(b.forget(ctx), b.ours(ctx, "zstd", engine, &o)); err != nil {
			return err
		}
		fmt.Printf("%-28s %10s %14.2f %7s %8s %8.1f %8d\n", "four times, zstd, "+name, "", o.took.Seconds(), "", "", float64(o.peak)/(1<<20), mostMemory)
	}
	return nil
}
