package main

import (
	"cmp"
	"fmt"
	"io"

	"github.com/org/secure-build/internal/buildkit"
	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/pipeline"
)

// readProgress reads how the build is shown, by buildx's rules (commands/build.go,
// toDisplayMode): quiet is --quiet, none shows nothing and is no more than that,
// and the environment's BUILDKIT_PROGRESS is only a way to show.
func (b *build) readProgress(o options) (err error) {
	if b.idOnly, err = o.bool("quiet"); err != nil {
		return err
	}
	b.progress = cmp.Or(o.text("progress"), "auto")
	if err := o.oneOf("progress", b.progress); err != nil {
		return err
	}
	switch {
	case b.progress == "quiet":
		b.idOnly = true
	case b.idOnly && b.progress != "auto" && b.progress != "none" && o.flags.Changed("progress"):
		return hint.Wrap(fmt.Errorf("--progress %s and --quiet are two ways to show one build", b.progress), "leave one of them out")
	case !b.idOnly && b.progress == "auto":
		if v := b.getenv("BUILDKIT_PROGRESS"); v != "" {
			b.progress = v
		}
		err = o.oneOf("progress", b.progress)
	}
	if b.idOnly || b.progress == "none" {
		b.progress = "quiet" // as BuildKit's display knows it
	}
	return err
}

// call is what to ask instead of building: --check is short for --call check.
func (o options) call() (buildkit.Call, error) {
	c, err := buildkit.ParseCall(o.text("call"))
	if err != nil {
		return c, err
	}
	check, err := o.bool("check")
	if check && c.Method != "" && c.Method != "check" {
		return c, hint.Wrap(fmt.Errorf("--check and --call %s ask for two things", c.Method), "leave one of them out")
	}
	if check {
		c.Method = "check"
	}
	return c, err
}

// hush lets a quiet run that has nothing to warn of say nothing. What it has found
// goes to standard error.
func (b *build) hush(r finding.Report) {
	if b.idOnly && r.Verdict == finding.Clean && len(r.Findings) == 0 {
		b.app.stdout = io.Discard // newBuild has made an app of our own
	}
}

// tellID prints the image's id in a quiet run, as docker buildx build does: an
// empty line where only files were asked for, and nothing into an archive.
func (b *build) tellID(res pipeline.Result) error {
	out := b.request.Outputs
	if !b.idOnly || out.ToStdout() || res.Err != nil || res.Report.Verdict != finding.Clean {
		return nil
	}
	id := imageID(res.Image)
	if len(out.Targets) > 0 && !out.Has(buildkit.OutputPush, buildkit.OutputOCI, buildkit.OutputDocker, buildkit.OutputImage, buildkit.OutputNone) {
		id = ""
	}
	_, err := fmt.Fprintln(b.answers, id)
	return err
}
