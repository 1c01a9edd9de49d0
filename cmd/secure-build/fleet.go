package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"github.com/org/secure-build/internal/buildkit"
	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/pipeline"
	"github.com/org/secure-build/internal/secret"
	"golang.org/x/sync/errgroup"
)

// maxTogether is how many services are built and scanned at once: each scan
// has buffers of its own.
const maxTogether = 4

// A fleet is the services of a Compose file. Each goes through the pipeline by
// itself, with a vault, a scan and a verdict of its own. They share the daemon,
// and every scan looks for the secrets of all.
type fleet struct {
	app    *app
	builds []*build
	ended  []ending
	mu     sync.Mutex // one service prints, and talks to the CI, at a time

	connect sync.Mutex
	engine  *buildkit.Engine
}

// An ending is what one service came to.
type ending struct {
	result pipeline.Result
	err    error
	begun  bool // it was to be built
}

// buildServices is "secure-build build --compose".
func (a *app) buildServices(ctx context.Context, o options, args []string) (err error) {
	all, err := a.services(ctx, o, args)
	if err != nil {
		return err
	}
	f := &fleet{app: a}
	a.password = new(string)
	a.useDotenv(o.text("dotenv"))
	reportDir, err := a.ciReportDir(o.text("report-dir"))
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range all {
		b, err := f.newService(o, s, reportDir)
		f.builds, errs = append(f.builds, b), append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := f.clashes(all); err != nil {
		return err
	}
	if one := f.builds[0]; one.asked.Method != "" {
		one.fleet = nil
		return one.call(ctx)
	}
	return f.run(ctx, reportDir)
}

// run checks every service before it decrypts anything: a contract that is
// broken ends the run with nothing built. After that, none stops another.
func (f *fleet) run(ctx context.Context, reportDir string) (err error) {
	f.ended = make([]ending, len(f.builds))
	var errs []error
	for i, b := range f.builds {
		err := b.check(ctx)
		f.ended[i].begun = err == nil
		if !errors.Is(err, pipeline.ErrEnough) {
			errs = append(errs, named(b.service, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := f.decrypt(ctx); err != nil {
		return err
	}
	if err := f.shed(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	var eg errgroup.Group // without a context: one's failure does not end the others
	eg.SetLimit(maxTogether)
	for i, b := range f.builds {
		if f.ended[i].begun {
			eg.Go(func() error { f.ended[i].result, f.ended[i].err = f.one(ctx, b); return nil })
		}
	}
	_ = eg.Wait() // no error: each has its own
	return errors.Join(f.outcome(), f.outputs(reportDir))
}

// one is a service's whole run. A panic in it is its error: on a goroutine of
// its own it would end the process before the others' vaults are erased.
func (f *fleet) one(ctx context.Context, b *build) (res pipeline.Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("internal error: %v", p)
		}
	}()
	if err := ctx.Err(); err != nil {
		return res, err
	}
	res, err = pipeline.Run(ctx, pipeline.Plan{Push: len(b.request.Outputs.Targets) > 0}, f.steps(b))
	return res, notClean(err, res.Report)
}

// steps are the service's, with those that talk taking turns.
func (f *fleet) steps(b *build) pipeline.Steps {
	s := b.steps()
	s.Check = func(context.Context) error { return nil } // done, for all
	s.Mask = func(set secret.Set) error { f.mu.Lock(); defer f.mu.Unlock(); return b.mask(set) }
	s.Store = func(ctx context.Context, set secret.Set) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		return b.store(ctx, set)
	}
	s.Report = func(res pipeline.Result) error { f.mu.Lock(); defer f.mu.Unlock(); return b.report(res) }
	return s
}

// decrypt loads the secrets of each service, and masks all of them before
// anything is printed again. A service mounts its own; the others' values are
// hidden in its set, where the scan and the check of its options find them.
func (f *fleet) decrypt(ctx context.Context) error {
	for i, b := range f.builds {
		if !f.ended[i].begun {
			continue
		}
		var err error
		b.set, err = b.decryptOwn(ctx)
		f.app.notes = append(f.app.notes, b.notes...)
		b.notes = nil
		if err != nil {
			return errors.Join(named(b.service, err), f.mask())
		}
	}
	return f.mask()
}

// shed takes the keys and secrets of all services out of our environment, before
// the first of them starts anything.
func (f *fleet) shed() error {
	var errs []error
	for _, b := range f.builds {
		errs = append(errs, b.shed())
	}
	return errors.Join(errs...)
}

// mask lets each service search for the values of all, as far as they are known,
// and masks them.
func (f *fleet) mask() error {
	own := make([][]secret.Secret, len(f.builds))
	for i, b := range f.builds {
		own[i] = b.set.Searched()
	}
	var union secret.Set
	for i, b := range f.builds {
		seen := map[[2]string]bool{}
		for _, sec := range own[i] {
			seen[[2]string{sec.ID(), sec.Origin()}] = true
			union.AddHidden(sec)
		}
		for _, others := range append(slices.Clone(own[:i]), own[i+1:]...) {
			for _, sec := range others {
				if key := [2]string{sec.ID(), sec.Origin()}; !seen[key] {
					seen[key] = true
					b.set.AddHidden(sec)
				}
			}
		}
	}
	_, err := f.app.mask(union)
	return err
}

// share gives a service the daemon, which the first one finds or starts.
func (f *fleet) share(ctx context.Context, b *build) (*buildkit.Engine, error) {
	f.connect.Lock()
	defer f.connect.Unlock()
	if f.engine == nil {
		var allow []string
		for _, each := range f.builds {
			for _, e := range each.request.Entitlements() {
				if !slices.Contains(allow, e) {
					allow = append(allow, e)
				}
			}
		}
		opts, err := b.engineOptions(allow)
		if err == nil {
			f.engine, err = buildkit.Connect(ctx, opts)
		}
		if err != nil {
			return nil, err
		}
	}
	return f.engine.Share(), nil
}

// close lets the daemon forget what leaked, now that no service uses it, and
// ends it.
func (f *fleet) close() error {
	for _, b := range f.builds {
		if b.engine != nil {
			b.purge()
		}
	}
	if f.engine == nil {
		return nil
	}
	return f.engine.Close()
}

// outcome says what became of each service, and returns their errors, those of
// leaks first: they decide the exit code.
func (f *fleet) outcome() error {
	var leaks, others []error
	quiet := f.builds[0].idOnly
	w := f.app.stdout
	if quiet && slices.ContainsFunc(f.ended, func(e ending) bool { return e.err != nil }) {
		w = f.app.stderr
	} else if quiet {
		w = io.Discard
	}
	for i, b := range f.builds {
		e := f.ended[i]
		fmt.Fprintf(w, "service %s: %s\n", b.service, e.told(b))
		if e.err == nil {
			others = append(others, b.tellID(e.result))
		}
		var leak leakError
		if errors.As(e.err, &leak) && leak.verdict == finding.Leaked {
			leaks = append(leaks, named(b.service, e.err))
		} else if e.err != nil {
			others = append(others, named(b.service, e.err))
		}
	}
	return errors.Join(append(leaks, others...)...)
}

func (e ending) told(b *build) string {
	switch {
	case !e.begun:
		return "checked, not built"
	case e.result.Pushed && b.push && e.err == nil:
		return "clean, pushed " + e.result.Image.Digest
	case e.result.Pushed && b.push:
		return "clean, pushed " + e.result.Image.Digest + ", and then an error"
	case e.result.Report.Verdict == finding.Clean && e.err == nil:
		return "clean, not pushed"
	case e.result.Report.Verdict != "":
		return string(e.result.Report.Verdict) + ", not pushed"
	}
	return "not built, not pushed"
}

// outputs hands on what holds for several services as one: the worst verdict,
// all findings, the folder of the reports. (Each has a digest of its own, which
// is in its reports.)
func (f *fleet) outputs(reportDir string) error {
	if len(f.builds) == 1 {
		return nil // it has handed on its own
	}
	verdict, found := finding.Clean, 0
	for _, e := range f.ended {
		r := e.result.Report
		found += len(r.Findings)
		if r.Verdict == finding.Leaked || r.Verdict != finding.Clean && verdict == finding.Clean {
			verdict = r.Verdict
		}
	}
	if verdict == "" {
		verdict = finding.Incomplete
	}
	out := [][2]string{{"verdict", string(verdict)}, {"findings", strconv.Itoa(found)}}
	if reportDir != "" {
		dir, err := filepath.Abs(reportDir)
		if err != nil {
			return err
		}
		out = append(out, [2]string{"report", dir})
	}
	var errs []error
	for _, o := range out {
		errs = append(errs, f.app.platform.Output(o[0], o[1]))
	}
	return errors.Join(errs...)
}
