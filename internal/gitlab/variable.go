package gitlab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/secret"
	api "gitlab.com/gitlab-org/api/client-go/v2"
)

// An Owner is what has variables: a project or a group, by its number or path.
type Owner struct {
	Group bool
	ID    string
}

func (o Owner) String() string {
	if o.Group {
		return "group " + o.ID
	}
	return "project " + o.ID
}

func (o Owner) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// Everywhere is the scope of a variable that every environment gets.
const Everywhere = "*"

// The types of variables.
const (
	TypeEnv  = "env_var"
	TypeFile = "file" // the environment variable has the path of a file
)

// A Variable is one of GitLab. Name and Scope together are its key.
type Variable struct {
	Owner     Owner  `json:"owner"`
	Name      string `json:"name"`
	Scope     string `json:"scope"`
	Type      string `json:"type"`
	Masked    bool   `json:"masked"`
	Hidden    bool   `json:"hidden"` // then its value cannot be read
	Protected bool   `json:"protected"`
	Raw       bool   `json:"raw"`

	description string
	value       secret.Secret
}

// read takes over what the API says. Groups and projects have the same fields.
func read(o Owner, v *api.ProjectVariable) Variable {
	out := Variable{
		Owner: o, Name: oneLine(v.Key), Scope: oneLine(v.EnvironmentScope), Type: oneLine(string(v.VariableType)),
		Masked: v.Masked, Hidden: v.Hidden, Protected: v.Protected, Raw: v.Raw, description: v.Description,
		value: secret.New(secret.ID(v.Key), "the variable "+oneLine(v.Key)+" of "+o.String(), []byte(v.Value)),
	}
	if out.Scope == "" { // a GitLab without scopes of groups
		out.Scope = Everywhere
	}
	return out
}

// List reads all variables of an owner. Pages that shift while they are read
// (somebody deletes one) give a variable twice, or miss one; the first is
// mended here, the second by whoever wants to create what is there.
func (c *Client) List(ctx context.Context, o Owner) ([]Variable, error) {
	const doing = "listing the variables"
	var all []Variable
	seen := map[[2]string]bool{}
	for page := int64(1); page <= maxPages; page++ {
		got, resp, err := c.page(ctx, o, api.ListOptions{Page: page, PerPage: perPage})
		if err != nil {
			return nil, c.explain(doing, o, err)
		}
		for _, v := range got {
			next := read(o, v)
			if key := [2]string{next.Name, next.Scope}; !seen[key] {
				seen[key] = true
				all = append(all, next)
			}
		}
		// Without the header (a proxy may drop it) a page that is full has a next.
		if resp.NextPage == 0 && (len(got) < perPage || resp.Header.Get("X-Page") != "") {
			return all, nil
		}
	}
	return nil, fmt.Errorf("%s of %s: more than %d pages", doing, o, maxPages)
}

func (c *Client) page(ctx context.Context, o Owner, page api.ListOptions) ([]*api.ProjectVariable, *api.Response, error) {
	if !o.Group {
		return c.api.ProjectVariables.ListVariables(o.ID, &api.ListProjectVariablesOptions{ListOptions: page}, api.WithContext(ctx))
	}
	got, resp, err := c.api.GroupVariables.ListVariables(o.ID, &api.ListGroupVariablesOptions{ListOptions: page}, api.WithContext(ctx))
	var all []*api.ProjectVariable
	for _, v := range got {
		all = append(all, (*api.ProjectVariable)(v))
	}
	return all, resp, err
}

// get reads one variable; nil if there is none.
func (c *Client) get(ctx context.Context, o Owner, name, scope string) (*Variable, error) {
	filter := &api.VariableFilter{EnvironmentScope: scope}
	var v *api.ProjectVariable
	var err error
	if o.Group {
		var g *api.GroupVariable
		g, _, err = c.api.GroupVariables.GetVariable(o.ID, name, &api.GetGroupVariableOptions{Filter: filter}, api.WithContext(ctx))
		v = (*api.ProjectVariable)(g)
	} else {
		v, _, err = c.api.ProjectVariables.GetVariable(o.ID, name, &api.GetProjectVariableOptions{Filter: filter}, api.WithContext(ctx))
	}
	if status(err) == http.StatusNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, c.explain("reading the variable "+name, o, err)
	}
	got := read(o, v)
	if got.Scope != scope { // a GitLab without scopes of groups gives what it has
		return nil, nil
	}
	return &got, nil
}

// create makes a variable in a scope and returns what GitLab made of it.
func (c *Client) create(ctx context.Context, o Owner, w wish, scope string) (Variable, error) {
	kind := api.VariableTypeValue(w.Type)
	opt := api.CreateProjectVariableOptions{
		Key: &w.Name, Value: api.Ptr(plain(w.value)), Description: &w.description, EnvironmentScope: &scope,
		Masked: &w.Masked, Protected: &w.Protected, Raw: &w.Raw, VariableType: &kind,
	}
	if w.Hidden {
		opt.MaskedAndHidden = &w.Hidden
	}
	var v *api.ProjectVariable
	var err error
	if o.Group {
		var g *api.GroupVariable
		group := api.CreateGroupVariableOptions(opt)
		g, _, err = c.api.GroupVariables.CreateVariable(o.ID, &group, api.WithContext(ctx))
		v = (*api.ProjectVariable)(g)
	} else {
		v, _, err = c.api.ProjectVariables.CreateVariable(o.ID, &opt, api.WithContext(ctx))
	}
	if err != nil {
		return Variable{}, c.explainWrite("creating the variable "+w.Name, o, err)
	}
	return read(o, v), nil
}

// A change is what an update sends; nil is left as it is.
type change struct {
	value                    *secret.Secret
	description, scope, kind *string
	masked, protected, raw   *bool
}

// update changes the variable of a scope and returns what GitLab made of it.
func (c *Client) update(ctx context.Context, o Owner, name, scope string, ch change) (Variable, error) {
	opt := api.UpdateProjectVariableOptions{
		Description: ch.description, EnvironmentScope: ch.scope,
		Masked: ch.masked, Protected: ch.protected, Raw: ch.raw,
		Filter: &api.VariableFilter{EnvironmentScope: scope},
	}
	if ch.value != nil {
		opt.Value = api.Ptr(plain(*ch.value))
	}
	if ch.kind != nil {
		opt.VariableType = (*api.VariableTypeValue)(ch.kind)
	}
	var v *api.ProjectVariable
	var err error
	if o.Group {
		var g *api.GroupVariable
		group := api.UpdateGroupVariableOptions(opt)
		g, _, err = c.api.GroupVariables.UpdateVariable(o.ID, name, &group, api.WithContext(ctx))
		v = (*api.ProjectVariable)(g)
	} else {
		v, _, err = c.api.ProjectVariables.UpdateVariable(o.ID, name, &opt, api.WithContext(ctx))
	}
	if err != nil {
		return Variable{}, c.explainWrite("changing the variable "+name, o, err)
	}
	return read(o, v), nil
}

// remove deletes the variable of a scope. One that is gone already is no error.
func (c *Client) remove(ctx context.Context, o Owner, name, scope string) error {
	filter := &api.VariableFilter{EnvironmentScope: scope}
	var err error
	if o.Group {
		_, err = c.api.GroupVariables.RemoveVariable(o.ID, name, &api.RemoveGroupVariableOptions{Filter: filter}, api.WithContext(ctx))
	} else {
		_, err = c.api.ProjectVariables.RemoveVariable(o.ID, name, &api.RemoveProjectVariableOptions{Filter: filter}, api.WithContext(ctx))
	}
	if status(err) == http.StatusNotFound {
		return nil
	}
	return c.explain("deleting the variable "+name, o, err)
}

// explainWrite is explain for what another run may have been faster in.
func (c *Client) explainWrite(doing string, o Owner, err error) error {
	var answer *api.ErrorResponse
	switch {
	case status(err) == http.StatusNotFound:
		return fmt.Errorf("%s of %s: %w", doing, o, errGone)
	case errors.As(err, &answer) && answer.StatusCode == http.StatusBadRequest && strings.Contains(answer.Message, "has already been taken"):
		return fmt.Errorf("%s of %s: %w", doing, o, errTaken)
	case status(err) == http.StatusBadRequest && (strings.Contains(answer.Message, "exceeded") || strings.Contains(answer.Message, "over the limit")):
		return hint.Wrap(c.explain(doing, o, err), "GitLab bounds the number of variables of a project (8,000) and of a group (30,000); --prune deletes what sync made and the files no longer have")
	}
	return c.explain(doing, o, err)
}

// status is that of the answer which is an error, or 0.
func status(err error) int {
	var answer *api.ErrorResponse
	if errors.As(err, &answer) {
		return answer.StatusCode
	}
	return 0
}

// everyBranchProtected says whether a project protects each branch that anybody
// may make, by the pattern "*". What cannot be asked is not protected.
func (c *Client) everyBranchProtected(ctx context.Context, o Owner) bool {
	if o.Group {
		return false
	}
	b, _, err := c.api.ProtectedBranches.GetProtectedBranch(o.ID, "*", api.WithContext(ctx))
	return err == nil && b.Name == "*"
}
