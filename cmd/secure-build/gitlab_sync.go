package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/org/secure-build/internal/config"
	"github.com/org/secure-build/internal/gitlab"
	"github.com/org/secure-build/internal/hint"
	"github.com/spf13/cobra"
)

const aboutSync = `Make GitLab's variables what a SOPS file says: created and updated, masked and
hidden where GitLab's rules allow it, raw, and of type file for PEM, JSON and
values of several lines. The plan is shown; --apply does it.

Variables that sync did not make are not touched, unless --adopt names them. It
knows its own by their description. A run that was cut off is gone on with by
the next, and two at once do no harm.

Exit status: 0 all is as it should be, or could be; 1 error; 2 something cannot
be done as it is, such as a value that GitLab cannot mask.`

func (a *app) gitlabSyncCommand() *cobra.Command {
	var opts options
	cmd := &cobra.Command{
		Use:   "sync --sops FILE [flags]",
		Short: "Set variables from SOPS files",
		Long:  aboutSync,
		Example: `  secure-build gitlab sync --sops secrets.yaml --project team/app
  secure-build gitlab sync --sops secrets.yaml --project team/app --scope production --protected --apply`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, apply, err := readSync(opts)
			if err != nil {
				return err
			}
			v, err := a.openGitLab(cmd.Context(), opts)
			if err != nil {
				return err
			}
			o.Names = v.names
			return a.gitlabSync(cmd.Context(), v, o, apply)
		},
	}
	opts = register(cmd, config.GitLabSync, a.getenv)
	return cmd
}

func readSync(o options) (s gitlab.SyncOptions, apply bool, err error) {
	var errs []error
	flag := func(name string) bool { v, err := o.bool(name); errs = append(errs, err); return v }
	if len(o.list("sops")) == 0 {
		errs = append(errs, hint.Wrap(errors.New("sync without --sops"), "secure-build gitlab sync --sops secrets.yaml"))
	}
	s = gitlab.SyncOptions{
		Scope: o.text("scope"), By: o.text("owner"), Protected: flag("protected"),
		Base64: o.list("as-base64"), File: o.list("as-file"), Unmasked: o.list("unmasked"), Adopt: o.list("adopt"),
		Replace: flag("replace"), Prune: flag("prune"),
	}
	apply = flag("apply")
	return s, apply, errors.Join(errs...)
}

// synced is what sync prints as JSON.
type synced struct {
	Applied bool          `json:"applied"`
	Steps   []gitlab.Step `json:"steps"`
}

// gitlabSync plans for every owner before it changes anything of one.
func (a *app) gitlabSync(ctx context.Context, v variables, o gitlab.SyncOptions, apply bool) error {
	plans := make([][]gitlab.Step, len(v.owners))
	var all []gitlab.Step
	for i, owner := range v.owners {
		have, err := v.client.List(ctx, owner)
		if err != nil {
			return err
		}
		o.Owner = owner
		if plans[i], err = gitlab.Plan(v.set, have, o); err != nil {
			return err
		}
		all = append(all, plans[i]...)
	}
	if !apply || !v.json {
		err := a.show(v.json, synced{Steps: all}, func(w io.Writer) error { return gitlab.Steps(w, all) })
		if err != nil || !apply {
			return errors.Join(err, a.unapplied(all, apply))
		}
	}
	var errs []error
	all = nil
	for i, owner := range v.owners {
		o.Owner = owner
		errs = append(errs, v.client.Apply(ctx, plans[i], o, a.stepDone(v.json)))
		all = append(all, plans[i]...)
	}
	if v.json {
		errs = append(errs, a.show(true, synced{Applied: true, Steps: all}, nil))
	}
	return errors.Join(append(errs, a.unapplied(all, apply))...)
}

// stepDone prints what came of a step, as it comes.
func (a *app) stepDone(asJSON bool) func(gitlab.Step) {
	return func(s gitlab.Step) {
		switch {
		case asJSON || s.Error != "": // printed at the end
		case !s.Done:
			fmt.Fprintf(a.stdout, "%s: not done: %s\n", s.Name, s.Note)
		default:
			fmt.Fprintf(a.stdout, "%s: %s done\n", s.Name, s.Action)
		}
	}
}

// unapplied says what is left to do: nothing, or --apply, or what stands
// against it.
func (a *app) unapplied(steps []gitlab.Step, apply bool) error {
	if n := gitlab.Changes(steps); n > 0 && !apply {
		fmt.Fprintf(a.stderr, "secure-build: %d changes planned; --apply does them\n", n)
	}
	if n := gitlab.Refused(steps); n > 0 {
		return hint.Wrap(fmt.Errorf("syncing: %d of %d are left as they are: %w", n, len(steps), errVariables), "the lines above say why, and which flag helps")
	}
	return nil
}
