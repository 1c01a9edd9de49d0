package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	dockerconfig "github.com/docker/cli/cli/config"
	"github.com/org/secure-build/internal/buildkit"
	"github.com/org/secure-build/internal/config"
	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/pipeline"
	"github.com/spf13/cobra"
)

const aboutBuild = `Build an image, scan it for the secrets that went in, and push it if it is clean.

In order: the Dockerfile's secret mounts are held against the secrets that are
there (no key needed); the SOPS files are decrypted into memory; BuildKit builds
once; every layer, configuration and annotation is searched for every secret in
every encoding while it arrives; and only then, with --push, exactly the scanned
digest goes to every tag. A cache (--cache-to) is scanned by itself after that,
and written if it is clean; if it is not, that is a warning.

Exit status: 0 pushed, or built and clean; 1 error; 2 secrets found, nothing
pushed; 3 the Dockerfile and the secrets do not fit, nothing built.`

// engineImage is BuildKit's image for docker. Tests, which reach no registry of
// Docker's, have one of their own; "" is the pinned one.
var engineImage string

func (a *app) buildCommand() *cobra.Command {
	var opts options
	cmd := &cobra.Command{
		Use:     "build [flags] CONTEXT",
		Short:   "Build, scan, and push what is clean",
		Long:    aboutBuild,
		Example: examples,
		RunE: func(cmd *cobra.Command, args []string) error {
			a.fence()
			a.tellIgnored(cmd)
			if len(opts.list("compose")) > 0 {
				return a.buildServices(cmd.Context(), opts, args)
			}
			if where := opts.text("context"); len(args) == 0 && where != "" {
				args = []string{where}
			}
			if err := oneContext(cmd, args); err != nil {
				return err
			}
			b, err := a.newBuild(opts, args[0])
			if err != nil {
				return err
			}
			if b.asked.Method != "" {
				return b.call(cmd.Context())
			}
			res, err := pipeline.Run(cmd.Context(), pipeline.Plan{Push: len(b.request.Outputs.Targets) > 0}, b.steps())
			return notClean(err, res.Report)
		},
	}
	opts = register(cmd, config.Build, a.getenv)
	legacy(cmd)
	return cmd
}

// newBuild reads the options. Everything that can be wrong with them is said
// here, before anything is decrypted or built.
func (a *app) newBuild(o options, buildContext string) (*build, error) {
	generous() // until there is something to scan
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
	b.useService(o)
	check(b.decide())
	b.request.Docker = dockerconfig.LoadDefaultConfigFile(a.stderr)
	b.request.Scoped = buildkit.CredentialDir(a.getenv)
	b.registry.Scoped = b.request.Scoped
	check(b.readRequest(o))
	check(b.readOutputs(o))
	check(b.readToken(o))
	b.asked, err = o.call()
	check(err)
	check(b.readProgress(o))
	b.archive, b.answers = a.plain, a.stdout
	if b.idOnly || b.request.Outputs.ToStdout() { // it is then for one thing alone
		b.app = a.withStdout(a.stderr)
	}
	b.rescan, b.rotates, b.keepLeak = flag("rescan"), !flag("no-rotation"), flag("keep-leak")
	check(b.readCaches(o))
	b.restrain()
	b.policy, err = a.readPolicy(o, !b.may.Decrypt)
	check(err)
	b.registry.UserAgent = "secure-build/" + version
	b.metadataFile, b.iidFile = o.text("metadata-file"), o.text("iidfile")
	b.useDotenv(o.text("dotenv"))
	b.reportDir, err = a.ciReportDir(o.text("report-dir"))
	check(err)
	b.builders, b.builderTLS = o.list("builder"), o.text("builder-tls")
	b.cacheDir, err = cacheDir(o.text("cache-dir"))
	check(err)
	if b.may.Push { // a stranger's job has no password to read
		check(b.login(o))
	}
	return b, errors.Join(errs...)
}

// withStdout is the app with what it says on standard output going to w.
func (a *app) withStdout(w io.Writer) *app {
	return &app{
		redactor: a.redactor, stdin: a.stdin, stdout: w, stderr: a.stderr, plain: a.plain, terminal: a.terminal, getenv: a.getenv,
		ci: a.ci, platform: a.platform, shown: a.shown, service: a.service, password: a.password, keys: a.keys,
	}
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
