package main

import (
	"context"
	"fmt"
	"path/filepath"
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

// The sides: buildctl, and ours with the daemon that buildctl uses too, and with
// the one that secure-build starts by itself where there is none, and ends.
const (
	theirs = iota
	shared
	private
)

var sideNames = [...]string{"buildctl", "same daemon", "own daemon"}

// A pair is what the sides took for the same.
type pair struct {
	name  string
	most  float64
	times [len(sideNames)][]time.Duration // by side, of each round; of several runs in one, the median
	peaks [len(sideNames)]int64           // bytes
}

// wholeRuns compares secure-build with buildctl, cold and warm, with gzip and
// with zstd.
func (b *bench) wholeRuns(ctx context.Context, o options) error {
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
			for place := range sideNames { // each side has each place in turn
				if err := b.turnOf((place+round)%len(sideNames), ctx, how, pairs[2*i], pairs[2*i+1]); err != nil {
					return err
				}
			}
		}
	}
	fmt.Printf("whole runs: %d MB of files, %d MB of them in one layer; medians of %d rounds, warm of %d runs in each\n", o.size>>20, biggest>>20, o.rounds, warmRuns)
	fmt.Printf("%-28s %10s %14s %7s %8s %8s %8s\n", "", "buildctl s", "secure-build s", "ratio", "at most", "peak MiB", "at most")
	for _, p := range pairs {
		p.print(shared)
		p.print(private)
	}
	fmt.Printf("%-28s %10s %14.3f\n", "start-up (version)", "", b.best(20, func() (time.Duration, error) { return b.command(ctx, b.self, "version") }).Seconds())
	return nil
}

// print says what a side of ours took. The ratio is a median of ratios, each of
// one round, since what a machine gives changes from one to the next.
func (p *pair) print(side int) {
	ratios := make([]float64, len(p.times[side]))
	for round, took := range p.times[side] {
		ratios[round] = took.Seconds() / p.times[theirs][round].Seconds()
	}
	seconds := func(side int) float64 { return middle(p.times[side]).Seconds() }
	ratio, peak := middle(ratios), float64(p.peaks[side])/(1<<20)
	verdict := "met"
	if ratio > p.most || peak > mostMemory {
		verdict = "MISSED"
	}
	fmt.Printf("%-28s %10.2f %14.2f %7.2f %8.2f %8.1f %8d  %s\n", p.name+", "+sideNames[side], seconds(theirs), seconds(side), ratio, p.most, peak, mostMemory, verdict)
}

// turnOf runs one side on an empty cache, and then again with nothing changed.
func (b *bench) turnOf(side int, ctx context.Context, how string, cold, warm *pair) error {
	if err := b.forget(ctx); err != nil {
		return err
	}
	run := func(p *pair) (time.Duration, error) {
		u, err := b.build(ctx, side, how)
		p.peaks[side] = max(p.peaks[side], u.Peak)
		return u.Took, err
	}
	took, err := run(cold)
	if err != nil {
		return err
	}
	cold.times[side] = append(cold.times[side], took)
	syscall.Sync() // what was written before is not the next run's to wait for
	again := make([]time.Duration, warmRuns)
	for i := range again {
		if again[i], err = run(warm); err != nil {
			return err
		}
	}
	warm.times[side] = append(warm.times[side], middle(again))
	return nil
}

// build runs one side once. Ours is without a provenance, which buildctl does not
// make unasked either.
func (b *bench) build(ctx context.Context, side int, how string) (usage, error) {
	if side == theirs {
		return b.use(ctx, filepath.Join(b.tools, "buildctl"), "--addr", b.daemon, "build", "--progress", "plain",
			"--frontend", "dockerfile.v0", "--local", "context="+b.folder(), "--local", "dockerfile="+b.folder(),
			"--secret", "id=token,src="+filepath.Join(b.dir, "plain"),
			"--output", "type=image,name="+b.host+"/bench/buildctl:1,push=true,registry.insecure=true,compression="+how)
	}
	args := []string{b.self, "build", "--progress", "plain", "--provenance=false", "--compression", how,
		"--sops", filepath.Join(b.dir, "secrets.yaml"), "--tag", b.host + "/bench/ours:1", "--fail-on", "known-value", "--push", b.folder()}
	if side == shared {
		args = append(args, "--builder", b.daemon)
	}
	return b.use(ctx, args...)
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

// fourfold is the memory for an image four times as large, by both compressions:
// gzip is the default, zstd has the larger windows. buildctl does not run here.
func (b *bench) fourfold(ctx context.Context, size int64) error {
	fmt.Printf("whole runs, cold: %d MB of files\n", size>>20)
	fmt.Printf("%-28s %14s %8s %8s\n", "", "secure-build s", "peak MiB", "at most")
	for _, how := range []string{"gzip", "zstd"} {
		for _, side := range []int{shared, private} {
			if err := b.forget(ctx); err != nil {
				return err
			}
			u, err := b.build(ctx, side, how)
			if err != nil {
				return err
			}
			peak, verdict := float64(u.Peak)/(1<<20), "met"
			if peak > mostMemory {
				verdict = "MISSED"
			}
			fmt.Printf("%-28s %14.2f %8.1f %8d  %s\n", how+", "+sideNames[side], u.Took.Seconds(), peak, mostMemory, verdict)
		}
	}
	return b.forget(ctx)
}
