package source

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/secret"
)

// gitlabJob is a world in a job of GitLab's runner: a project folder, and the
// .tmp folder beside it in which File variables lie.
func gitlabJob(t *testing.T) *world {
	w := newWorld(t)
	w.env["GITLAB_CI"], w.env["CI_PROJECT_DIR"] = "true", filepath.Join(w.dir, "builds", "team", "app")
	w.write("builds/team/app/Dockerfile", "FROM scratch\n")
	w.write("builds/team/app.tmp/KUBECONFIG", testPEM)
	w.write("builds/team/app.tmp/sub/DEEP", "deep")
	w.write("builds/team/app.tmp/not.a-name", "odd")
	w.write("elsewhere/KUBECONFIG", "not GitLab's")
	if err := os.Symlink("KUBECONFIG", w.tmp("LINK")); err != nil {
		t.Fatal(err)
	}
	return w
}

// tmp is a path in the job's .tmp folder.
func (w *world) tmp(name string) string { return w.env["CI_PROJECT_DIR"] + ".tmp/" + name }

func (w *world) loadVariables(lines ...string) (set secret.Set, notes []string, err error) {
	w.t.Helper()
	opts := w.options()
	opts.Note = func(note string) { notes = append(notes, note) }
	var refs []Ref
	for _, line := range lines {
		ref, err := ParseVariable(line)
		if err != nil {
			return secret.Set{}, nil, err
		}
		refs = append(refs, ref)
	}
	set, err = Load(w.t.Context(), refs, opts)
	return set, notes, err
}

// TestVariables tables what a variable's secret is: its value, or the content
// of GitLab's file.
func TestVariables(t *testing.T) {
	w := gitlabJob(t)
	tests := []struct{ name, value, project, want, note string }{
		{"masked", "glpat-0123456789", "", "glpat-0123456789", ""},
		{"File variable", w.tmp("KUBECONFIG"), "", testPEM, ""},
		{"File variable by another name", w.tmp("KUBECONFIG"), "", testPEM, ""},
		{"project folder with a slash", w.tmp("KUBECONFIG"), w.env["CI_PROJECT_DIR"] + "/", testPEM, ""},
		{"path elsewhere", w.dir + "/elsewhere/KUBECONFIG", "", w.dir + "/elsewhere/KUBECONFIG", ""},
		{"path in the repository", w.env["CI_PROJECT_DIR"] + "/Dockerfile", "", w.env["CI_PROJECT_DIR"] + "/Dockerfile", ""},
		{"path below the folder", w.tmp("sub/DEEP"), "", w.tmp("sub/DEEP"), ""},
		{"path out of the folder", w.tmp("../../../elsewhere/KUBECONFIG"), "", w.tmp("../../../elsewhere/KUBECONFIG"), ""},
		{"path that is no name", w.tmp("not.a-name"), "", w.tmp("not.a-name"), ""},
		{"the folder itself", w.env["CI_PROJECT_DIR"] + ".tmp", "", w.env["CI_PROJECT_DIR"] + ".tmp", ""},
		{"relative path", "app.tmp/KUBECONFIG", "", "app.tmp/KUBECONFIG", ""},
		{"path with more after it", w.tmp("KUBECONFIG") + "\n", "", w.tmp("KUBECONFIG") + "\n", "it has several lines"},
		{"another project", w.tmp("KUBECONFIG"), w.dir + "/builds/team/other", w.tmp("KUBECONFIG"), ""},
		{"short", "1234567", "", "1234567", "it is shorter than 8 characters"},
		{"eight characters", "12345678", "", "12345678", ""},
		{"eight characters of more bytes", "käse☕123", "", "käse☕123", ""},
		{"blank", "pass word 123", "", "pass word 123", "it has white space in it"},
		{"lines", testPEM, "", testPEM, "it has several lines"},
		{"empty", "", "", "", "it is empty"},
	}
	own := w.env["CI_PROJECT_DIR"]
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			w.env["MY_SECRET"], w.env["CI_PROJECT_DIR"] = tc.value, own
			if tc.project != "" {
				w.env["CI_PROJECT_DIR"] = tc.project
			}
			set, notes, err := w.loadVariables("x=MY_SECRET")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(map[string]string{"x": tc.want}, values(set)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			got := strings.Join(notes, "\n")
			if (got != "") != (tc.note != "") || !strings.Contains(got, tc.note) {
				t.Errorf("warned %q, want %q", got, tc.note)
			}
			if tc.value != "" && strings.Contains(got, tc.value) {
				t.Errorf("the warning holds the value: %q", got)
			}
			if searched := set.Searched(); len(searched) != 2 || searched[0].Origin() != "$MY_SECRET" || searched[1].ID() != "SOPS_AGE_KEY" {
				t.Errorf("it is not searched for as $MY_SECRET: %v", searched)
			}
		})
	}
}

// TestVariablesElsewhere holds that without GitLab a path is a path, and that
// nothing is said of GitLab's masks.
func TestVariablesElsewhere(t *testing.T) {
	w := gitlabJob(t)
	w.env["SHORT"], w.env["KUBECONFIG"] = "abc", w.tmp("KUBECONFIG")
	delete(w.env, "GITLAB_CI")
	delete(w.env, "CI_PROJECT_DIR")
	set, notes, err := w.loadVariables("SHORT", "KUBECONFIG")
	if err != nil || len(notes) != 0 {
		t.Fatalf("got %v, warned %q", err, notes)
	}
	want := map[string]string{"SHORT": "abc", "KUBECONFIG": w.env["KUBECONFIG"]}
	if diff := cmp.Diff(want, values(set)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	// gitlab-ci-local has a folder of its own.
	w.write("gitlab-ci-local-file-variables-team-app-1/KUBECONFIG", "local")
	w.env["KUBECONFIG"] = w.dir + "/gitlab-ci-local-file-variables-team-app-1/KUBECONFIG"
	for gitlab, want := range map[string]string{"false": "local", "true": w.env["KUBECONFIG"]} {
		w.env["GITLAB_CI"] = gitlab
		set, _, err := w.loadVariables("KUBECONFIG")
		if got := values(set)["KUBECONFIG"]; got != want || err != nil {
			t.Errorf("GITLAB_CI=%s: got %q (%v), want %q", gitlab, got, err, want)
		}
	}
}

func TestBadVariables(t *testing.T) {
	w := gitlabJob(t)
	w.env["NPM_TOKEN"], w.env["GONE"], w.env["LINK"], w.env["FOLDER"] = "npm-token-value", w.tmp("GONE"), w.tmp("LINK"), w.tmp("sub")
	w.env["BIG"] = strings.Repeat("x", secret.MaxSize+1)
	tests := []struct {
		lines      []string
		want, hint string
	}{
		{[]string{"NPM_TOKN"}, "reading the secret NPM_TOKN: the variable NPM_TOKN is not set", "did you mean NPM_TOKEN?"},
		{[]string{"x=OTHER"}, "reading the secret x: the variable OTHER is not set", "a protected variable is there on protected branches and tags only"},
		{[]string{"GONE"}, "reading the secret GONE: the file of the File variable GONE is gone", "is that folder there in this container?"},
		{[]string{"LINK"}, "what the File variable LINK names is not a regular file", ""},
		{[]string{"FOLDER"}, "what the File variable FOLDER names is not a regular file", ""},
		{[]string{"BIG"}, "reading $BIG: 512001 bytes are more than a build secret may have", "split it"},
		{[]string{"NPM_TOKEN", "NPM_TOKEN=HOME"}, `two secrets with the id "NPM_TOKEN": $NPM_TOKEN and $HOME`, "another id"},
		{[]string{"ghp_4fKx0123456789"}, "the environment variable that is named for it is not set (its name is not shown", "write NAME or ID=NAME"},
		{[]string{"AKIAIOSFODNN7EXAMPLE"}, "its name is not shown", "write NAME or ID=NAME"},
		{[]string{"EBVKMKCTXINTZBEYVGKUQSGUIN"}, "its name is not shown", "write NAME or ID=NAME"},
		{[]string{"glpat_abcdefghijklmnopqrst"}, "its name is not shown", "write NAME or ID=NAME"},
		{[]string{"pass word"}, "parsing --variable: a name of a variable has letters, digits and _ only", "write NAME or ID=NAME"},
		{[]string{"a/b=NPM_TOKEN"}, "parsing --variable for NPM_TOKEN: the id before the = has characters that none may have", "write NAME or ID=NAME"},
		{[]string{""}, "parsing --variable: a name", "write NAME or ID=NAME"},
		{[]string{"x="}, "parsing --variable: a name", "write NAME or ID=NAME"},
		{[]string{"x=../../etc/passwd"}, "parsing --variable: a name", "write NAME or ID=NAME"},
	}
	for _, tc := range tests {
		opts := w.options()
		_, _, err := w.loadVariables(tc.lines...)
		if err == nil {
			t.Errorf("%q: no error", tc.lines)
			continue
		}
		hints := strings.Join(hint.Of(err), "\n")
		if !strings.Contains(err.Error(), tc.want) || !strings.Contains(hints, tc.hint) {
			t.Errorf("%q: got %q (hint %q), want %q (hint %q)", tc.lines, err, hints, tc.want, tc.hint)
		}
		for _, value := range []string{"npm-token-value", "ghp_4fKx", "AKIAIOSFODNN7", "EBVKM", "glpat_", "pass word", "xxxx"} {
			if strings.Contains(err.Error()+hints, value) {
				t.Errorf("%q: the error holds %q", tc.lines, value)
			}
		}
		if ref, perr := ParseVariable(tc.lines[0]); perr == nil && strings.Contains(tc.want, "not shown") {
			if names, err := Names(ref, opts); err == nil {
				t.Errorf("%q: what may be a value is listed as the name %q", tc.lines, names)
			}
		}
	}
}

// TestVariableNames holds that the contract is checked without the variables.
func TestVariableNames(t *testing.T) {
	w := newWorld(t)
	for line, want := range map[string]string{"NPM_TOKEN": "NPM_TOKEN", "kubeconfig=KUBECONFIG": "kubeconfig", "kubeconfig": "kubeconfig", "my_token_2": "my_token_2", "AWS_S3_KEY": "AWS_S3_KEY", " x=Y ": "x"} {
		ref, err := ParseVariable(line)
		if err != nil {
			t.Fatal(err)
		}
		if names, err := Names(ref, w.options()); err != nil || len(names) != 1 || names[0] != want || ref.ID() != want {
			t.Errorf("%s: got %q, %v, want %q", line, names, err, want)
		}
	}
}

func FuzzParseVariable(f *testing.F) {
	for _, s := range []string{"NPM_TOKEN", "id=NAME", "a=b=c", "=", "x=../y", " x = y ", "x=\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		ref, err := ParseVariable(line)
		if err != nil {
			return
		}
		if secret.CheckID(ref.ID()) != nil || strings.ContainsAny(ref.Env(), "/\\=\x00. ") || ref.Env() == "" {
			t.Errorf("%q: got id %q, variable %q", line, ref.ID(), ref.Env())
		}
	})
}
