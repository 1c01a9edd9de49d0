package gitlab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/org/secure-build/internal/gitlab/gitlabtest"
	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/secret"
)

func TestReplace(t *testing.T) {
	var s gitlabtest.Server
	c := serve(t, &s)
	s.Add(project, gitlabtest.Variable{Key: "X", Value: canary + "-old", Protected: true})
	set := secrets(t, "x", canary+"-new")
	o := SyncOptions{Owner: app, Adopt: []string{"X"}, Replace: true}
	steps := mustApply(t, c, set, o)
	if steps[0].Action != Replace {
		t.Errorf("got %s", steps[0].Action)
	}
	got := find(t, &s, project, "X")
	if !got.Hidden || got.Value != canary+"-new" || got.EnvironmentScope != "*" || !got.Protected || len(s.Variables(project)) != 1 {
		t.Errorf("got %+v of %d", got, len(s.Variables(project)))
	}
	// The other way round: hidden, and GitLab cannot mask the new value.
	mustApply(t, c, secrets(t, "x", pem), o)
	if got := find(t, &s, project, "X"); got.Hidden || got.Value != pem || got.VariableType != TypeFile || !got.Protected || len(s.Variables(project)) != 1 {
		t.Errorf("got %+v", got)
	}
}

// TestReplaceCutOff ends a run after each of its requests. At every moment the
// old value or the new one is in GitLab, and the next run ends the work.
func TestReplaceCutOff(t *testing.T) {
	set := secrets(t, "x", canary+"-new")
	o := SyncOptions{Owner: app, Adopt: []string{"X"}, Replace: true}
	for _, again := range []SyncOptions{o, {Owner: app, Adopt: []string{"X"}}} {
		for stop := 1; ; stop++ {
			var s gitlabtest.Server
			c := serve(t, &s)
			s.Add(project, gitlabtest.Variable{Key: "X", Value: canary + "-old"})
			n, dead := 0, false
			s.Before = func(gitlabtest.Request) *gitlabtest.Answer {
				if n++; n > stop {
					dead = true // as after a SIGKILL: nothing comes through any more
					return &gitlabtest.Answer{Status: 403}
				}
				return nil
			}
			have, _ := c.List(t.Context(), app)
			steps, err := Plan(set, have, o)
			if err != nil {
				t.Fatal(err)
			}
			err = c.Apply(t.Context(), steps, o, func(Step) {})
			if dead && err == nil {
				t.Errorf("cut off after %d requests: no error", stop)
			}
			s.Before = nil
			held := false
			for _, v := range s.Variables(project) {
				held = held || v.Value == canary+"-old" || v.Value == canary+"-new"
			}
			if !held {
				t.Errorf("cut off after %d requests: the value is lost", stop)
			}
			mustApply(t, c, set, again)
			if all := s.Variables(project); len(all) != 1 || all[0].Value != canary+"-new" || all[0].EnvironmentScope != "*" {
				t.Errorf("cut off after %d requests: the next run leaves %+v", stop, all)
			}
			if !dead {
				if stop < 6 {
					t.Errorf("a replacement took only %d requests: was it one?", stop)
				}
				break
			}
		}
	}
}

// TestReplaceOvertaken: another run ends the same work between our making the
// new variable and our deleting the old one. Theirs is not deleted.
func TestReplaceOvertaken(t *testing.T) {
	var s gitlabtest.Server
	c := serve(t, &s)
	s.Add(project, gitlabtest.Variable{Key: "X", Value: canary + "-old"})
	s.After = func(r gitlabtest.Request) {
		if r.Method != "POST" {
			return
		}
		theirs := find(t, &s, project, "X", staging+"*")
		theirs.EnvironmentScope = "*"
		s.Remove(project, "X")
		s.Add(project, theirs)
	}
	steps, err := apply(t, c, secrets(t, "x", canary+"-new"), SyncOptions{Owner: app, Adopt: []string{"X"}, Replace: true})
	if err != nil || steps[0].Action != Keep {
		t.Errorf("got %s, %v", actions(steps), err)
	}
	for _, r := range s.Requests() {
		if r.Method == "DELETE" {
			t.Errorf("it deleted %s?%s", r.Path, r.Query)
		}
	}
}

// TestCutOff ends a run in the middle; the next does what is left, and no more.
func TestCutOff(t *testing.T) {
	var s gitlabtest.Server
	c := serve(t, &s)
	var pairs []string
	for i := range 10 {
		pairs = append(pairs, fmt.Sprintf("id_%d", i), fmt.Sprintf("%s-value-%d", canary, i))
	}
	set := secrets(t, pairs...)
	o := SyncOptions{Owner: app}
	ctx, cancel := context.WithCancel(t.Context())
	s.After = func(r gitlabtest.Request) {
		if r.Changes() && len(s.Variables(project)) == 4 {
			cancel()
		}
	}
	steps := plan(t, c, set, o)
	if err := c.Apply(ctx, steps, o, func(Step) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	s.After = nil
	if n := len(s.Variables(project)); n != 4 {
		t.Fatalf("got %d variables after the cut, want 4", n)
	}
	before := writes(&s)
	mustApply(t, c, set, o)
	if n := writes(&s) - before; n != 6 || len(s.Variables(project)) != 10 {
		t.Errorf("got %d writes and %d variables, want 6 and 10", n, len(s.Variables(project)))
	}
}

// TestLostAnswers: GitLab has done it, and the answer does not come through.
func TestLostAnswers(t *testing.T) {
	old := secrets(t, "updated", canary+"-old", "gone", canary+"-gone")
	set := secrets(t, "updated", canary+"-new", "made", canary+"-made")
	o := SyncOptions{Owner: app, Prune: true}
	var s gitlabtest.Server
	c := serve(t, &s)
	mustApply(t, c, old, o)
	var lost sync.Map // the client goes on before the server's goroutine has ended
	s.After = func(r gitlabtest.Request) {
		if _, was := lost.LoadOrStore(r.Method, true); r.Changes() && !was {
			panic(http.ErrAbortHandler) // the server hangs up
		}
	}
	for range 3 {
		_, _ = apply(t, c, set, o)
	}
	for _, method := range []string{"POST", "PUT", "DELETE"} {
		if _, was := lost.Load(method); !was {
			t.Errorf("no answer to a %s was lost", method)
		}
	}
	if steps := plan(t, c, set, o); Changes(steps) > 0 || len(s.Variables(project)) != 2 {
		t.Errorf("after three runs with lost answers: %s", actions(steps))
	}
}

// TestTwoAtOnce lets several runs replace, create, update and delete the same
// variables. Whatever happens, the end is what the files say.
func TestTwoAtOnce(t *testing.T) {
	for round := range 15 {
		var s gitlabtest.Server
		c := serve(t, &s)
		mustApply(t, c, secrets(t, "updated", canary+"-old", "gone", canary+"-gone"), SyncOptions{Owner: app})
		s.Add(project, gitlabtest.Variable{Key: "REPLACED", Value: canary + "-by-hand"})
		set := secrets(t, "updated", canary+"-new", "made", canary+"-made", "replaced", canary+"-replaced", "file", pem)
		o := SyncOptions{Owner: app, Prune: true, Replace: true, Adopt: []string{"REPLACED"}}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				have, err := c.List(context.Background(), app)
				if err != nil {
					t.Error(err)
					return
				}
				steps, err := Plan(set, have, o)
				if err == nil {
					err = c.Apply(context.Background(), steps, o, func(Step) {})
				}
				if err != nil {
					t.Errorf("round %d: %v", round, err)
				}
			})
		}
		wg.Wait()
		want := map[string]string{"UPDATED": canary + "-new", "MADE": canary + "-made", "REPLACED": canary + "-replaced", "FILE": pem}
		for name, value := range want {
			if got := find(t, &s, project, name, "*"); got.Value != value || (name != "FILE") != got.Hidden {
				t.Errorf("round %d: %s: got %+v", round, name, got)
			}
		}
		mustApply(t, c, set, o) // a leftover of the race, if any
		if n := len(s.Variables(project)); n != len(want) {
			t.Errorf("round %d: got %d variables, want %d", round, n, len(want))
		}
	}
}

// TestGroupWithoutScopes holds that a value is not left where everybody gets it
// because GitLab has dropped the scope.
func TestGroupWithoutScopes(t *testing.T) {
	s := gitlabtest.Server{FreeGroups: true}
	c := serve(t, &s)
	set := secrets(t, "x", canary+"12345")
	_, err := apply(t, c, set, SyncOptions{Owner: team, Scope: "production"})
	if !errors.Is(err, errUnlike) || !strings.Contains(strings.Join(hint.Of(err), " "), "Premium") {
		t.Errorf("got %v %q", err, hint.Of(err))
	}
	if all := s.Variables(group); len(all) != 0 {
		t.Errorf("it left %+v", all)
	}
	// Replacing needs a scope too; the old one is left in peace.
	s.Add(group, gitlabtest.Variable{Key: "X", Value: canary + "-old"})
	_, err = apply(t, c, set, SyncOptions{Owner: team, Replace: true, Adopt: []string{"X"}})
	if !errors.Is(err, errUnlike) {
		t.Errorf("got %v", err)
	}
	if all := s.Variables(group); len(all) != 1 || all[0].Value != canary+"-old" {
		t.Errorf("it left %+v", all)
	}
	mustApply(t, c, set, SyncOptions{Owner: team, Adopt: []string{"X"}})
	if got := find(t, &s, group, "X"); got.Value != canary+"12345" || !got.Masked {
		t.Errorf("got %+v", got)
	}
}

func TestGitLabWithoutHidden(t *testing.T) {
	s := gitlabtest.Server{NoHidden: true}
	c := serve(t, &s)
	set := secrets(t, "x", canary+"12345")
	mustApply(t, c, set, SyncOptions{Owner: app})
	if got := find(t, &s, project, "X"); !got.Masked || got.Hidden {
		t.Errorf("got %+v", got)
	}
	if _, err := apply(t, c, set, SyncOptions{Owner: app, Replace: true}); !errors.Is(err, errUnlike) {
		t.Errorf("--replace: got %v", err)
	}
	if all := s.Variables(project); len(all) != 1 || all[0].EnvironmentScope != "*" {
		t.Errorf("it left %+v", all)
	}
}

// TestGoesOnAfterARefusal: what GitLab refuses of one variable is no reason to
// leave the others.
func TestGoesOnAfterARefusal(t *testing.T) {
	s := gitlabtest.Server{Limit: 2}
	c := serve(t, &s)
	s.Add(project, gitlabtest.Variable{Key: "Z", Value: "1"})
	mustApply(t, c, secrets(t, "c", canary+"-c-old"), SyncOptions{Owner: app})
	steps, err := apply(t, c, secrets(t, "a", canary+"-a-new", "b", canary+"-b-new", "c", canary+"-c-new"), SyncOptions{Owner: app})
	if err == nil || !strings.Contains(err.Error(), "Maximum number") || !strings.Contains(strings.Join(hint.Of(err), " "), "8,000") {
		t.Errorf("got %v", err)
	}
	if steps[0].Done || steps[1].Done || !steps[2].Done || steps[0].Error == "" {
		t.Errorf("got %+v", steps)
	}
	if got := find(t, &s, project, "C").Value; got != canary+"-c-new" {
		t.Errorf("the one that could be set is %q", got)
	}
}

// TestConverges is a property: from any state of the server and any set of
// secrets, a run leads to a state in which a second one has nothing to do,
// whatever is not ours is as it was, and every secret that was not refused is
// there by its value.
func TestConverges(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var values []string
	for i := range 4 {
		values = append(values, fmt.Sprintf("%s-%d", canary, i), fmt.Sprintf("%s %d x", canary, i))
	}
	values = append(values, pem, "", "short", `{"a": "`+canary+`"}`, "\xff\xfe"+canary, "p$a&s"+canary)
	names := []string{"a", "b", "c", "d", "e"}
	some := func(of []string) (out []string) {
		for _, x := range of {
			if r.IntN(3) == 0 {
				out = append(out, x)
			}
		}
		return out
	}
	upper := func(all []string) []string { return strings.Fields(strings.ToUpper(strings.Join(all, " "))) }
	options := func(set secret.Set) SyncOptions {
		ids := set.IDs()
		return SyncOptions{Owner: []Owner{app, team}[r.IntN(2)], Scope: []string{"*", "production"}[r.IntN(2)], Protected: r.IntN(2) == 0, By: []string{"", "other"}[r.IntN(2)],
			Replace: r.IntN(2) == 0, Prune: r.IntN(2) == 0, Adopt: upper(some(names)), Base64: some(ids), File: some(ids), Unmasked: some(ids)}
	}
	draw := func() secret.Set {
		var pairs []string
		for _, n := range names {
			if r.IntN(4) > 0 {
				pairs = append(pairs, n, values[r.IntN(len(values))])
			}
		}
		return secrets(t, pairs...)
	}
	for range 60 {
		var s gitlabtest.Server
		c := serve(t, &s)
		for _, n := range upper(some(append(names, "x", "y"))) {
			foreign := gitlabtest.Variable{Key: n, Value: values[0], Masked: r.IntN(2) == 0}
			foreign.Hidden = foreign.Masked && r.IntN(2) == 0
			s.Add([]string{project, group}[r.IntN(2)], foreign)
		}
		for range 4 {
			set := draw()
			o := options(set)
			path := map[Owner]string{app: project, team: group}[o.Owner]
			theirs := map[string]gitlabtest.Variable{}
			for _, v := range s.Variables(path) {
				m, ok := parseMark(v.Description)
				if adopted := strings.Contains(" "+strings.Join(o.Adopt, " ")+" ", " "+v.Key+" ") && v.EnvironmentScope == o.Scope; !adopted && (!ok || m.by != o.By) {
					theirs[v.Key+" "+v.EnvironmentScope] = v
				}
			}
			steps := mustApply(t, c, set, o)
			for _, v := range s.Variables(path) {
				if old, ok := theirs[v.Key+" "+v.EnvironmentScope]; ok && old != v {
					t.Fatalf("%+v was changed to %+v by %+v", old, v, o)
				}
				delete(theirs, v.Key+" "+v.EnvironmentScope)
			}
			if len(theirs) > 0 {
				t.Fatalf("%+v is gone by %+v", theirs, o)
			}
			for _, step := range steps {
				if step.wish == nil || step.Action == Refuse {
					continue
				}
				if got := find(t, &s, path, step.Name, step.Scope); got.Value != plain(step.wish.value) {
					t.Fatalf("%s: got %q by %+v", step.Name, got.Value, o)
				}
			}
		}
	}
}

// TestManyVariables: all 8,000 that a project may have, by pages of 100.
func TestManyVariables(t *testing.T) {
	var s gitlabtest.Server
	c := serve(t, &s)
	var all []gitlabtest.Variable
	for i := range 7999 {
		all = append(all, gitlabtest.Variable{Key: fmt.Sprintf("OTHER_%d", i), Value: "x"})
	}
	s.Add(project, all...)
	mustApply(t, c, secrets(t, "x", canary+"12345"), SyncOptions{Owner: app, Prune: true})
	pages := 0
	for _, r := range s.Requests() {
		if strings.HasSuffix(r.Path, "/variables") && r.Method == "GET" {
			pages++
			if !strings.Contains(r.Query, "per_page=100") {
				t.Errorf("got %s, want pages of 100", r.Query)
			}
		}
	}
	if n := len(s.Variables(project)); n != 8000 || pages != 160 {
		t.Errorf("got %d variables by %d pages, want 8000 by 160", n, pages)
	}
	_, err := apply(t, c, secrets(t, "x", canary+"12345", "y", canary+"12345"), SyncOptions{Owner: app})
	if err == nil || !strings.Contains(err.Error(), "Maximum number") {
		t.Errorf("one too many: got %v", err)
	}
	r, err := c.Audit(t.Context(), AuditOptions{Owners: []Owner{app}, Set: secrets(t, "x", canary+"12345")})
	if err != nil || len(r.Variables) != 8000 || r.Secrets[0].State != Same {
		t.Errorf("audit: got %d variables, %v", len(r.Variables), err)
	}
}

func TestNewRefuses(t *testing.T) {
	token := secret.New("t", "test", []byte("x"))
	for _, url := range []string{"", "gitlab.example.com", "http://gitlab.example.com", "ftp://x", "https://user:pw@x", "https://x?y", "https://", "http://127.0.0.1.example.com"} {
		if _, err := New(Options{URL: url, Token: token}); err == nil {
			t.Errorf("%q: want an error", url)
		}
	}
	for _, url := range []string{"https://gitlab.example.com", "https://gitlab.example.com/api/v4", "http://127.0.0.1:80", "http://localhost"} {
		if _, err := New(Options{URL: url, Token: token}); err != nil {
			t.Errorf("%q: %v", url, err)
		}
	}
	if _, err := New(Options{URL: "https://x"}); err == nil {
		t.Error("no token: want an error")
	}
}
