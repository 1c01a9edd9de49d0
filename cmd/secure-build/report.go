package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/org/secure-build/internal/buildkit"
	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/held"
	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/index"
	"github.com/org/secure-build/internal/pipeline"
	"github.com/org/secure-build/internal/report"
	"github.com/org/secure-build/internal/scan"
	"github.com/org/secure-build/internal/secret"
)

// report says what the run came to: on the terminal, in the report folder, and
// in the files that docker buildx build writes too. Those say that there is an
// image to go on with, so they are written for a clean one only that went where
// it was to go.
func (b *build) report(res pipeline.Result) error {
	b.hush(res.Report)
	if b.service != "" {
		fmt.Fprintf(b.stdout, "service %s:\n", b.service)
	}
	err := b.say(b.summary(res), b.index, b.reportDir)
	var metadata []byte
	if res.Report.Verdict == finding.Clean { // what was exported for it has to go in any case
		var merr error
		metadata, merr = b.metadata(res.Image)
		err = errors.Join(err, merr)
	}
	if b.fleet == nil || len(b.fleet.builds) == 1 { // of several, none is the one
		err = errors.Join(err, b.outputs(res, metadata))
	}
	if b.stands(res) {
		if b.metadataFile != "" && metadata != nil {
			err = errors.Join(err, writeFile(b.metadataFile, metadata))
		}
		err = errors.Join(err, b.writeID(res.Image))
	}
	b.changed = b.changed || errors.Is(err, held.ErrChanged)
	if err := b.keep(res); err != nil {
		b.warn("%v", err) // the next run is slower, and that is all
	}
	if err := b.disown(res.Report); err != nil {
		b.warn("%v", err)
	}
	if res.Pushed && b.push {
		for _, t := range b.pushedTo() {
			_, perr := fmt.Fprintf(b.stdout, "pushed %s@%s\n", t, res.Image.Digest)
			err = errors.Join(err, perr)
		}
	}
	if b.fleet == nil { // which has an order of its own
		err = errors.Join(err, b.tellID(res))
	}
	return err
}

// stands says whether there is an image to go on with. A cache that failed after
// it was delivered changes nothing about it.
func (b *build) stands(res pipeline.Result) bool {
	return res.Report.Verdict == finding.Clean && (res.Pushed || res.Err == nil)
}

// pushedTo are the tags, or, where none was moved, the repositories.
func (b *build) pushedTo() []string {
	if !b.byDigest {
		return b.request.Tags
	}
	var repos []string
	for _, t := range b.request.Tags {
		repos = append(repos, t[:strings.LastIndex(t, ":")])
	}
	slices.Sort(repos)
	return slices.Compact(repos)
}

// keep is what a run leaves to the next one: the blobs of a clean image, unless
// the scan or a way out, that of a cache too, came upon one that is not what its
// digest says.
func (b *build) keep(res pipeline.Result) error {
	switch {
	case res.Report.Verdict == finding.Incomplete || b.changed || errors.Is(res.Err, held.ErrChanged):
		return b.doubt()
	case res.Report.Verdict == finding.Clean:
		return errors.Join(b.layout.Keep(), b.book.Trim())
	}
	return nil
}

// disown leaves nothing that leaks to the next run, also of what an earlier one
// has kept.
func (b *build) disown(r finding.Report) error {
	if !b.leaked {
		return nil
	}
	var blobs []string
	for _, f := range r.Findings {
		blobs = append(blobs, f.Blob)
	}
	return b.layout.Disown(blobs)
}

// doubt leaves nothing damaged to the next run. What our own daemon has of it, it
// would send again, or lend: only who removes its store is rid of that.
func (b *build) doubt() error {
	lent, err := b.layout.Doubt()
	if len(lent) > 0 {
		b.warn("%s is damaged, and is in the store of our own daemon: remove the folder %s before the next build, which would meet it again", lent[0], b.engine.State())
	}
	return err
}

// summary is the run in the words of the reports.
func (b *build) summary(res pipeline.Result) report.Run {
	m := b.vault.Memory()
	run := b.describe(res.Secrets, b.index, b.scans, res.Report, res.Err)
	run.Started, run.Engine, run.Tags, run.Pushed = b.started, b.engine.String(), b.request.Tags, res.Pushed && b.push
	run.Memory = report.Memory{Kind: string(m.Kind), Locked: m.Locked, Swap: m.Swap, SurvivesKill: m.SurvivesKill, AfterKill: m.AfterKill, End: m.End}
	run.Dockerfile = dockerfile(b.request)
	if b.why != "" {
		run.Notice = b.about() + b.why
	}
	for _, l := range b.times.laps {
		run.Timings = append(run.Timings, report.Timing{Stage: l.name, Within: l.within, Took: l.took})
	}
	return run
}

// describe is what the reports of every scan have.
func (a *app) describe(set secret.Set, x *index.Index, s *scan.Scanner, r finding.Report, err error) report.Run {
	run := report.Run{
		Tool: "secure-build " + version, Weak: x.Weak(), Findings: r,
		Commit: cmp.Or(a.getenv("GITHUB_SHA"), a.getenv("CI_COMMIT_SHA")), Rules: a.seen.descriptions(),
	}
	for _, sec := range set.Searched() {
		run.Secrets = append(run.Secrets, report.Secret{ID: sec.ID(), Origin: sec.Origin()})
	}
	run.Findings.Findings = slices.Clone(r.Findings)
	for i, f := range r.Findings {
		run.Findings.Findings[i].Hidden = set.Hides(f.Secret)
	}
	for _, l := range s.Layers() {
		run.Layers = append(run.Layers, report.Layer(l))
	}
	if err != nil {
		run.Error = err.Error()
	}
	return run
}

// say shows a run on the terminal, on the platform and, if it is wanted, in a
// folder. What goes there is searched once more before it is written.
func (a *app) say(run report.Run, x *index.Index, dir string) error {
	details := ""
	if dir != "" {
		details = filepath.Join(dir, report.FindingsFile)
	}
	err := report.Table(a.stdout, run.Findings, report.TableOptions{Searched: len(run.Secrets) - len(run.Weak), Details: details})
	if dir != "" {
		werr := report.Write(dir, run, a.redactor.Bytes, shows(x))
		err = errors.Join(err, hint.Wrap(werr, "nothing was written to %s; does the id or the origin of one secret hold the value of another?", dir))
	}
	return errors.Join(err, a.platform.Findings(run.Findings.Findings, run.Dockerfile), a.summarize(run, x))
}

// dockerfile is the path of the Dockerfile in the repository, or what stands for
// the path of one that was read from elsewhere.
func dockerfile(req buildkit.Request) string {
	if req.InlineName != "" {
		return req.InlineName
	}
	return inRepository(cmp.Or(req.Dockerfile, filepath.Join(req.Context, "Dockerfile")))
}

// inRepository is a file's path from the root of the repository that it is in,
// with slashes; its own path if it is in none.
func inRepository(file string) string {
	abs, err := filepath.Abs(file)
	if err != nil {
		return file
	}
	for dir := filepath.Dir(abs); ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, ".git")); err == nil {
			if rel, err := filepath.Rel(dir, abs); err == nil {
				return filepath.ToSlash(rel)
			}
		}
		if dir == filepath.Dir(dir) {
			return filepath.ToSlash(file)
		}
	}
}

// forgetID removes what an earlier run has left in the file of --iidfile: a run that
// fails must not leave another image's id to go on with. (buildx does it too.)
func (b *build) forgetID() error {
	if b.iidFile == "" {
		return nil
	}
	if err := os.Remove(b.iidFile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing the old id of the image: %w", err)
	}
	return nil
}

// writeID writes the image's id.
func (b *build) writeID(img pipeline.Image) error {
	if b.iidFile == "" {
		return nil
	}
	return writeFile(b.iidFile, []byte(imageID(img)))
}

// writeFile writes a file in one go: it is there whole or not at all.
func writeFile(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-")
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", name, err), os.Remove(f.Name()))
	}
	return nil
}
