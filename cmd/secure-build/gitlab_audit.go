package main

import (
	"context"
	"fmt"
	"io"

	"github.com/org/secure-build/internal/config"
	"github.com/org/secure-build/internal/gitlab"
	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/scan/rules"
	"github.com/spf13/cobra"
)

const aboutAudit = `Say of every variable of a project and its groups whether it is masked, hidden,
protected, a file, raw, and in which environments; which would leak, and why.
Nothing is changed.

With --sops, say too which values of the file are there, and which differ: they
are compared, never printed. A hidden value can be compared only if sync set it.

Exit status: 0 nothing found; 1 error; 2 findings.`

func (a *app) gitlabAuditCommand() *cobra.Command {
	var opts options
	cmd := &cobra.Command{
		Use:   "audit [flags]",
		Short: "Say which variables would leak, and why",
		Long:  aboutAudit,
		Example: `  secure-build gitlab audit --project team/app --group team
  secure-build gitlab audit --project team/app --sops secrets.yaml --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			onlyErrors, err := opts.bool("errors-only")
			if err != nil {
				return err
			}
			v, err := a.openGitLab(cmd.Context(), opts)
			if err != nil {
				return err
			}
			return a.gitlabAudit(cmd.Context(), v, onlyErrors)
		},
	}
	opts = register(cmd, config.GitLabAudit, a.getenv)
	return cmd
}

func (a *app) gitlabAudit(ctx context.Context, v variables, onlyErrors bool) error {
	looks, err := secretLooks()
	if err != nil {
		return err
	}
	r, err := v.client.Audit(ctx, gitlab.AuditOptions{Owners: v.owners, Set: v.set, Names: v.names, Looks: looks})
	if err != nil {
		return err
	}
	if err := a.show(v.json, r, func(w io.Writer) error { return r.Table(w) }); err != nil {
		return err
	}
	if r.Errors > 0 || r.Warnings > 0 && !onlyErrors {
		return hint.Wrap(fmt.Errorf("auditing: %s: %w", r.Outcome(), errVariables), "the report above says what to do about each; secure-build gitlab sync sets what a SOPS file has")
	}
	return nil
}

// secretLooks says of a variable whether it is a secret, by the rules that the
// scanner holds images against.
func secretLooks() (func(name, value string) (string, bool), error) {
	patterns, err := rules.New(rules.Options{})
	if err != nil {
		return nil, err
	}
	return func(name, value string) (why string, ok bool) {
		if hit, ok := rules.Env(name, value); ok {
			return hit.Description, true
		}
		s := patterns.Stream(name, func(h rules.Hit) { why, ok = h.Description, true })
		_, _ = io.WriteString(s, value)
		_ = s.Close()
		return why, ok
	}, nil
}
