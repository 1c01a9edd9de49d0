package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/org/secure-build/internal/config"
	"github.com/org/secure-build/internal/gitlab"
	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/secret"
	"github.com/org/secure-build/internal/source"
	"github.com/spf13/cobra"
)

const aboutGitLab = `Look at the CI/CD variables of GitLab's projects and groups, and set them from
SOPS files.

The access token is read from GITLAB_TOKEN, standard input or a SOPS file. It
needs the scope api, and Maintainer of the project or Owner of the group. A
job's own CI_JOB_TOKEN cannot reach variables.`

// errVariables is the end of an audit that found something, and of a sync that
// could not do everything: exit code 2.
var errVariables = errors.New("variables need attention")

func (a *app) gitlabCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "gitlab",
		Short: "Audit GitLab's CI/CD variables, or set them from SOPS files",
		Long:  aboutGitLab,
		Args:  knownGitLabCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.gitlabAuditCommand(), a.gitlabSyncCommand())
	return cmd
}

func knownGitLabCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return hint.Wrap(fmt.Errorf("unknown command %q of gitlab", args[0]), "%s audit, or %s sync", cmd.CommandPath(), cmd.CommandPath())
}

// variables is what audit and sync share.
type variables struct {
	client *gitlab.Client
	owners []gitlab.Owner
	set    secret.Set
	names  map[string]string
	json   bool
}

// openGitLab reads the shared options, decrypts, masks and makes the client.
// Nothing is printed, and GitLab asked nothing, before all that is known.
func (a *app) openGitLab(ctx context.Context, o options) (v variables, err error) {
	// Not only for what is decrypted: such a job's log has the token too.
	if err := source.Refuse(lookup(a.getenv)); err != nil {
		return v, err
	}
	var err1, err2, err3 error
	v.owners, err1 = a.gitlabOwners(o)
	v.names, err2 = config.Pairs("name", o.list("name"), nil)
	v.json, err3 = o.bool("json")
	refs, err := parseSOPS(o.list("sops"))
	if err := errors.Join(err1, err2, err3, err); err != nil {
		return v, err
	}
	from := source.Options{AllowKeySource: o.list("allow-key-source")}
	if len(refs) > 0 {
		v.set, err = source.Load(ctx, refs, from)
	}
	masked := v.set
	var token secret.Secret
	if err == nil {
		token, err = a.gitlabToken(ctx, o, from)
	}
	if err == nil {
		masked.AddHidden(token)
	}
	_, merr := a.mask(masked)
	if err := errors.Join(err, merr); err != nil {
		return v, err
	}
	v.client, err = gitlab.New(gitlab.Options{
		URL:       cmp.Or(o.text("url"), a.getenv("CI_API_V4_URL"), a.getenv("CI_SERVER_URL"), "https://gitlab.com"),
		Token:     token,
		UserAgent: "secure-build/" + version,
	})
	return v, err
}

// lookup is getenv as source asks for it: an empty variable is not set.
func lookup(getenv func(string) string) func(string) (string, bool) {
	return func(name string) (string, bool) { v := getenv(name); return v, v != "" }
}

func parseSOPS(lines []string) ([]source.Ref, error) {
	var refs []source.Ref
	var errs []error
	for _, line := range lines {
		ref, err := source.ParseSOPS(line)
		refs, errs = append(refs, ref), append(errs, err)
	}
	return refs, errors.Join(errs...)
}

// gitlabOwners lists the project and the groups that are meant.
func (a *app) gitlabOwners(o options) ([]gitlab.Owner, error) {
	var owners []gitlab.Owner
	project := o.text("project")
	groups := o.list("group")
	if project == "" && len(groups) == 0 {
		project = a.getenv("CI_PROJECT_ID")
	}
	if project != "" {
		owners = append(owners, gitlab.Owner{ID: project})
	}
	for _, g := range groups {
		owners = append(owners, gitlab.Owner{Group: true, ID: g})
	}
	for _, w := range owners {
		if w.ID != strings.Trim(w.ID, "/ ") || w.ID == "" || strings.ContainsAny(w.ID, "?#%\\\x00\r\n\t ") {
			return nil, hint.Wrap(fmt.Errorf("reading the %s %q: it is neither a number nor a path", strings.Fields(w.String())[0], w.ID), "a path looks like team/app")
		}
	}
	if len(owners) == 0 {
		return nil, hint.Wrap(errors.New("no project and no group"), "say whose variables: --project team/app or --group team")
	}
	return owners, nil
}

// gitlabToken reads the access token, which is a secret like any other: it is
// never a flag's value.
func (a *app) gitlabToken(ctx context.Context, o options, from source.Options) (secret.Secret, error) {
	const id = "gitlab_token"
	stdin, err := o.bool("token-stdin")
	if err != nil {
		return secret.Secret{}, err
	}
	file := o.text("token-sops")
	var token, origin string
	switch {
	case stdin && file != "":
		return secret.Secret{}, hint.Wrap(errors.New("--token-stdin and --token-sops"), "use one of them")
	case file != "":
		return tokenFromSOPS(ctx, file, from)
	case stdin:
		line, err := bufio.NewReader(io.LimitReader(a.stdin, 1<<16)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return secret.Secret{}, fmt.Errorf("reading GitLab's token: %w", err)
		}
		token, origin = strings.TrimSpace(line), "--token-stdin"
	default:
		token, origin = strings.TrimSpace(a.getenv("GITLAB_TOKEN")), "GITLAB_TOKEN"
	}
	job := a.getenv("CI_JOB_TOKEN")
	const advice = "make a project or group access token with the role Maintainer and the scope api, and hand it over as the masked and protected variable GITLAB_TOKEN, or in a SOPS file with --token-sops"
	switch {
	case token != "" && (token == job || strings.HasPrefix(token, "glcbt-")):
		return secret.Secret{}, hint.Wrap(errors.New("CI_JOB_TOKEN cannot reach the variables API"), "%s", advice)
	case token == "" && job != "":
		return secret.Secret{}, hint.Wrap(fmt.Errorf("no token for GitLab's API: %s is empty, and CI_JOB_TOKEN cannot reach variables", origin), "%s", advice)
	case token == "":
		return secret.Secret{}, hint.Wrap(fmt.Errorf("no token for GitLab's API: %s is empty", origin), "set GITLAB_TOKEN to an access token with the scope api, or use --token-stdin or --token-sops")
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return secret.Secret{}, fmt.Errorf("reading GitLab's token: %s is not one", origin)
	}
	return secret.New(id, origin, []byte(token)), nil
}

// tokenFromSOPS decrypts the one value that file names.
func tokenFromSOPS(ctx context.Context, file string, from source.Options) (secret.Secret, error) {
	ref, err := source.ParseSOPS(file)
	if err != nil {
		return secret.Secret{}, err
	}
	set, err := source.Load(ctx, []source.Ref{ref}, from)
	if err != nil {
		return secret.Secret{}, err
	}
	all := set.Mounted()
	if len(all) != 1 {
		return secret.Secret{}, hint.Wrap(fmt.Errorf("reading --token-sops %s: it is %d values", file, len(all)), "name the one: FILE#KEY")
	}
	return all[0], nil
}

// show prints a document as JSON, or for people.
func (a *app) show(asJSON bool, document any, table func(io.Writer) error) error {
	if !asJSON {
		return table(a.stdout)
	}
	out := json.NewEncoder(a.stdout)
	out.SetIndent("", "  ")
	return out.Encode(document)
}
