package securebuild_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/org/secure-build/internal/config"
	"go.yaml.in/yaml/v3"
)

// An actionFile is action.yml, as far as the tests look at it.
type actionFile struct {
	Inputs map[string]struct {
		Description string
		Default     *string
		Required    bool
	}
	Outputs map[string]struct{ Description, Value string }
	Runs    struct {
		Using string
		Steps []actionStep
	}
}

type actionStep struct {
	ID, If, Shell, Run, Uses string
	With, Env                map[string]string
}

func readAction(t testing.TB) actionFile {
	t.Helper()
	text, err := os.ReadFile("action.yml")
	if err != nil {
		t.Fatal(err)
	}
	var a actionFile
	if err := yaml.Unmarshal(text, &a); err != nil {
		t.Fatal(err)
	}
	return a
}

// build is the step that runs the program.
func (a actionFile) build(t testing.TB) actionStep {
	t.Helper()
	i := slices.IndexFunc(a.Runs.Steps, func(s actionStep) bool { return s.ID == "build" })
	if i < 0 {
		t.Fatal("action.yml has no step build")
	}
	return a.Runs.Steps[i]
}

// The 33 inputs and 3 outputs of docker/build-push-action v7: those of its
// action.yml at commit 0259cb088b9283926c6ffe4374b2a06a25c8c131, of v6, which is
// the newest that was read. From there to v7.4.0 (September 2026) no release's
// notes list an input that was added, renamed or taken away: v6.19 gives the
// token to GitHub's host only, v7.0.0 needs Node 24 and drops two variables of the
// environment, v7.1.0 knows the query format of git contexts, v7.4.0 prints the
// metadata safely; the rest there, v7.2.0 and v7.3.0 as a whole, is about its
// own build and dependencies. (The last input that was added, call, heads the notes of v6.10.0.)
// Somebody else's listing of v7's own file, with using: node24, has these very names.
var (
	buildPushInputs = strings.Fields(`add-hosts allow annotations attests build-args build-contexts builder cache-from
		cache-to call cgroup-parent context file labels load network no-cache no-cache-filters outputs platforms provenance
		pull push sbom secrets secret-envs secret-files shm-size ssh tags target ulimit github-token`)
	buildPushOutputs = strings.Fields("imageid digest metadata")
	// Its defaults, where they are not empty.
	buildPushDefaults = map[string]string{"load": "false", "no-cache": "false", "pull": "false", "push": "false", "github-token": "${{ github.token }}"}
	// Ours that are others: the context is the checkout and not the repository as
	// GitHub serves it, so there is nothing to fetch with the job's token either.
	ownDefaults = map[string]string{"context": ".", "github-token": ""}
)

func TestActionIsADropIn(t *testing.T) {
	a := readAction(t)
	for _, name := range buildPushInputs {
		want, own := ownDefaults[name]
		if !own {
			want = buildPushDefaults[name]
		}
		if in, ok := a.Inputs[name]; !ok || in.Default == nil || *in.Default != want {
			t.Errorf("input %s: got %+v, want one with the default %q", name, in, want)
		}
	}
	for _, name := range buildPushOutputs {
		if _, ok := a.Outputs[name]; !ok {
			t.Errorf("there is no output %s", name)
		}
	}
	for name, out := range a.Outputs {
		if want := "${{ steps.build.outputs." + name + " }}"; out.Value != want || out.Description == "" {
			t.Errorf("output %s: got %+v, want the value %s and a description", name, out, want)
		}
	}
}

// Inputs that are no option of that name: a value instead of its variable's name.
var valueInputs = map[string]string{"secrets": "SECURE_BUILD_SECRET_VALUES", "password": "SECURE_BUILD_REGISTRY_PASSWORD"}

// TestActionInputsAreOptions: each input goes to the program by the variable of
// its option, as it is.
func TestActionInputsAreOptions(t *testing.T) {
	a := readAction(t)
	env := a.build(t).Env
	for name, in := range a.Inputs {
		if in.Description == "" || in.Default == nil || in.Required || strings.Contains(*in.Default, "${{") {
			t.Errorf("input %s: want a description and a plain default: %+v", name, in)
		}
		want := valueInputs[name]
		for _, o := range config.Build {
			if want == "" && o.Input() == name {
				want = o.Env()
			}
		}
		if got := env[want]; want == "" || got != "${{ inputs."+name+" }}" {
			t.Errorf("input %s: got %q in the variable %q of its option", name, got, want)
		}
	}
	known := map[string]bool{"SECURE_BUILD_REGISTRY_PASSWORD": true, "SECURE_BUILD_ACTION_REPOSITORY": true, "SECURE_BUILD_ACTION_REF": true}
	for _, o := range config.Build {
		known[o.Env()] = true
	}
	for name := range env {
		if strings.HasPrefix(name, "SECURE_BUILD_") && !known[name] {
			t.Errorf("%s is no option's variable", name)
		}
	}
}

func TestActionRunsNothingThatItIsGiven(t *testing.T) {
	a := readAction(t)
	if a.Runs.Using != "composite" {
		t.Errorf("got %s", a.Runs.Using)
	}
	pinned := regexp.MustCompile(`^[a-z-]+/[a-z-]+@[0-9a-f]{40}$`)
	for _, s := range a.Runs.Steps {
		if strings.Contains(s.Run, "${{") || strings.Contains(s.With["script"], "${{") {
			t.Errorf("step %s puts an expression into its script", s.ID)
		}
		if s.Uses != "" && !pinned.MatchString(s.Uses) {
			t.Errorf("step %s uses %s, which is not pinned by a commit", s.ID, s.Uses)
		}
	}
}

// hostile are inputs that a shell, a runner or a flag parser might take for
// something else.
var hostile = []string{
	"", "$(touch hacked)", "`touch hacked`", `"; touch hacked; "`, `'; touch hacked; '`, "a\ntouch hacked\nb", "a\r\nb", "$SHELL ${PATH}",
	"::set-output name=verdict::clean", "\n::add-mask::a\n##[set-output name=digest;]x", "%0A%25%0D", "-h", "--push", "--", "-c", "a\\nb\\", "*", "~", "!!",
	"_GitHubActionsFileCommandDelimeter_\nverdict<<_GitHubActionsFileCommandDelimeter_\nclean\n_GitHubActionsFileCommandDelimeter_",
	"{{ 1 }} #{x} <% %>", "\u202e\x1b[31m", "ü\xff", strings.Repeat("0123456789", 10<<10),
}

// stepOf runs the action's step as the runner does, with the program replaced by
// one that writes down what it gets. Expressions are replaced by the inputs.
func stepOf(t testing.TB, step actionStep, inputs func(name string) string) (args []string, env map[string]string) {
	t.Helper()
	dir := t.TempDir()
	entry, err := os.ReadFile("entrypoint.sh")
	if err != nil {
		t.Fatal(err)
	}
	program := "#!/bin/sh\nprintf '%s\\0' \"$@\" >\"$RECORD/args\"\ncat /proc/self/environ >\"$RECORD/env\"\n"
	for name, text := range map[string]string{"entrypoint.sh": string(entry), "secure-build": program, "step": step.Run} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(step.Shell, "-e", filepath.Join(dir, "step"))
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "GITHUB_ACTION_PATH=" + dir, "RECORD=" + dir}
	expression := regexp.MustCompile(`\$\{\{ inputs\.([a-z-]+) \}\}`)
	for name, value := range step.Env {
		if m := expression.FindStringSubmatch(value); m != nil && m[0] == value {
			cmd.Env = append(cmd.Env, name+"="+inputs(m[1]))
		}
	}
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("the step: %v\n%s", err, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "hacked")); err == nil {
		t.Fatal("an input was executed")
	}
	text, err := os.ReadFile(filepath.Join(dir, "args"))
	if err != nil {
		t.Fatal(err)
	}
	args = strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
	text, err = os.ReadFile(filepath.Join(dir, "env"))
	if err != nil {
		t.Fatal(err)
	}
	env = map[string]string{}
	for entry := range strings.SplitSeq(string(text), "\x00") {
		name, value, _ := strings.Cut(entry, "=")
		env[name] = value
	}
	return args, env
}

// checkStep holds what the program got against what the inputs were.
func checkStep(t testing.TB, step actionStep, inputs func(name string) string) {
	t.Helper()
	args, env := stepOf(t, step, inputs)
	context := inputs("context")
	if context == "" {
		context = "."
	}
	if diff := cmp.Diff([]string{"build", "--", context}, args); diff != "" {
		t.Errorf("arguments (-want +got):\n%.500s", diff)
	}
	for name, value := range step.Env {
		if input, ok := strings.CutPrefix(value, "${{ inputs."); ok && strings.HasSuffix(input, " }}") && !strings.Contains(input, "&&") {
			if got, want := env[name], inputs(strings.TrimSuffix(input, " }}")); got != want {
				t.Errorf("%s: got %.100q, want %.100q", name, got, want)
			}
		}
	}
}

func TestHostileInputsAreTakenLiterally(t *testing.T) {
	step := readAction(t).build(t)
	for _, value := range hostile {
		checkStep(t, step, func(name string) string {
			if len(value) > 10_000 && name != "build-args" && name != "context" { // all of them are more than a process may get
				return ""
			}
			return value
		})
	}
}

func FuzzHostileInputs(f *testing.F) {
	step := readAction(f).build(f)
	for _, value := range hostile {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if strings.ContainsRune(value, 0) || len(value) > 10_000 {
			return // no variable of the environment holds that
		}
		checkStep(t, step, func(string) string { return value })
	})
}

func matches(pattern, text string) bool { return regexp.MustCompile(pattern).MatchString(text) }

// TestEveryInputIsExercised: act gives each one to the action, with another
// value than its default; act-inputs.txtar, act-effects.txtar and act-pull.txtar
// look at what it does. What takes a cloud, or another machine, other scripts try by its option.
func TestEveryInputIsExercised(t *testing.T) {
	elsewhere := strings.Fields(`allow-key-source allow-disk aws-role aws-region gcp-workload-identity-provider gcp-service-account
		vault-role vault-auth-path oidc-audience`)
	given := map[string][]string{}
	for _, name := range []string{"inputs.yml", "effects.yml"} {
		for _, job := range readWorkflow(t, "testdata", "act", name).Jobs {
			for _, step := range job.Steps {
				for input, value := range step.With {
					given[input] = append(given[input], value)
				}
			}
		}
	}
	scripts := readAll(t, filepath.Join("cmd", "secure-build", "testdata", "script", "*.txtar"))
	for name, in := range readAction(t).Inputs {
		other := slices.ContainsFunc(given[name], func(value string) bool { return value != "" && value != *in.Default })
		switch i := slices.IndexFunc(config.Build, func(o config.Option) bool { return o.Input() == name }); {
		case other && slices.Contains(elsewhere, name):
			t.Errorf("%s is exercised in a workflow, not elsewhere", name)
		case !other && !slices.Contains(elsewhere, name):
			t.Errorf("no workflow of act gives %s a value of its own: %q", name, given[name])
		case !other && (i < 0 || !strings.Contains(scripts, "--"+config.Build[i].Flag+" ") && !strings.Contains(scripts, config.Build[i].Env()+"=")):
			t.Errorf("no script tries %s", name)
		}
	}
}

func readAll(t *testing.T, pattern string) string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %v, %v", pattern, names, err)
	}
	var all strings.Builder
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}
