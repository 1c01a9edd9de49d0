package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	dockerconfig "github.com/docker/cli/cli/config"
	"github.com/org/secure-build/internal/config"
	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/pipeline"
	"github.com/org/secure-build/internal/push"
	"github.com/spf13/cobra"
)

const aboutBuild = `Build an image, scan it for the secrets that went in, and push it if it is clean.

In order: the Dockerfile's secret mounts are held against the secrets that are
there (no key needed); the SOPS files are decrypted into memory; BuildKit builds
once; every layer, configuration and annotation is searched for every secret in
every encoding while it arrives; and only then, with --push, exactly the scanned
digest goes to every tag.

Exit status: 0 pushed, or built and clean; 1 error; 2 secrets found, nothing
pushed; 3 the Dockerfile and the secrets do not fit, nothing built.`

func (a *app) buildCommand() *cobra.Command {
	var opts options
	cmd := &cobra.Command{
		Use:     "build [flags] CONTEXT",
		Short:   "Build, scan, and push what is clean",
		Long:    aboutBuild,
		Example: examples,
		Args:    oneContext,
		RunE: func(cmd *cobra.Command, args []string) error {
			a.fence()
			b, err := a.newBuild(opts, args[0])
			if err != nil {
				return err
			}
			res, err := pipeline.Run(cmd.Context(), pipeline.Plan{Push: b.push}, b.steps())
			return notClean(err, res.Report)
		},
	}
	opts = register(cmd, config.Build, a.getenv)
	return cmd
}

// newBuild reads the options. Everything that can be wrong with them is said
// here, before anything is decrypted or built.
func (a *app) newBuild(o options, buildContext string) (*build, error) {
	b := &build{app: a, started: time.Now()}
	a.debugOptions(o)
	var errs []error
	check := func(err error) { errs = append(errs, err) }
	flag := func(name string) bool { v, err := o.bool(name); check(err); return v }

	var err error
	b.secrets, err = a.readSecrets(o)
	check(err)
	b.request, err = a.readDockerfile(o, buildContext)
	check(err)
	b.rescan = flag("rescan")
	b.request.Tags, b.request.NoCache, b.request.Pull = o.list("tag"), flag("no-cache"), flag("pull")
	for _, p := range o.list("platform") {
		b.request.Platforms = append(b.request.Platforms, strings.Split(p, ",")...)
	}
	b.request.Labels, err = config.Pairs("label", o.list("label"), nil)
	check(err)
	b.tags, err = push.ParseTags(b.request.Tags)
	check(err)
	if b.push = flag("push"); b.push && len(b.request.Tags) == 0 {
		check(hint.Wrap(errors.New("--push without a tag"), "say where to with --tag registry.example.com/team/app:1.2"))
	}
	check(b.decide())
	b.policy, err = a.readPolicy(o, !b.may.Decrypt)
	check(err)
	b.request.Tags = names(b.tags)
	b.progress = o.text("progress")
	if v := a.getenv("BUILDKIT_PROGRESS"); v != "" && b.progress == "auto" {
		b.progress = v
	}
	check(o.oneOf("progress", b.progress))
	b.metadataFile, b.iidFile = o.text("metadata-file"), o.text("iidfile")
	a.useDotenv(o.text("dotenv"))
	b.reportDir, err = a.ciReportDir(o.text("report-dir"))
	check(err)
	if all := o.list("builder"); len(all) > 0 {
		b.builder = all[0]
	}
	for _, name := range unfinished {
		if len(o.list(name)) > 0 {
			check(fmt.Errorf("--%s is not built in yet", name))
		}
	}
	b.cacheDir, err = cacheDir(o.text("cache-dir"))
	check(err)
	b.request.Docker = dockerconfig.LoadDefaultConfigFile(a.stderr)
	if b.may.Push { // a stranger's job has no password to read
		check(b.login(o))
	}
	return b, errors.Join(errs...)
}

// unfinished flags are refused rather than ignored.
var unfinished = []string{
	"build-context", "no-cache-filter", "annotation", "ssh", "add-host", "ulimit", "allow", "attest", "output",
}

// cacheDir is where the private daemon's cache is kept between runs.
func cacheDir(dir string) (string, error) {
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", hint.Wrap(fmt.Errorf("finding the cache folder: %w", err), "set --cache-dir, HOME or XDG_CACHE_HOME")
		}
		dir = filepath.Join(user, "secure-build")
	}
	return filepath.Abs(dir)
}

func names(tags []push.Tag) []string {
	var refs []string
	for _, t := range tags {
		refs = append(refs, t.Name())
	}
	return refs
}
