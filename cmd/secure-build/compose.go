package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/org/secure-build/internal/buildkit"
	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/push"
	"github.com/org/secure-build/internal/source"
)

// alone are options that mean one image.
var alone = []string{"target", "metadata-file", "iidfile"}

// services reads the Compose files, and holds them against the options that
// they answer themselves.
func (a *app) services(ctx context.Context, o options, args []string) ([]source.Service, error) {
	where := append(slices.Clone(args), o.text("context"))
	if slices.ContainsFunc(where, func(c string) bool { return c != "" && c != "." }) || len(args) > 1 {
		return nil, hint.Wrap(errors.New("--compose and a CONTEXT: the Compose file says what each service's context is"), "leave CONTEXT out")
	}
	if o.text("file") != "" {
		return nil, hint.Wrap(errors.New("--compose and --file: the Compose file says which Dockerfile each service has"), "leave --file out")
	}
	all, err := source.Compose(ctx, o.list("compose"), o.list("service"), source.Options{})
	if err != nil || len(all) == 1 {
		return all, err
	}
	for _, flag := range alone {
		if o.text(flag) != "" {
			return nil, hint.Wrap(fmt.Errorf("--%s is for one image, and there are %d services", flag, len(all)), "build one with --service %s", all[0].Name)
		}
	}
	if len(o.list("tag")) > 0 {
		return nil, hint.Wrap(fmt.Errorf("--tag is for one image, and there are %d services", len(all)), "write image: or build.tags into the Compose file")
	}
	outputs, err := buildkit.ParseOutputs(o.list("output"))
	for _, t := range outputs.Targets {
		if t.Dest != "" || t.Name != "" {
			return nil, hint.Wrap(fmt.Errorf("--output with a place is for one image, and there are %d services", len(all)), "--push and --load take them all")
		}
	}
	for _, text := range references(o.list("cache-to")) { // of the flag: each service has its own in the Compose file
		if c, err := buildkit.ParseCacheTo(text, a.getenv); err == nil && c.Type != "inline" {
			return nil, hint.Wrap(fmt.Errorf("--cache-to %s is for one image, and there are %d services: the last one's cache would be all that stays", c, len(all)), "write build.cache_to into the Compose file, or say --cache-to type=inline")
		}
	}
	if !o.has("call") {
		return all, err
	}
	c, cerr := o.call()
	if c.Method != "" {
		return nil, hint.Wrap(fmt.Errorf("--call=%s is for one image, and there are %d services", c.Method, len(all)), "ask for one with --service %s", all[0].Name)
	}
	return all, errors.Join(err, cerr)
}

// newService is newBuild for a service of a Compose file.
func (f *fleet) newService(o options, s source.Service, reportDir string) (*build, error) {
	o.service = &s
	if reportDir != "" {
		s.Texts["report-dir"] = filepath.Join(reportDir, s.Name)
	}
	one := f.app.forService(s)
	if s.Fork { // a variable that it is not given may be a part of one
		s.Lists["tag"] = slices.DeleteFunc(s.Lists["tag"], func(tag string) bool { _, err := push.ParseTags([]string{tag}); return err != nil })
	}
	b, err := one.newBuild(o, s.Context)
	if err != nil {
		return nil, named(s.Name, err)
	}
	b.fleet = f
	if b.reportDir = s.Texts["report-dir"]; b.reportDir != "" {
		if err := os.MkdirAll(filepath.Dir(b.reportDir), 0o755); err != nil {
			return nil, fmt.Errorf("making the report folder: %w", err)
		}
	}
	problems, err := b.external(s)
	if err == nil {
		err = b.tell(b.request, problems)
	}
	return b, named(s.Name, err)
}

// forService is the app for what one service has to say.
func (a *app) forService(s source.Service) *app {
	one := a.withStdout(a.stdout)
	one.service, one.terminal = s.Name, nil
	for _, w := range s.Warnings {
		one.warn("%s", w)
	}
	return one
}

// useService takes over what is no option. It does nothing without a service.
func (b *build) useService(o options) {
	if o.service == nil {
		return
	}
	b.request.Inline = o.service.Inline
	b.refs = append(b.refs, o.service.Refs...)
	b.sources = o.service.Options(b.sources)
	for _, name := range o.given("compose") {
		b.composed = append(b.composed, filepath.Dir(name))
	}
}

// external holds a service's external secrets against those that the flags name.
func (s secrets) external(of source.Service) ([]finding.Problem, error) {
	var errs []error
	given := map[string]bool{}
	for _, ref := range s.refs {
		ids, err := source.Names(ref, s.sources)
		errs = append(errs, err)
		for _, id := range ids {
			given[id] = true
		}
	}
	var missing []finding.Problem
	for id, name := range of.External {
		if !given[id] && !slices.Contains(s.optional, id) {
			missing = append(missing, finding.Problem{
				Rule: buildkit.RuleMissing, Severity: finding.Error, File: of.File,
				Message: fmt.Sprintf("the secret %q of the Compose file is external, and nothing here gives %q", name, id),
				Remedy:  fmt.Sprintf("give it with --secret id=%s,… or --sops %s=FILE#KEY", id, id),
			})
		}
	}
	return finding.SortProblems(missing), errors.Join(errs...)
}

// named puts a service's name, if there is one, before each of its errors.
func named(service string, err error) error {
	if err == nil || service == "" {
		return err
	}
	var all []error
	for _, e := range flatten(err) {
		all = append(all, fmt.Errorf("service %s: %w", service, e))
	}
	return errors.Join(all...)
}
