package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/org/secure-build/internal/corpus"
	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/index"
	"github.com/org/secure-build/internal/report"
	"github.com/org/secure-build/internal/secret"
)

// A mode is one way to scan, with the most that it may take: time as a ratio to
// gzip -dc, memory in MiB.
type mode struct {
	name          string
	args          []string
	nested        bool // unpacks what is in layers
	patterns      bool
	ratio, memory float64
}

var modes = []mode{
	{"known values, not nested", []string{"--no-nested", "--no-patterns"}, false, false, 0.9, 96},
	{"known values, nested", []string{"--no-patterns"}, true, false, 1.2, 96},
	{"nested, and patterns", nil, true, true, 1.6, 96},
}

// A result is one mode's, the best of its runs.
type result struct {
	took   time.Duration
	cpu    time.Duration
	memory float64 // peak, in MiB
	missed []corpus.Plant
	alarms [2]int // findings where nothing was planted: that block, that warn
}

// A wrong error says that a scan was measured that does not do its work. It comes
// last, after all figures.
type wrong []string

func (w wrong) Error() string { return "the scan is wrong:\n  " + strings.Join(w, "\n  ") }

// judge adds what is wrong with one run: a value that was planted where this mode
// looks and that it missed, or that it found where none is. Patterns find more
// in real files, and are judged by their own tests.
func (w wrong) judge(m mode, image string, r result) wrong {
	add := func(format string, args ...any) {
		if line := fmt.Sprintf("%s, %s: ", image, m.name) + fmt.Sprintf(format, args...); !slices.Contains(w, line) {
			w = append(w, line)
		}
	}
	for _, p := range m.due(r.missed) {
		add("missed %s, in %s%s", p, p.Path, p.Field)
	}
	if r.alarms[0] > 0 && !m.patterns {
		add("%d findings that block where nothing was planted", r.alarms[0])
	}
	return w
}

// due are the plants that this mode should find.
func (m mode) due(plants []corpus.Plant) []corpus.Plant {
	return slices.DeleteFunc(slices.Clone(plants), func(p corpus.Plant) bool { return p.Nested && !m.nested })
}

// scans measures secure-build scan on the corpus, and compares what it finds
// with what was planted.
func (b *bench) scans(ctx context.Context, o options) error {
	c, err := b.corpus("corpus", o.scanSize)
	if err != nil {
		return err
	}
	results := make([]result, len(modes))
	var bad wrong
	var plain time.Duration
	for range o.rounds {
		took, err := b.gunzip(ctx, c)
		if err != nil {
			return err
		}
		if plain == 0 || took < plain {
			plain = took
		}
		for i, m := range modes {
			r, err := b.scan(ctx, c, m)
			if err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
			bad = bad.judge(m, "the image", r)
			most := max(r.memory, results[i].memory) // of the slower ones too
			if old := results[i]; old.took == 0 || r.took < old.took {
				results[i] = r
			}
			results[i].memory = most
		}
	}
	var stored int64
	for _, l := range c.Layers {
		stored += l.Size
	}
	fmt.Printf("scan: %d MB in %d layers, %d MB in gzip; gzip -dc takes %.2f s; fastest of %d\n",
		c.Bytes>>20, len(c.Layers), stored>>20, plain.Seconds(), o.rounds)
	fmt.Printf("%-28s %8s %7s %8s %8s %8s %8s %10s %13s\n", "", "s", "ratio", "at most", "cpu s", "peak MB", "at most", "found", "alarms")
	for i, m := range modes {
		m.print(results[i], plain, c)
	}
	for _, p := range results[len(results)-1].missed {
		fmt.Printf("missed: %s, in %s%s\n", p, p.Path, p.Field)
	}
	if err := errors.Join(os.RemoveAll(c.Dir), matcher()); err != nil {
		return err
	}
	if o.full {
		if bad, err = b.large(ctx, o.scanSize, results, bad); err != nil {
			return err
		}
	}
	if len(bad) > 0 {
		return bad
	}
	return nil
}

func (m mode) print(r result, plain time.Duration, c *corpus.Corpus) {
	total, missed := len(m.due(c.Plants)), len(m.due(r.missed))
	fmt.Printf("%-28s %8.2f %7.2f %8.2f %8.2f %8.1f %8.0f %10s %13s\n", m.name, r.took.Seconds(), r.took.Seconds()/plain.Seconds(), m.ratio,
		r.cpu.Seconds(), r.memory, m.memory, fmt.Sprintf("%d/%d", total-missed, total), fmt.Sprintf("%d+%d warn", r.alarms[0], r.alarms[1]))
}

// large compares the memory for an image four times as large.
func (b *bench) large(ctx context.Context, size int64, small []result, bad wrong) (wrong, error) {
	c, err := b.corpus("large", 4*size)
	if err != nil {
		return bad, err
	}
	for i, m := range modes {
		r, err := b.scan(ctx, c, m)
		if err != nil {
			return bad, fmt.Errorf("%s: %w", m.name, err)
		}
		bad = bad.judge(m, "the large image", r)
		fmt.Printf("%-28s %8.2f s for %d MB; peak %.1f MB, beside %.1f MB\n", m.name, r.took.Seconds(), c.Bytes>>20, r.memory, small[i].memory)
	}
	return bad, os.RemoveAll(c.Dir)
}

// corpus makes the image, and the values as files for --secret.
func (b *bench) corpus(name string, size int64) (*corpus.Corpus, error) {
	c, err := corpus.Write(filepath.Join(b.dir, name), corpus.Options{Seed: 1, Size: size, Gzip: true})
	if err != nil {
		return nil, err
	}
	for _, v := range c.Values {
		if err := os.WriteFile(filepath.Join(b.dir, v.Kind), v.Bytes, 0o600); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// gunzip unpacks the layers one after the other, as the yardstick.
func (b *bench) gunzip(ctx context.Context, c *corpus.Corpus) (took time.Duration, err error) {
	for _, l := range c.Layers {
		d, err := b.command(ctx, "sh", "-c", `exec gzip -dc <"$0" >/dev/null`, l.Path(c.Dir))
		if err != nil {
			return 0, err
		}
		took += d
	}
	return took, nil
}

// scan runs the command once. That it ends with 2, for leaks, is as it should be.
func (b *bench) scan(ctx context.Context, c *corpus.Corpus, m mode) (r result, err error) {
	dir := filepath.Join(b.dir, "report")
	args := append([]string{"scan", "--report-dir", dir, "--cache-dir", filepath.Join(b.dir, "cache")}, m.args...)
	for _, v := range c.Values {
		args = append(args, "--secret", "id="+v.Kind+",src="+filepath.Join(b.dir, v.Kind))
	}
	u, out, err := b.measured(ctx, append([]string{b.self}, append(args, c.Dir)...)...)
	if err != nil || u.Exit != 2 {
		return r, fmt.Errorf("secure-build scan: exit status %d, want 2: %w\n%s", u.Exit, err, out)
	}
	r.took, r.cpu, r.memory = u.Took, u.CPU, float64(u.Peak)/(1<<20)
	text, err := os.ReadFile(filepath.Join(dir, report.FindingsFile))
	if err != nil {
		return r, err
	}
	var found finding.Report
	if err := json.Unmarshal(text, &found); err != nil {
		return r, err
	}
	for _, f := range c.Elsewhere(found.Findings) {
		if f.Severity == finding.Error {
			r.alarms[0]++
		} else {
			r.alarms[1]++
		}
	}
	r.missed = c.Missed(found.Findings)
	return r, nil
}

// matcher measures the index alone, on one core: a stream of program code and
// text with about as many patterns as its line says.
func matcher() error {
	text, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(1, 2))
	var set secret.Set
	x := index.Compile(set)
	for i := 0; x.Len() < 1000; i++ {
		value := make([]byte, 24)
		for j := range value {
			value[j] = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"[r.IntN(56)]
		}
		if err := set.Add(secret.New(fmt.Sprint(i), "", value)); err != nil {
			return err
		}
		x = index.Compile(set)
	}
	st := x.NewStream(index.Blob, func(int64, *index.Pattern) {})
	defer st.Close()
	n, began := 0, time.Now()
	for time.Since(began) < 2*time.Second {
		for rest := text; len(rest) > 0; {
			m := min(len(rest), 128<<10)
			if _, err := io.Writer(st).Write(rest[:m]); err != nil {
				return err
			}
			rest = rest[m:]
		}
		n += len(text)
	}
	fmt.Printf("%-28s %8.0f MB/s on one core with %d patterns; at least 3000\n", "the matcher alone", float64(n)/1e6/time.Since(began).Seconds(), x.Len())
	return nil
}
