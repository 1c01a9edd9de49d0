package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/org/secure-build/internal/buildkit"
	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/pipeline"
)

// report says what the run came to: on the terminal, in the report folder, and
// in the files that docker buildx build writes too. Those say that there is an
// image to go on with, so they are written for a clean one only.
func (b *build) report(res pipeline.Result) error {
	if res.Report.Verdict != finding.Clean {
		return nil
	}
	return errors.Join(b.writeMetadata(res.Image), b.writeID(res.Image))
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
