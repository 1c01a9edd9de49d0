package gitlab

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/org/secure-build/internal/gitlab/gitlabtest"
	"github.com/org/secure-build/internal/hint"
)

const pem = "-----BEGIN PRIVATE KEY-----\n" + canary + "AAAAAAAA\n-----END PRIVATE KEY-----\n"

func TestCreate(t *testing.T) {
	for _, tt := range []struct {
		name, value string
		options     SyncOptions
		want        gitlabtest.Variable // Key and description are not compared
		note        string              // part of what is said about it; "" if nothing is
	}{
		{"plain", "s3cr3t-" + canary, SyncOptions{}, gitlabtest.Variable{Value: "s3cr3t-" + canary, VariableType: "env_var", Masked: true, Hidden: true, Raw: true, EnvironmentScope: "*"}, ""},
		{"with odd characters", `p$a"s&` + canary, SyncOptions{}, gitlabtest.Variable{Value: `p$a"s&` + canary, VariableType: "env_var", Masked: true, Hidden: true, Raw: true, EnvironmentScope: "*"}, ""},
		{"a YAML number", "1234567890\n", SyncOptions{}, gitlabtest.Variable{Value: "1234567890", VariableType: "env_var", Masked: true, Hidden: true, Raw: true, EnvironmentScope: "*"}, ""},
		{"PEM", pem, SyncOptions{}, gitlabtest.Variable{Value: pem, VariableType: "file", Raw: true, EnvironmentScope: "*"}, "PEM; GitLab cannot mask it: it has a line break"},
		{"PEM as base64", pem, SyncOptions{Base64: []string{"x"}}, gitlabtest.Variable{Value: base64.StdEncoding.EncodeToString([]byte(pem)), VariableType: "env_var", Masked: true, Hidden: true, Raw: true, EnvironmentScope: "*"}, "stored as base64"},
		{"JSON", `{"key":"` + canary + `"}`, SyncOptions{}, gitlabtest.Variable{Value: `{"key":"` + canary + `"}`, VariableType: "file", Masked: true, Hidden: true, Raw: true, EnvironmentScope: "*"}, ""},
		{"JSON with spaces", `{"key": "` + canary + `"}`, SyncOptions{}, gitlabtest.Variable{Value: `{"key": "` + canary + `"}`, VariableType: "file", Raw: true, EnvironmentScope: "*"}, "JSON; GitLab cannot mask it: it has white space"},
		{"lines", "a " + canary + "\nb", SyncOptions{}, gitlabtest.Variable{Value: "a " + canary + "\nb", VariableType: "file", Raw: true, EnvironmentScope: "*"}, "several lines"},
		{"as a file", "two words " + canary, SyncOptions{File: []string{"x"}}, gitlabtest.Variable{Value: "two words " + canary, VariableType: "file", Raw: true, EnvironmentScope: "*"}, "it has white space"},
		{"in the open", "two words " + canary, SyncOptions{Unmasked: []string{"x"}}, gitlabtest.Variable{Value: "two words " + canary, VariableType: "env_var", Raw: true, EnvironmentScope: "*"}, "log may show it"},
		{"bytes", "\xff\x00" + canary, SyncOptions{Base64: []string{"x"}}, gitlabtest.Variable{Value: base64.StdEncoding.EncodeToString([]byte("\xff\x00" + canary)), VariableType: "env_var", Masked: true, Hidden: true, Raw: true, EnvironmentScope: "*"}, "stored as base64"},
		{"protected, in a scope", canary + "12345", SyncOptions{Protected: true, Scope: "review/*"}, gitlabtest.Variable{Value: canary + "12345", VariableType: "env_var", Masked: true, Hidden: true, Raw: true, Protected: true, EnvironmentScope: "review/*"}, ""},
		{"in a group", canary + "12345", SyncOptions{Owner: team, Scope: "production"}, gitlabtest.Variable{Value: canary + "12345", VariableType: "env_var", Masked: true, Hidden: true, Raw: true, EnvironmentScope: "production"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var s gitlabtest.Server
			c := serve(t, &s)
			owner := project
			if tt.options.Owner == (Owner{}) {
				tt.options.Owner = app
			} else {
				owner = group
			}
			steps := mustApply(t, c, secrets(t, "x", tt.value), tt.options)
			got := find(t, &s, owner, "X")
			if m, ok := parseMark(got.Description); !ok || m.origin != "secrets.yaml#x" {
				t.Errorf("description: got %q", got.Description)
			}
			got.Key, got.Description = "", ""
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if note := steps[0].Note; !strings.Contains(note, tt.note) || tt.note == "" && note != "" {
				t.Errorf("note: got %q, want %q", note, tt.note)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	for _, tt := range []struct{ id, value, want string }{
		{"x", "two words " + canary, "it has white space. Store it as one word with --as-base64 x, as a file with --as-file x"},
		{"x", "short", "it has fewer than 8 characters. Make it longer"},
		{"x", "", "it has fewer than 8 characters"},
		{"x", "\xff" + canary, "it is not text, which a variable has to be: --as-base64 x"},
		{"path", canary + "12345", "a variable PATH would change how jobs run"},
		{"ci.job", canary + "12345", "a variable CI_JOB would change"},
		{"git.ssh-command", canary + "12345", "a variable GIT_SSH_COMMAND would change"},
		{"docker_host", canary + "12345", "a variable DOCKER_HOST would change"},
		{"1st", canary + "12345", "1ST is no name for a variable"},
	} {
		var s gitlabtest.Server
		c := serve(t, &s)
		steps, err := apply(t, c, secrets(t, tt.id, tt.value), SyncOptions{Owner: app})
		if err != nil || steps[0].Action != Refuse || !strings.Contains(steps[0].Note, tt.want) {
			t.Errorf("%s: got %s, %q, %v; want it refused: %s", tt.id, steps[0].Action, steps[0].Note, err, tt.want)
		}
		if n := writes(&s); n > 0 {
			t.Errorf("%s: %d writes", tt.id, n)
		}
	}
}

// TestOrdinaryNames are names that only begin like special ones.
func TestOrdinaryNames(t *testing.T) {
	steps, err := Plan(secrets(t, "docker.password", canary+"12345", "git_token", canary+"12345", "gitlab_token", canary+"12345", "path_to", canary+"12345", "cidr", canary+"12345"), nil, SyncOptions{Owner: app})
	if err != nil || Refused(steps) > 0 {
		t.Errorf("got %s, %v", actions(steps), err)
	}
	steps, err = Plan(secrets(t, "x", canary+"12345"), nil, SyncOptions{Owner: app, Names: map[string]string{"x": "DOCKER_AUTH_CONFIG"}})
	if got := actions(steps); err != nil || got != "create DOCKER_AUTH_CONFIG" {
		t.Errorf("asked for by name: got %s, %v", got, err)
	}
}

func TestUpdate(t *testing.T) {
	o := SyncOptions{Owner: app}
	for _, tt := range []struct {
		name, before, after string
		options             SyncOptions
		want                string
	}{
		{"nothing", canary + "11111", canary + "11111", o, "keep"},
		{"a hidden value", canary + "11111", canary + "22222", o, "update value description"},
		{"a file", pem, strings.Replace(pem, "A", "B", 1), o, "update value description"},
		{"protected", canary + "11111", canary + "11111", SyncOptions{Owner: app, Protected: true}, "update protected"},
		{"hidden, and now a file", canary + "11111", pem, o, "refuse"},
		{"a file, and now a word", pem, canary + "11111", o, "update value type masked description"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var s gitlabtest.Server
			c := serve(t, &s)
			mustApply(t, c, secrets(t, "x", tt.before), o)
			steps := mustApply(t, c, secrets(t, "x", tt.after), tt.options)
			got := strings.TrimSpace(string(steps[0].Action) + " " + strings.Join(steps[0].Changes, " "))
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			want := tt.after
			if tt.want == "refuse" {
				want = tt.before
			}
			if got := find(t, &s, project, "X").Value; got != want {
				t.Errorf("value: got %q, want %q", got, want)
			}
		})
	}
}

// TestNeverUnprotects holds that --protected is not taken back by a run without.
func TestNeverUnprotects(t *testing.T) {
	var s gitlabtest.Server
	c := serve(t, &s)
	mustApply(t, c, secrets(t, "x", canary+"11111"), SyncOptions{Owner: app, Protected: true})
	mustApply(t, c, secrets(t, "x", canary+"22222"), SyncOptions{Owner: app})
	if got := find(t, &s, project, "X"); !got.Protected {
		t.Errorf("got %+v, want it protected still", got)
	}
}

func TestForeignIsNotTouched(t *testing.T) {
	foreign := gitlabtest.Variable{Key: "X", Value: canary + "-theirs", Description: "made by hand"}
	set := secrets(t, "x", canary+"-mine", "y", canary+"-other")
	var s gitlabtest.Server
	c := serve(t, &s)
	s.Add(project, foreign, gitlabtest.Variable{Key: "Z", Value: canary})
	steps := mustApply(t, c, set, SyncOptions{Owner: app, Prune: true, Replace: true})
	if got := actions(steps); got != "refuse X, create Y" || !strings.Contains(steps[0].Note, "--adopt X") {
		t.Errorf("got %s: %s", got, steps[0].Note)
	}
	if got := find(t, &s, project, "X"); got.Value != foreign.Value || got.Masked || got.Description != foreign.Description {
		t.Errorf("got %+v, want it as it was", got)
	}
	find(t, &s, project, "Z")

	// By name it is.
	steps = mustApply(t, c, set, SyncOptions{Owner: app, Adopt: []string{"X"}})
	if got := find(t, &s, project, "X"); got.Value != canary+"-mine" || !got.Masked || got.Hidden {
		t.Errorf("got %+v", got)
	}
	if !strings.Contains(steps[0].Note, "--replace") {
		t.Errorf("note: got %q, want that it is not hidden", steps[0].Note)
	}
}

func TestPrune(t *testing.T) {
	var s gitlabtest.Server
	c := serve(t, &s)
	both := secrets(t, "x", canary+"-1-x", "y", canary+"-1-y")
	mustApply(t, c, both, SyncOptions{Owner: app})
	mustApply(t, c, both, SyncOptions{Owner: app, Scope: "staging"})
	mustApply(t, c, secrets(t, "z", canary+"-1-z"), SyncOptions{Owner: app, By: "other"})
	one := secrets(t, "x", canary+"-1-x")
	steps := plan(t, c, one, SyncOptions{Owner: app})
	if got := actions(steps); got != "keep X, keep Y" || !strings.Contains(steps[1].Note, "--prune") {
		t.Errorf("without --prune: got %s", got)
	}
	steps = mustApply(t, c, one, SyncOptions{Owner: app, Prune: true})
	if got := actions(steps); got != "keep X, delete Y" {
		t.Errorf("got %s", got)
	}
	find(t, &s, project, "Y", "staging") // another scope's sync
	find(t, &s, project, "Z")            // another owner's
	if got := len(s.Variables(project)); got != 4 {
		t.Errorf("got %d variables, want 4", got)
	}
}

// TestPruneLooksAgain deletes nothing that somebody has taken over meanwhile.
func TestPruneLooksAgain(t *testing.T) {
	var s gitlabtest.Server
	c := serve(t, &s)
	o := SyncOptions{Owner: app, Prune: true}
	mustApply(t, c, secrets(t, "x", canary+"-1-x", "y", canary+"-1-y"), o)
	steps := plan(t, c, secrets(t, "x", canary+"-1-x"), o)
	s.Remove(project, "Y")
	s.Add(project, gitlabtest.Variable{Key: "Y", Value: canary + "-by-hand"})
	if err := c.Apply(t.Context(), steps, o, func(Step) {}); err != nil {
		t.Error(err)
	}
	if got := find(t, &s, project, "Y").Value; got != canary+"-by-hand" || steps[1].Action != Refuse {
		t.Errorf("got %q, %s", got, steps[1].Action)
	}
}

// TestCreateLooksAgain: what a list has missed, or somebody made meanwhile, is
// theirs all the same.
func TestCreateLooksAgain(t *testing.T) {
	var s gitlabtest.Server
	c := serve(t, &s)
	o := SyncOptions{Owner: app, Replace: true}
	steps := plan(t, c, secrets(t, "x", canary+"-1-x"), o)
	s.Add(project, gitlabtest.Variable{Key: "X", Value: canary + "-by-hand"})
	if err := c.Apply(t.Context(), steps, o, func(Step) {}); err != nil {
		t.Error(err)
	}
	if got := find(t, &s, project, "X").Value; got != canary+"-by-hand" || steps[0].Action != Refuse || steps[0].Done || Refused(steps) != 1 {
		t.Errorf("got %q, %+v", got, steps)
	}
}

func TestBadOptions(t *testing.T) {
	set := secrets(t, "db.password", canary+"12345", "db_password", canary+"67890")
	for _, tt := range []struct {
		options     SyncOptions
		want, hints string
	}{
		{SyncOptions{}, "two secrets for the variable DB_PASSWORD: secrets.yaml#db.password and secrets.yaml#db_password", "--name db_password=NAME"},
		{SyncOptions{Base64: []string{"db_pasword"}}, `no source gives the secret "db_pasword"`, "did you mean db_password?"},
		{SyncOptions{Scope: "a\nb"}, "it is no environment", "review/*"},
		{SyncOptions{Scope: staging + "x"}, "sync itself uses such scopes", ""},
		{SyncOptions{By: "a)b"}, "reading --owner", ""},
		{SyncOptions{By: strings.Repeat("a", 65)}, "reading --owner", ""},
		{SyncOptions{Scope: strings.Repeat("a", 201)}, "it is no environment", ""},
		{SyncOptions{Adopt: []string{strings.Repeat("A", 256)}}, "no name of a variable", ""},
		{SyncOptions{Adopt: []string{"a-b"}}, "no name of a variable", "DB_PASSWORD"},
	} {
		_, err := Plan(set, nil, tt.options)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(strings.Join(hint.Of(err), " "), tt.hints) {
			t.Errorf("got %v %q, want %s, %s", err, hint.Of(err), tt.want, tt.hints)
		}
	}
	steps, err := Plan(set, nil, SyncOptions{Names: map[string]string{"db_password": "OTHER"}})
	if got := actions(steps); err != nil || got != "create DB_PASSWORD, create OTHER" {
		t.Errorf("got %s, %v", got, err)
	}
}

// TestPlanHoldsNoValue prints a plan in the ways in which Go prints.
func TestPlanHoldsNoValue(t *testing.T) {
	have := []Variable{{Name: "X", Scope: "*", description: mark{"", "secrets.yaml#x", ""}.String()}}
	steps, err := Plan(secrets(t, "x", canary+"12345", "y", pem), have, SyncOptions{Owner: app})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := Steps(&b, steps); err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{fmt.Sprintf("%v %+v %#v", steps, steps, steps), b.String()} {
		if strings.Contains(out, canary) || strings.Contains(out, fmt.Sprintf("%x", canary)) {
			t.Errorf("a value is in %s", out)
		}
	}
}
