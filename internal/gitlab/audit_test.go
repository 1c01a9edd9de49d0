package gitlab

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/gitlab/gitlabtest"
)

// audit judges the variables of the project, with X as a secret by its name.
func audit(t *testing.T, s *gitlabtest.Server, o AuditOptions) Report {
	t.Helper()
	c := serve(t, s)
	if o.Owners == nil {
		o.Owners = []Owner{app}
	}
	o.Looks = func(name, _ string) (string, bool) { return "by its name", name == "X" }
	r, err := c.Audit(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// rulesOf are the rules and severities of a row: "error not-masked".
func rulesOf(r Row) string {
	var all []string
	for _, f := range r.Findings {
		all = append(all, string(f.Severity)+" "+f.Rule)
	}
	return strings.Join(all, ", ")
}

func TestJudge(t *testing.T) {
	const open = "warning not-protected"
	for _, tt := range []struct {
		name     string
		variable gitlabtest.Variable
		want     string
	}{
		{"no secret", gitlabtest.Variable{Key: "LOG_LEVEL", Value: "debug $X"}, ""},
		{"as it should be", gitlabtest.Variable{Key: "X", Value: canary + "12345", Masked: true, Hidden: true, Protected: true, Raw: true}, "note hidden"},
		{"masked", gitlabtest.Variable{Key: "ANY", Value: canary + "12345", Masked: true, Protected: true}, ""},
		{"open", gitlabtest.Variable{Key: "X", Value: canary + "12345"}, "error not-masked, " + open},
		{"could be masked if raw", gitlabtest.Variable{Key: "X", Value: canary + "&12345", Protected: true}, "error not-masked"},
		{"cannot be masked", gitlabtest.Variable{Key: "X", Value: canary + " 12345", Protected: true}, "error not-maskable"},
		{"too short", gitlabtest.Variable{Key: "X", Value: "12", Protected: true}, "error not-maskable"},
		{"expanded", gitlabtest.Variable{Key: "X", Value: canary + "$HOME", Protected: true}, "error not-masked, warning expanded"},
		{"not expanded", gitlabtest.Variable{Key: "X", Value: canary + "$HOME", Masked: true, Protected: true, Raw: true}, ""},
		{"PEM", gitlabtest.Variable{Key: "ANY", Value: pem, VariableType: "file", Protected: true}, "note not-maskable"},
		{"PEM in the open", gitlabtest.Variable{Key: "ANY", Value: pem, Protected: true}, "error not-maskable"},
		{"masked file", gitlabtest.Variable{Key: "ANY", Value: canary + "12345", VariableType: "file", Masked: true, Protected: true}, "note masked-file"},
		{"file that could be masked", gitlabtest.Variable{Key: "X", Value: canary + "12345", VariableType: "file", Protected: true}, "error not-masked"},
		{"not protected", gitlabtest.Variable{Key: "X", Value: canary + "12345", Masked: true}, open},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var s gitlabtest.Server
			s.Add(project, tt.variable)
			r := audit(t, &s, AuditOptions{})
			if got := rulesOf(r.Variables[0]); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestEveryBranchProtected(t *testing.T) {
	s := gitlabtest.Server{AllBranches: true}
	s.Add(project, gitlabtest.Variable{Key: "X", Value: canary + "12345", Masked: true})
	if r := audit(t, &s, AuditOptions{}); rulesOf(r.Variables[0]) != "note not-protected" || r.Warnings != 0 {
		t.Errorf("got %s", rulesOf(r.Variables[0]))
	}
}

func TestScopes(t *testing.T) {
	var s gitlabtest.Server
	s.Add(project,
		gitlabtest.Variable{Key: "DB", Value: canary + "12345", Masked: true, Protected: true, EnvironmentScope: "production"},
		gitlabtest.Variable{Key: "DB", Value: canary + "67890", EnvironmentScope: "review/*"})
	s.Add(group, gitlabtest.Variable{Key: "DB", Value: canary + "00000", Masked: true, Protected: true})
	r := audit(t, &s, AuditOptions{Owners: []Owner{app, team}})
	want := []string{"note scopes, note scopes", "error not-masked, warning not-protected, warning scopes, note scopes, note scopes", ""}
	for i, row := range r.Variables {
		if got := rulesOf(row); got != want[i] {
			t.Errorf("%s %s: got %q, want %q", row.Scope, row.Owner, got, want[i])
		}
	}
}

func TestCompare(t *testing.T) {
	var s gitlabtest.Server
	c := serve(t, &s)
	mustApply(t, c, secrets(t, "same_hidden", canary+"-1-1", "differs_hidden", canary+"-2-2"), SyncOptions{Owner: app})
	s.Add(project,
		gitlabtest.Variable{Key: "SAME", Value: canary + "-3-3", Masked: true, Protected: true},
		gitlabtest.Variable{Key: "ENCODED", Value: base64.StdEncoding.EncodeToString([]byte(pem)), Masked: true, Protected: true},
		gitlabtest.Variable{Key: "DIFFERS", Value: canary + "-old", Masked: true, Protected: true},
		gitlabtest.Variable{Key: "SCOPED", Value: canary + "-5-5", EnvironmentScope: "a"},
		gitlabtest.Variable{Key: "SCOPED", Value: canary + "-6-6", EnvironmentScope: "b"},
		gitlabtest.Variable{Key: "BY_HAND", Value: canary + "-7-7", Masked: true, Hidden: true},
		gitlabtest.Variable{Key: "COPY", Value: canary + "-3-3"},
		gitlabtest.Variable{Key: "PORT", Value: "5432"},
		gitlabtest.Variable{Key: "RENAMED", Value: canary + "-8-8", Masked: true, Protected: true})
	set := secrets(t, "same_hidden", canary+"-1-1", "differs_hidden", canary+"-changed", "same", canary+"-3-3\n", "encoded", pem, "differs", canary+"-4-4",
		"scoped", canary+"-5-5", "by_hand", canary+"-7-7", "missing", canary+"-9-9", "db.port", "5432", "other", canary+"-8-8")
	r, err := c.Audit(t.Context(), AuditOptions{Owners: []Owner{app}, Set: set, Names: map[string]string{"other": "RENAMED"}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range r.Secrets {
		got = append(got, strings.Join([]string{l.Secret, l.Variable, l.Scope, l.State}, " "))
	}
	want := []string{
		"same_hidden SAME_HIDDEN * same", "differs_hidden DIFFERS_HIDDEN * differs", "same SAME * same", "same COPY * same value", "encoded ENCODED * same",
		"differs DIFFERS * differs", "scoped SCOPED a same", "scoped SCOPED b differs", "by_hand BY_HAND * unknown", "missing MISSING  missing",
		"db.port DB_PORT  missing", "other RENAMED * same",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, row := range r.Variables {
		differs := slices.ContainsFunc(row.Findings, func(f Finding) bool { return f.Rule == RuleDiffers && f.Severity == finding.Warning })
		if want := row.Name == "DIFFERS" || row.Name == "DIFFERS_HIDDEN" || row.Name == "SCOPED" && row.Scope == "b"; differs != want {
			t.Errorf("%s %s: differs is %v", row.Name, row.Scope, differs)
		}
		if (row.Secret == "") != (row.Name == "PORT") {
			t.Errorf("%s: taken for a secret: %q", row.Name, row.Secret)
		}
	}
	var b strings.Builder
	asJSON, err := json.Marshal(r)
	if err != nil || r.Table(&b) != nil {
		t.Fatal(err)
	}
	if all := b.String() + string(asJSON) + fmt.Sprintf("%+v %#v", r, r); strings.Contains(all, canary) {
		t.Error("a value is in the report")
	}
}

// TestOtherKey: a code by another file's key is no sign that a value differs.
func TestOtherKey(t *testing.T) {
	var s gitlabtest.Server
	c := serve(t, &s)
	set := secrets(t, "x", canary+"-1-1")
	mustApply(t, c, set, SyncOptions{Owner: app})
	set.AddKey([]byte("a second file"))
	r, err := c.Audit(t.Context(), AuditOptions{Owners: []Owner{app}, Set: set})
	if err != nil || r.Secrets[0].State != Unknown {
		t.Errorf("got %+v, %v", r.Secrets, err)
	}
	// sync sets it once, and then knows it.
	steps := mustApply(t, c, set, SyncOptions{Owner: app})
	if got := strings.Join(steps[0].Changes, " "); got != "value description" {
		t.Errorf("got %s", got)
	}
}

// TestAuditWritesNothing holds that it only asks.
func TestAuditWritesNothing(t *testing.T) {
	var s gitlabtest.Server
	s.Add(project, gitlabtest.Variable{Key: "X", Value: canary + "12345"})
	audit(t, &s, AuditOptions{Set: secrets(t, "x", canary+"54321")})
	if n := writes(&s); n > 0 {
		t.Errorf("%d requests that write", n)
	}
}
