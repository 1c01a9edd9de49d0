package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/org/secure-build/internal/buildkit"
	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/index"
	"github.com/org/secure-build/internal/pipeline"
	"github.com/org/secure-build/internal/platform"
	"github.com/org/secure-build/internal/report"
)

// shown is what a run has told the CI.
type shown struct {
	unfence    func() // ends the fence, if there is one
	summarized bool   // the job's page has a summary
}

// fence keeps the CI from obeying what a command prints, from its first line to
// its last: a warning may quote a Dockerfile, and a table an image, that says
// ::set-output. (What exec runs is the user's own, and may speak to the CI.)
func (a *app) fence() { a.shown.unfence = a.platform.Section("") }

// end closes the log, the fence behind everything that stood in it.
func (a *app) end() {
	for _, w := range []any{a.stdout, a.stderr} {
		if f, ok := w.(interface{ Flush() error }); ok {
			_ = f.Flush() // who closed our output does not read this either
		}
	}
	if a.shown.unfence != nil {
		a.shown.unfence()
	}
}

// section puts what a stage prints into a section of its own, on a CI.
func (a *app) section(title string) (end func()) {
	if platform.Detect(a.getenv) == platform.Terminal {
		return func() {}
	}
	over := a.platform.Section(title)
	return func() {
		if f, ok := a.stderr.(interface{ Flush() error }); ok {
			_ = f.Flush()
		}
		over()
	}
}

// outputs hands on what later steps and jobs go on with: the digest and what
// belongs to it only if the image is clean.
func (b *build) outputs(res pipeline.Result, metadata []byte) error {
	if platform.Detect(b.getenv) == platform.GitHub && b.getenv("GITHUB_OUTPUT") == "" {
		return nil // a container inside a step, say: nobody could read them
	}
	rep := res.Report
	out := [][2]string{{"verdict", string(rep.Verdict)}, {"findings", strconv.Itoa(len(rep.Findings))}}
	gitlab := platform.Detect(b.getenv) == platform.GitLab
	if b.reportDir != "" {
		dir, err := filepath.Abs(b.reportDir)
		if err != nil {
			return err
		}
		if gitlab { // another job has its checkout elsewhere
			dir = b.reportDir
		}
		out = append(out, [2]string{"report", dir}, [2]string{"sarif", filepath.Join(dir, report.SARIFFile)})
	}
	if b.stands(res) {
		out = append(out, [2]string{"digest", res.Image.Digest}, [2]string{"imageid", imageID(res.Image)})
		if gitlab && res.Pushed && b.push && len(b.tags) > 0 {
			out = append(out, [2]string{"image", b.tags[0].Repository.Name() + "@" + res.Image.Digest})
		}
		// GitLab has files for it (--metadata-file), and no place for JSON in a variable.
		if platform.Detect(b.getenv) == platform.GitHub && metadata != nil {
			out = append(out, [2]string{"metadata", string(metadata)})
		}
	}
	var errs []error
	for _, o := range out {
		errs = append(errs, b.platform.Output(o[0], o[1]))
	}
	return errors.Join(errs...)
}

// imageID is the digest of the image's config as long as there is one image, as
// docker buildx build has it.
func imageID(img pipeline.Image) string {
	return cmp.Or(img.Metadata["containerimage.config.digest"], img.Digest)
}

// summarize puts the run on the page of the job, searched once more.
func (a *app) summarize(run report.Run, x *index.Index) error {
	if off, err := strconv.ParseBool(a.getenv("DOCKER_BUILD_SUMMARY")); err == nil && !off {
		return nil // as docker/build-push-action has it
	}
	text, err := report.Summary(run, a.redactor.Bytes, shows(x))
	if err != nil {
		return err
	}
	a.shown.summarized = true
	return a.platform.Summary(text)
}

// shows says that a text shows a value after all.
func shows(x *index.Index) report.Check {
	return func(text []byte) error {
		if x.Has(text, index.Log) {
			return errors.New("a value is left in it after redaction")
		}
		return nil
	}
}

// ciReportDir is where the reports go on a CI if nobody said where. On GitHub
// later steps upload them from there, and the runner removes it at the end of
// the job. On GitLab artifacts are files of the checkout.
func (a *app) ciReportDir(dir string) (string, error) {
	if dir == "" && platform.Detect(a.getenv) == platform.GitLab {
		return "secure-build-report", nil
	}
	temp := a.getenv("RUNNER_TEMP")
	if dir != "" || temp == "" || platform.Detect(a.getenv) != platform.GitHub {
		return dir, nil
	}
	dir, err := os.MkdirTemp(temp, "secure-build-report-")
	if err != nil {
		return "", fmt.Errorf("making the report folder: %w", err)
	}
	return dir, nil
}

// useDotenv makes outputs a dotenv report of GitLab. (Where it goes is known
// after the flags have been read, and nothing was handed out before that.)
func (a *app) useDotenv(name string) {
	if name != "" && platform.Detect(a.getenv) == platform.GitLab {
		a.ci.Dotenv = name
		a.platform = platform.New(a.ci)
	}
}

// debug says what a run does, where the CI was asked for that: names, counts
// and kinds, never a value. It goes through the redactor too.
func (a *app) debug(format string, args ...any) {
	a.platform.Debug(fmt.Sprintf(format, args...))
}

// debugOptions names the options that are set, and says where.
func (a *app) debugOptions(o options) {
	var set []string
	for _, opt := range o.table {
		switch {
		case o.flagged(opt.Flag) && o.flags.Changed(opt.Flag):
			set = append(set, "--"+opt.Flag)
		case a.getenv(opt.Env()) != "":
			set = append(set, opt.Env())
		}
	}
	a.debug("secure-build %s; set: %s", version, cmp.Or(strings.Join(set, " "), "nothing"))
}

// failed shows an error beside the log, and on the job's page if the run got
// no further than that. What a scan found is there already.
func (a *app) failed(err error) {
	if err == nil || a.shown.unfence == nil {
		return
	}
	var notes []platform.Note
	for _, e := range flatten(err) {
		if errors.As(e, new(leakError)) || errors.Is(e, buildkit.ErrContract) {
			continue // shown already, with its line
		}
		notes = append(notes, platform.Note{Severity: finding.Error, Title: "secure-build", Text: a.redactor.String(e.Error())})
	}
	errs := []error{a.platform.Annotate(notes)}
	if !a.shown.summarized {
		text := report.Failure("secure-build "+version, err.Error(), hint.Of(err), a.redactor.Bytes)
		errs = append(errs, a.platform.Summary(text))
	}
	if err := errors.Join(errs...); err != nil {
		a.warn("%v", err)
	}
}
