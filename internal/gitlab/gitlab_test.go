package gitlab

import (
	"context"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/org/secure-build/internal/gitlab/gitlabtest"
	"github.com/org/secure-build/internal/secret"
)

const (
	project = "projects/team%2Fapp"
	group   = "groups/7"
)

var (
	app  = Owner{ID: "team/app"}
	team = Owner{Group: true, ID: "7"}
)

// serve starts a server with an empty project and an empty group. At the end
// the test fails if the client asked for what no GitLab has, or if a value is
// in a request but in a body that sets it.
func serve(t *testing.T, s *gitlabtest.Server) *Client {
	t.Helper()
	s.Add(project)
	s.Add(group)
	web := httptest.NewServer(s)
	t.Cleanup(func() {
		web.Close()
		for _, u := range s.Unexpected() {
			t.Errorf("unexpected request: %s", u)
		}
		checkLog(t, s.Requests())
	})
	return client(t, web.URL, gitlabtest.Token)
}

func client(t *testing.T, url, token string) *Client {
	t.Helper()
	c, err := New(Options{URL: url, Token: secret.New("gitlab_token", "test", []byte(token))})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// canary is in every value that these tests use.
const canary = "kAnArY"

func checkLog(t *testing.T, log []gitlabtest.Request) {
	t.Helper()
	for _, r := range log {
		if strings.Contains(r.Path+r.Query, canary) || !slices.Contains([]string{"POST", "PUT"}, r.Method) && strings.Contains(r.Body, canary) {
			t.Errorf("a value is in %s %s?%s", r.Method, r.Path, r.Query)
		}
		for name, values := range r.Header {
			if strings.Contains(strings.Join(values, " "), canary) {
				t.Errorf("a value is in the header %s", name)
			}
		}
		if strings.Contains(r.Path+r.Query+r.Body, gitlabtest.Token) {
			t.Errorf("the token is in %s %s", r.Method, r.Path)
		}
	}
}

// secrets makes a set of id, value pairs.
func secrets(t *testing.T, pairs ...string) secret.Set {
	t.Helper()
	var set secret.Set
	set.AddKey([]byte("the data key"))
	for i := 0; i < len(pairs); i += 2 {
		if err := set.Add(secret.New(pairs[i], "secrets.yaml#"+pairs[i], []byte(pairs[i+1]))); err != nil {
			t.Fatal(err)
		}
	}
	return set
}

// plan lists what is there and plans.
func plan(t *testing.T, c *Client, set secret.Set, o SyncOptions) []Step {
	t.Helper()
	have, err := c.List(context.Background(), o.Owner)
	if err != nil {
		t.Fatal(err)
	}
	steps, err := Plan(set, have, o)
	if err != nil {
		t.Fatal(err)
	}
	return steps
}

// apply plans and applies.
func apply(t *testing.T, c *Client, set secret.Set, o SyncOptions) ([]Step, error) {
	t.Helper()
	steps := plan(t, c, set, o)
	err := c.Apply(context.Background(), steps, o, func(Step) {})
	return steps, err
}

// mustApply applies, and shows that a second run has nothing left to do.
func mustApply(t *testing.T, c *Client, set secret.Set, o SyncOptions) []Step {
	t.Helper()
	steps, err := apply(t, c, set, o)
	if err != nil {
		t.Fatal(err)
	}
	if again := plan(t, c, set, o); Changes(again) > 0 {
		t.Errorf("a second run would change something again: %s", actions(again))
	}
	return steps
}

// actions is a plan in a few words: "create DB_PASSWORD, keep OTHER".
func actions(steps []Step) string {
	var all []string
	for _, s := range steps {
		all = append(all, string(s.Action)+" "+s.Name)
	}
	return strings.Join(all, ", ")
}

// find is the variable of a name, and of a scope if one is given.
func find(t *testing.T, s *gitlabtest.Server, owner, name string, scope ...string) gitlabtest.Variable {
	t.Helper()
	for _, v := range s.Variables(owner) {
		if v.Key == name && (len(scope) == 0 || v.EnvironmentScope == scope[0]) {
			return v
		}
	}
	t.Fatalf("there is no %s %v in %s", name, scope, owner)
	return gitlabtest.Variable{}
}

// writes counts the requests that change something.
func writes(s *gitlabtest.Server) int {
	n := 0
	for _, r := range s.Requests() {
		if r.Changes() {
			n++
		}
	}
	return n
}
