package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/org/secure-build/internal/buildkit"
	"github.com/org/secure-build/internal/config"
	"github.com/org/secure-build/internal/finding"
	"github.com/spf13/cobra"
)

const aboutCheck = `Hold the Dockerfile's secret mounts against the secrets that there are, and look
for mistakes that let secrets out.

Every id that a RUN of the target mounts has to come from a source; a mistyped
one would otherwise mount nothing, and the image would be built without it. The
names of a SOPS file's values are clear text, so no key is needed, and nothing
is built or fetched.

Exit status: 0 they fit; 1 error; 3 a secret is missing, or surely gets out.`

func (a *app) checkCommand() *cobra.Command {
	var opts options
	cmd := &cobra.Command{
		Use:     "check [flags] CONTEXT",
		Short:   "Check that the Dockerfile and the secrets fit, without a key",
		Long:    aboutCheck,
		Example: "  secure-build check --sops secrets.yaml .",
		Args:    oneContext,
		RunE:    func(cmd *cobra.Command, args []string) error { return a.check(cmd.Context(), opts, args[0]) },
	}
	opts = register(cmd, config.Check, a.getenv)
	return cmd
}

func (a *app) check(ctx context.Context, opts options, buildContext string) error {
	a.fence()
	s, err1 := a.readSecrets(opts)
	req, err2 := a.readDockerfile(opts, buildContext)
	var err4, err5 error
	req.Platforms, err4 = buildkit.ParsePlatforms(opts.list("platform"))
	req.Contexts, err5 = buildkit.ParseContexts(opts.list("build-context"))
	failOn := finding.FailOn(opts.text("fail-on"))
	asJSON, err3 := opts.bool("json")
	if err := errors.Join(err1, err2, opts.oneOf("fail-on", string(failOn)), err3, err4, err5); err != nil {
		return err
	}
	checked, err := s.check(ctx, req, failOn)
	if err != nil {
		return err
	}
	if asJSON {
		return a.checkJSON(checked)
	}
	if err := a.tell(req, checked.Problems); err != nil {
		return err
	}
	_, err = fmt.Fprintln(a.stdout, "every secret that the Dockerfile mounts is there")
	return err
}

// checkJSON prints what was found, for scripts. The exit code is the same.
func (a *app) checkJSON(checked buildkit.Checked) error {
	bad := slices.ContainsFunc(checked.Problems, func(p finding.Problem) bool { return p.Severity == finding.Error })
	out, err := json.MarshalIndent(struct {
		OK       bool              `json:"ok"`
		Mounts   []buildkit.Mount  `json:"mounts"`
		Problems []finding.Problem `json:"problems"`
	}{!bad, append([]buildkit.Mount{}, checked.Mounts...), append([]finding.Problem{}, checked.Problems...)}, "", "  ")
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(a.stdout, "%s\n", out); err != nil {
		return err
	}
	if bad {
		return commandError(exitContract) // it has been said
	}
	return nil
}
