package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/org/secure-build/internal/buildkit"
	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/image"
	"github.com/org/secure-build/internal/scan"
)

// scanFiles reads the files that an output is to get. They are those of the
// image's last state, but other bytes: they are read as what they are.
func (b *build) scanFiles(ctx context.Context) (*finding.Report, error) {
	if b.files == nil {
		return nil, nil
	}
	root, err := b.files.Root()
	if err != nil {
		return nil, err
	}
	r, err := b.scans.Report(ctx, scan.Descriptor{MediaType: root.MediaType, Digest: root.Digest.String(), Size: root.Size}, b.files.Open)
	return &r, err
}

// writeOutputs writes what --output and --load ask for. It runs after the
// verdict, and nothing of it was there before.
func (b *build) writeOutputs(ctx context.Context) error {
	if len(b.request.Outputs.Targets) > 0 {
		defer b.times.start("output")()
	}
	for _, t := range b.request.Outputs.Targets {
		if err := b.write(ctx, t); err != nil {
			return fmt.Errorf("writing the output type=%s: %w", t.Type, err)
		}
	}
	return nil
}

func (b *build) write(ctx context.Context, t buildkit.Target) error {
	tags := b.request.Tags
	switch t.Type {
	case buildkit.OutputOCI:
		if t.Dir {
			return b.layout.WriteDir(t.Dest, tags)
		}
		return b.stream(t.Dest, func(w io.Writer) error { return b.layout.WriteOCI(w, tags) })
	case buildkit.OutputDocker:
		archive := func(w io.Writer) error { return b.layout.WriteDocker(w, tags) }
		if t.Dest != "" {
			return b.stream(t.Dest, archive)
		}
		return b.docker().Load(ctx, archive)
	case buildkit.OutputLocal:
		return b.files.Extract(t.Dest)
	case buildkit.OutputTar:
		return b.stream(t.Dest, b.files.Copy)
	}
	return nil
}

// stream writes a file in one go, or to standard output.
func (b *build) stream(dest string, write func(io.Writer) error) error {
	if dest == "-" {
		return write(b.archive)
	}
	f, err := os.CreateTemp(filepath.Dir(dest), "."+filepath.Base(dest)+"-")
	if err != nil {
		return err
	}
	if err = errors.Join(write(f), f.Chmod(0o644), f.Close()); err == nil {
		err = os.Rename(f.Name(), dest)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// docker is the engine that --load means, by the rules of the docker command.
func (b *build) docker() image.Docker {
	d := image.Docker{Host: b.getenv("DOCKER_HOST"), Context: buildkit.DockerContext(b.getenv)}
	if verify, err := strconv.ParseBool(cmp.Or(b.getenv("DOCKER_TLS_VERIFY"), "false")); err != nil || verify {
		d.CertDir = cmp.Or(b.getenv("DOCKER_CERT_PATH"), filepath.Join(b.getenv("HOME"), ".docker"))
	}
	return d
}

// call asks about the Dockerfile and builds nothing.
func (b *build) call(ctx context.Context) (err error) {
	if err := os.MkdirAll(b.cacheDir, 0o700); err != nil {
		return fmt.Errorf("making the cache folder: %w", err)
	}
	defer func() { err = errors.Join(err, b.leave()) }()
	if err := b.connect(ctx); err != nil {
		return err
	}
	b.request.Secret = func(id string) ([]byte, error) { return nil, fmt.Errorf("%s: %w", id, os.ErrNotExist) }
	said, err := b.engine.Call(ctx, b.request, b.asked, b.answers)
	if b.metadataFile == "" || said == nil {
		return err
	}
	data, merr := buildkit.MetadataJSON(said)
	if merr == nil {
		merr = writeFile(b.metadataFile, b.redactor.Bytes(data))
	}
	return errors.Join(err, merr)
}
