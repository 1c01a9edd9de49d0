package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/org/secure-build/internal/buildkit"
	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/pipeline"
	"github.com/org/secure-build/internal/report"
)

// report says what the run came to: on the terminal, in the report folder, and
// in the files that docker buildx build writes too. Those say that there is an
// image to go on with, so they are written for a clean one only.
func (b *build) report(res pipeline.Result) error {
	err := b.say(b.summary(res), b.reportDir)
	if res.Report.Verdict == finding.Clean {
		err = errors.Join(err, b.writeMetadata(res.Image), b.writeID(res.Image))
	}
	if res.Pushed {
		for _, t := range b.request.Tags {
			_, perr := fmt.Fprintf(b.stdout, "pushed %s@%s\n", t, res.Image.Digest)
			err = errors.Join(err, perr)
		}
	}
	return err
}

// summary is the run in the words of the reports.
func (b *build) summary(res pipeline.Result) report.Run {
	m := b.vault.Memory()
	run := report.Run{
		Tool: "secure-build " + version, Started: b.started, Engine: b.engine.String(),
		Weak: b.index.Weak(), Tags: b.request.Tags, Pushed: res.Pushed, Findings: res.Report,
		Memory: report.Memory{Kind: string(m.Kind), Locked: m.Locked, Swap: m.Swap, SurvivesKill: m.SurvivesKill, AfterKill: m.AfterKill, End: m.End},
	}
	for _, s := range res.Secrets.Searched() {
		run.Secrets = append(run.Secrets, report.Secret{ID: s.ID(), Origin: s.Origin()})
	}
	for _, l := range b.times.laps {
		run.Timings = append(run.Timings, report.Timing{Stage: l.name, Took: l.took})
	}
	if res.Err != nil {
		run.Error = res.Err.Error()
	}
	return run
}

func (b *build) writeMetadata(img pipeline.Image) error {
	if b.metadataFile == "" {
		return nil
	}
	data, err := buildkit.MetadataJSON(img.Metadata)
	if err != nil {
		return fmt.Errorf("writing the metadata: %w", err)
	}
	return writeFile(b.metadataFile, b.redactor.Bytes(data))
}

// writeID writes the image's id, which is the digest of its config as long as
// there is one image, as docker buildx build does.
func (b *build) writeID(img pipeline.Image) error {
	if b.iidFile == "" {
		return nil
	}
	id := img.Metadata["containerimage.config.digest"]
	if id == "" {
		id = img.Digest
	}
	return writeFile(b.iidFile, []byte(id))
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
