package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/org/secure-build/internal/buildkit"
	"github.com/org/secure-build/internal/config"
	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/source"
	"github.com/spf13/cobra"
)

const aboutCheck = `Hold the Dockerfile's secret mounts against the secrets that there are, and look
for mistakes that let secrets out.

Every id that a RUN of the target mounts has to come from a source; a mistyped
one would otherwise mount nothing, and the image would be built without it. The
names of a SOPS file's values are clear text, so no key is needed, and nothing
is built or fetched. With --compose, every service of a Compose file (or those
of --service) is checked; what is found begins with its name.

A Dockerfile that BuildKit fetches with its context is not read: that is a
warning, and "ok" in the JSON is null. The build checks it before its first
step.

Exit status: 0 they fit, as far as they were read; 1 error; 3 a secret is
missing, or surely gets out.`

func (a *app) checkCommand() *cobra.Command {
	var opts options
	cmd := &cobra.Command{
		Use:     "check [flags] CONTEXT",
		Short:   "Check that the Dockerfile and the secrets fit, without a key",
		Long:    aboutCheck,
		Example: "  secure-build check --sops secrets.yaml .\n  secure-build check --compose compose.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			a.fence()
			if len(opts.list("compose")) == 0 {
				if err := oneContext(cmd, args); err != nil {
					return err
				}
			}
			return a.check(cmd.Context(), opts, args)
		},
	}
	opts = register(cmd, config.Check, a.getenv)
	return cmd
}

// check checks one Dockerfile, or those of all services: one that is wrong does
// not keep another from being looked at.
func (a *app) check(ctx context.Context, o options, args []string) error {
	asJSON, err := o.bool("json")
	if err != nil {
		return err
	}
	all, err := a.checkings(ctx, o, args)
	if err != nil {
		return err
	}
	var errs []error
	for _, c := range all {
		errs = append(errs, named(c.service, c.check(ctx)))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if asJSON {
		return a.checkJSON(all)
	}
	for _, c := range all {
		errs = append(errs, named(c.service, c.say()))
	}
	return errors.Join(errs...)
}

// A checking is one Dockerfile, what there is to hold it against, and what that
// came to.
type checking struct {
	*app
	secrets
	request  buildkit.Request
	failOn   finding.FailOn
	external []finding.Problem // secrets of the Compose file that nothing gives
	checked  buildkit.Checked
}

// checkings reads the options, for each service by itself.
func (a *app) checkings(ctx context.Context, o options, args []string) ([]*checking, error) {
	if len(o.list("compose")) == 0 {
		c, err := a.newChecking(o, args[0])
		return []*checking{c}, err
	}
	services, err := a.services(ctx, o, args)
	if err != nil {
		return nil, err
	}
	var all []*checking
	var errs []error
	for _, s := range services {
		one := a.forService(s)
		o.service = &s
		c, err := one.newChecking(o, s.Context)
		all, errs = append(all, c), append(errs, named(s.Name, err))
		if err == nil {
			errs = append(errs, named(s.Name, c.useService(s)))
		}
	}
	return all, errors.Join(errs...)
}

func (a *app) newChecking(o options, buildContext string) (*checking, error) {
	c := &checking{app: a, failOn: finding.FailOn(o.text("fail-on"))}
	var err1, err2, err3, err4 error
	c.secrets, err1 = a.readSecrets(o)
	c.request, err2 = a.readDockerfile(o, buildContext)
	c.request.Platforms, err3 = platforms(o)
	c.request.Contexts, err4 = buildkit.ParseContexts(o.list("build-context"))
	return c, errors.Join(err1, err2, o.oneOf("fail-on", string(c.failOn)), err3, err4)
}

// useService takes over what is no option.
func (c *checking) useService(s source.Service) (err error) {
	c.request.Inline = s.Inline
	c.refs = append(c.refs, s.Refs...)
	c.sources = s.Options(c.sources)
	c.external, err = c.secrets.external(s)
	return err
}

func (c *checking) check(ctx context.Context) (err error) {
	c.checked, err = c.secrets.check(ctx, c.request, c.failOn)
	c.checked.Problems = append(c.checked.Problems, c.external...)
	return err
}

// say prints what was found; see tell.
func (c *checking) say() error {
	if err := c.tell(c.request, c.checked.Problems); err != nil || c.checked.Unread {
		return err
	}
	_, err := fmt.Fprintln(c.stdout, c.about()+"every secret that the Dockerfile mounts is there")
	return err
}

// A servedMount and a servedProblem say which service they are of, if there are
// services.
type (
	servedMount struct {
		Service string `json:"service,omitempty"`
		buildkit.Mount
	}
	servedProblem struct {
		Service string `json:"service,omitempty"`
		finding.Problem
	}
)

// checkJSON prints what was found, for scripts. The exit code is the same.
func (a *app) checkJSON(all []*checking) error {
	ok, unread := true, false
	out := struct {
		OK       *bool           `json:"ok"`                 // nil if nothing is wrong in what was read, and that is not all
		Services []string        `json:"services,omitempty"` // those that were checked
		Mounts   []servedMount   `json:"mounts"`
		Problems []servedProblem `json:"problems"`
	}{&ok, nil, []servedMount{}, []servedProblem{}}
	for _, c := range all {
		unread = unread || c.checked.Unread
		if c.service != "" {
			out.Services = append(out.Services, c.service)
		}
		for _, m := range c.checked.Mounts {
			out.Mounts = append(out.Mounts, servedMount{c.service, m})
		}
		for _, p := range c.checked.Problems {
			out.Problems = append(out.Problems, servedProblem{c.service, p})
			ok = ok && p.Severity != finding.Error
		}
	}
	if ok && unread {
		out.OK = nil
	}
	text, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(a.stdout, "%s\n", text); err != nil {
		return err
	}
	if !ok {
		return commandError(exitContract) // it has been said
	}
	return nil
}
