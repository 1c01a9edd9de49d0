package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/org/secure-build/internal/buildkit"
	"github.com/org/secure-build/internal/config"
	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/image"
	"github.com/org/secure-build/internal/pipeline"
	"github.com/org/secure-build/internal/push"
	"github.com/org/secure-build/internal/report"
	"github.com/org/secure-build/internal/scan"
	"github.com/spf13/cobra"
)

const aboutScan = `Search an image that exists for secrets: each value that --sops and --secret
name, in every encoding, in every layer, configuration and annotation.

IMAGE is a folder with an OCI layout, a tar archive (docker save, or an exporter
of type oci), or a reference, which is read from its registry. Nothing is
written, to a registry or anywhere but --report-dir.

Exit status: 0 clean; 1 error, or something could not be read; 2 secrets found.`

func (a *app) scanCommand() *cobra.Command {
	var opts options
	cmd := &cobra.Command{
		Use:   "scan [flags] IMAGE",
		Short: "Search an image that exists",
		Long:  aboutScan,
		Example: `  secure-build scan --sops secrets.yaml registry.example.com/team/app:1.2
  docker save app:dev -o app.tar && secure-build scan --sops secrets.yaml app.tar`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && args[0] != "" {
				return nil
			}
			return hint.Wrap(fmt.Errorf("scan takes one IMAGE: a folder, a tar archive or a reference; got %d arguments", len(args)),
				"%s --sops secrets.yaml IMAGE", cmd.CommandPath())
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			a.fence()
			s, err := a.readSecrets(opts)
			if err != nil {
				return err
			}
			dir, err := cacheDir(opts.text("cache-dir"))
			if err != nil {
				return err
			}
			p, err := a.readPolicy(opts, false)
			if err != nil {
				return err
			}
			return a.scan(cmd.Context(), s, p, args[0], dir, opts.text("report-dir"))
		},
	}
	opts = register(cmd, config.Scan, a.getenv)
	return cmd
}

// scan is the pipeline without a build and a push: decrypt, mask, scan, report.
func (a *app) scan(ctx context.Context, s secrets, p policy, name, cacheDir, reportDir string) (err error) {
	started := time.Now()
	set, x, err := a.loadMasked(ctx, s)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cacheDir, 0o700); err != nil {
		return fmt.Errorf("making the cache folder: %w", err)
	}
	src, err := image.Find(ctx, name, cacheDir, push.Readers(buildkit.CredentialDir(a.getenv)))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	root := scan.Descriptor{MediaType: src.Root.MediaType, Digest: src.Root.Digest.String(), Size: src.Root.Size}
	scanner, err := a.scanner(p, set, nil, false)
	if err != nil {
		return err
	}
	var beside []scan.Descriptor
	for _, d := range src.Documents {
		beside = append(beside, scan.Descriptor{MediaType: d.MediaType, Digest: d.Digest.String(), Size: d.Size})
	}
	scanner.Documents(beside)
	stop := a.still(stillEvery, func() string { return scanned(scanner.Seen()) })
	r, err := scanner.Report(ctx, root, src.Open)
	stop()
	if err != nil {
		return err
	}
	a.judge(p, &r)
	// The same gate as before a push, so that a scan and a build say the same (I9).
	gate := pipeline.Gate(pipeline.Image{Digest: root.Digest}, r)
	run := a.describe(set, x, scanner, r, gate)
	run.Started, run.Category = started, "secure-build/scan"
	run.Timings = []report.Timing{{Stage: "scan", Took: time.Since(started)}}
	return errors.Join(notClean(gate, r), a.say(run, x, reportDir))
}
