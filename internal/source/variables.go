package source

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/secret"
)

// variableName is what GitLab and POSIX take for a variable's name. It is also
// a file's name below the .tmp folder, so it must be no path.
var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,254}$`)

const variableGrammar = "write NAME or ID=NAME, with the variable's name and not its value"

// ParseVariable reads one line of --variable: NAME, or ID=NAME for another id.
func ParseVariable(line string) (Ref, error) {
	id, name, ok := strings.Cut(strings.TrimSpace(line), "=")
	if !ok {
		name = id
	}
	// Whoever wrote a value there ($NPM_TOKEN) does not want to see it again.
	switch {
	case !variableName.MatchString(name):
		return Ref{}, hint.Wrap(errors.New("parsing --variable: a name of a variable has letters, digits and _ only"), variableGrammar)
	case secret.CheckID(id) != nil:
		return Ref{}, hint.Wrap(fmt.Errorf("parsing --variable for %s: the id before the = has characters that none may have", name), variableGrammar)
	}
	return Ref{kind: fromVariable, id: id, env: name}, nil
}

// loadVariable takes a variable's value, or the content of the file that
// GitLab has made of a File variable.
func (l *loader) loadVariable(set *secret.Set, ref Ref) error {
	if !l.opts.hasEnv(ref.env) {
		return l.opts.unset(ref)
	}
	value := l.opts.env(ref.env)
	if path, ok := l.opts.fileVariable(value); ok {
		return l.loadFileVariable(set, ref, path)
	}
	if reason := unmaskable(value); reason != "" && l.opts.onGitLab() {
		l.opts.note("the variable %s can never have been masked in GitLab: %s; what other jobs print of it is in the clear (make it a File variable)", ref.env, reason)
	}
	return add(set, l.opts.inVariable(ref, value))
}

// unset says that a variable is not there. Whoever writes --variable $NAME gives
// us a value for a name: one that looks like one is not shown.
func (o Options) unset(ref Ref) error {
	near := hint.Nearest(ref.env, o.names())
	if near == "" && looksLikeValue(ref.env) {
		return hint.Wrap(errors.New("reading a secret: the environment variable that is named for it is not set (its name is not shown: it may be a value)"), variableGrammar)
	}
	err := fmt.Errorf("reading the secret %s: the variable %s is not set", ref.id, ref.env)
	switch {
	case near != "":
		return hint.Wrap(err, "did you mean %s?", near)
	case o.onGitLab():
		return hint.Wrap(err, "a protected variable is there on protected branches and tags only, one with a scope in its environment only, and none of the parent project in a fork")
	}
	return hint.Wrap(err, "is it passed to this job or step? A variable of another job, or of a protected branch, is not")
}

// looksLikeValue tells ghp_4fK…, AKIAIOSFODNN7EXAMPLE and EBVKMKCTXINTZBEYVGKU
// from NPM_TOKEN and KUBECONFIG: digits and no words, or a long piece that no
// underscore divides. A name that is taken for a value is only not shown.
func looksLikeValue(name string) bool {
	mixed := strings.ToUpper(name) != name && strings.ToLower(name) != name
	digits := len(name) >= 8 && strings.ContainsAny(name, "0123456789") && (mixed || !strings.Contains(name, "_"))
	return digits || slices.ContainsFunc(strings.Split(name, "_"), func(word string) bool { return len(word) > 14 })
}

// fileVariable says whether a value is the path that GitLab's runner gives a
// File variable, or a file of the keyword secrets: a file right below the job's
// .tmp folder, which lies beside the repository and bears a variable's name
// (common/variables.go and common/build.go of gitlab-runner, TmpProjectDir).
// Any other path is a value like any other.
func (o Options) fileVariable(value string) (path string, ok bool) {
	if !filepath.IsAbs(value) || !variableName.MatchString(filepath.Base(value)) || filepath.Clean(value) != value {
		return "", false
	}
	dir := filepath.Dir(value)
	if project := o.env("CI_PROJECT_DIR"); project != "" && dir == filepath.Clean(project)+".tmp" {
		return value, true
	}
	// gitlab-ci-local, which says that it is not the real one, has a folder of
	// its own for each job.
	local := o.env("GITLAB_CI") == "false" && strings.HasPrefix(filepath.Base(dir), "gitlab-ci-local-file-variables-")
	return value, local
}

func (l *loader) loadFileVariable(set *secret.Set, ref Ref, path string) error {
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return hint.Wrap(fmt.Errorf("reading the secret %s: the file of the File variable %s is gone", ref.id, ref.env),
			"the runner writes it below %s: is that folder there in this container?", filepath.Dir(path))
	case !info.Mode().IsRegular():
		return fmt.Errorf("reading the secret %s: what the File variable %s names is not a regular file", ref.id, ref.env)
	}
	ref.kind, ref.file = fromFile, path
	data, err := readFile(l.opts, path, secret.MaxSize+1, false)
	if err != nil {
		return fmt.Errorf("reading the secret %s: %w", ref.id, err)
	}
	return add(set, secret.New(ref.id, "$"+ref.env, data))
}

func (o Options) onGitLab() bool { return o.env("GITLAB_CI") != "" }

// names lists the names of all variables.
func (o Options) names() []string {
	environ := os.Environ
	if o.Environ != nil {
		environ = o.Environ
	}
	var all []string
	for _, kv := range environ() {
		name, _, _ := strings.Cut(kv, "=")
		all = append(all, name)
	}
	return all
}

// unmaskable says why GitLab would not have let a variable with this value be
// masked, or "". What it can mask is at least eight characters without white
// space (Ci::Maskable); whether it is masked, a job cannot see.
func unmaskable(value string) string {
	switch {
	case len(value) == 0:
		return "it is empty"
	case strings.ContainsAny(value, "\n\r"):
		return "it has several lines"
	case strings.ContainsAny(value, " \t\f\v"):
		return "it has white space in it"
	case len([]rune(value)) < 8:
		return "it is shorter than 8 characters"
	}
	return ""
}
