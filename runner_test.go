package securebuild_test

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// A workflow is one of this repository's, as far as it is run here.
type workflow struct {
	Permissions map[string]string
	Jobs        map[string]struct {
		Permissions map[string]string
		Outputs     map[string]string
		Steps       []actionStep
	}
}

func readWorkflow(t *testing.T, path ...string) (w workflow) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &w); err != nil {
		t.Fatal(err)
	}
	return w
}

// A runner does what GitHub's does with the steps of a job: each script by
// bash -e in the checkout, with the variables of its env. What is not known
// here, an action or an expression, fails the test.
type runner struct {
	t           *testing.T
	dir         string                       // the checkout
	env         []string                     // of every step
	expressions map[string]string            // what each ${{ … }} is
	actions     map[string]func(*actionStep) // by name, without the version
	log         bytes.Buffer
}

// ghCommand is gh release create with gh's rules, and knows no other argument
// than those that release.yml gives to it. $RELEASES is the page of releases.
const ghCommand = `#!/bin/sh
set -eu
fail() { printf '%s\n' "$1" >&2; exit 1; }
[ "${GH_TOKEN:-}" = token ] || fail 'To use GitHub CLI in a GitHub Actions workflow, set the GH_TOKEN environment variable.'
[ "$1 $2" = 'release create' ] || fail "unknown command: $*"
tag=$3 verify= prerelease=false
shift 3
for arg; do
  shift
  case $arg in
    --verify-tag) verify=1 ;;
    --generate-notes) ;;
    --prerelease=true | --prerelease=false) prerelease=${arg#*=} ;;
    -*) fail "unknown flag: $arg" ;;
    *) [ -f "$arg" ] || fail "no matches found for '$arg'"; set -- "$@" "$arg" ;;
  esac
done
[ -z "$verify" ] || git ls-remote --exit-code origin "refs/tags/$tag" >/dev/null || fail "tag $tag doesn't exist in the repo, aborting due to --verify-tag flag"
[ ! -e "$RELEASES/$tag" ] || fail "a release with the same tag name already exists: $tag"
mkdir -p "$RELEASES/$tag"
cp -- "$@" "$RELEASES/$tag/"
echo "$prerelease" >"$RELEASES/$tag.prerelease"
`

func (r *runner) value(text string) string {
	return regexp.MustCompile(`\$\{\{ (.*?) \}\}`).ReplaceAllStringFunc(text, func(found string) string {
		value, ok := r.expressions[found[4:len(found)-3]]
		if !ok {
			r.t.Fatalf("%s is an expression that this runner does not know", found)
		}
		return value
	})
}

// job runs the steps of a job until one fails, and returns its outputs.
func (r *runner) job(w workflow, name string) (outputs map[string]string, err error) {
	r.t.Helper()
	if len(w.Jobs[name].Steps) == 0 {
		r.t.Fatalf("there is no job %s", name)
	}
	for _, step := range w.Jobs[name].Steps {
		switch action, _, _ := strings.Cut(step.Uses, "@"); {
		case step.If != "" && r.value(step.If) == "false":
		case step.Run != "":
			if err := r.script(step); err != nil {
				return nil, err
			}
		case r.actions[action] != nil:
			r.actions[action](&step)
		default:
			r.t.Fatalf("%s is an action that this runner does not know", step.Uses)
		}
	}
	outputs = map[string]string{}
	for name, value := range w.Jobs[name].Outputs {
		outputs[name] = r.value(value)
	}
	return outputs, nil
}

func (r *runner) script(step actionStep) error {
	tmp := r.t.TempDir()
	script, output := filepath.Join(tmp, "script"), filepath.Join(tmp, "output")
	for name, text := range map[string]string{script: step.Run, output: ""} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
	cmd := exec.Command("bash", "-e", script)
	cmd.Dir, cmd.Stdout, cmd.Stderr = r.dir, &r.log, &r.log
	cmd.Env = append(slices.Clone(r.env), "GITHUB_OUTPUT="+output)
	for _, name := range slices.Sorted(maps.Keys(step.Env)) {
		cmd.Env = append(cmd.Env, name+"="+r.value(step.Env[name]))
	}
	if err := cmd.Run(); err != nil {
		return err
	}
	text, err := os.ReadFile(output)
	if err != nil {
		r.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		r.expressions["steps."+step.ID+".outputs."+name] = value
	}
	return nil
}
