package gitlab

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/maskable"
	"github.com/org/secure-build/internal/secret"
)

// SyncOptions say what sync makes of the secrets, and where.
type SyncOptions struct {
	Owner     Owner
	Scope     string            // "" is Everywhere
	By        string            // tells the variables of several syncs apart
	Protected bool              // only for jobs of protected branches and tags
	Names     map[string]string // id → name; others are upper-cased ids
	Base64    []string          // ids whose value is stored as base64
	File      []string          // ids that become File variables in any case
	Unmasked  []string          // ids that may be stored although they cannot be masked
	Adopt     []string          // names of variables that sync may take over
	Replace   bool              // variables whose visibility can only be had by making them anew
	Prune     bool              // variables of ours that no file has any more
}

// A wish is a variable as it should be, or why it cannot be.
type wish struct {
	Variable
	id      string
	origin  string
	note    string // what to know although it can be done
	refused string // why it is not done, with what to do
}

var (
	nameShape  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	scopeShape = regexp.MustCompile(`^[A-Za-z0-9_/${}. *-]+$`)
	// special are names that change what the job's shell, its tools or GitLab
	// itself do. One gets them by asking for them with a name of one's own only.
	special = regexp.MustCompile(`^(CI|CI_.*|GITLAB_(CI|FEATURES|USER_.*)|FF_.*|SECURE_BUILD_.*|SOPS_.*|` +
		`DOCKER_(HOST|CONFIG|CONTEXT|AUTH_CONFIG|TLS.*|CERT_PATH)|BUILDKIT_HOST|` +
		`GIT_(STRATEGY|CHECKOUT|DEPTH|DIR|CLEAN_.*|FETCH_.*|SUBMODULE_.*|CLONE_.*|SSH.*|ASKPASS|CONFIG.*|EXEC_PATH|PROXY_.*)|` +
		`PATH|HOME|USER|SHELL|PWD|IFS|ENV|BASH_.*|LD_.*|PS[1-4]|PROMPT_COMMAND|TMPDIR|TERM|LANG|LC_.*|HTTPS?_PROXY|NO_PROXY|NODE_OPTIONS|PYTHON.*|PERL5.*|RUBYOPT)$`)
)

// GitLab allows names and scopes of 255 characters; ours are staged under a
// longer scope. (A count in the expressions would cost memory in every command.)
const (
	maxName  = 255
	maxScope = 200
)

func isName(name string) bool { return len(name) <= maxName && nameShape.MatchString(name) }

// wishes makes a wish of every secret, in their order.
func wishes(set secret.Set, o SyncOptions) ([]wish, error) {
	if err := checkOptions(set, o); err != nil {
		return nil, err
	}
	seal := newSealer(set)
	var all []wish
	byName := map[string]secret.Secret{}
	for _, sec := range set.Mounted() {
		w := wish{id: sec.ID(), origin: sec.Origin()}
		w.Owner, w.Scope, w.Protected, w.Raw = o.Owner, o.Scope, o.Protected, true
		named, given := o.Names[sec.ID()]
		w.Name = named
		if !given {
			w.Name = variableName(sec.ID())
		}
		if other, ok := byName[w.Name]; ok {
			return nil, hint.Wrap(fmt.Errorf("two secrets for the variable %s: %s and %s", w.Name, other.Origin(), sec.Origin()), "give one another name: --name %s=NAME", sec.ID())
		}
		byName[w.Name] = sec
		switch {
		case !isName(w.Name):
			w.refused = fmt.Sprintf("%s is no name for a variable; give it one: --name %s=NAME", w.Name, w.id)
		case !given && special.MatchString(w.Name):
			w.refused = fmt.Sprintf("a variable %s would change how jobs run; give it another name, or this one if you mean it: --name %s=NAME", w.Name, w.id)
		default:
			w.fit(plain(sec), o)
		}
		w.description = mark{o.By, w.origin, seal.code(w.Name, w.Scope, plain(w.value))}.String()
		all = append(all, w)
	}
	return all, nil
}

// variableName is the name that follows from an id: db.pass-word → DB_PASS_WORD.
func variableName(id string) string {
	return strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(id))
}

// fit sets type, flags and value to what GitLab takes and hides best.
func (w *wish) fit(value string, o SyncOptions) {
	file := slices.Contains(o.File, w.id)
	kind := kindOf(value)
	if slices.Contains(o.Base64, w.id) {
		value, kind = base64.StdEncoding.EncodeToString([]byte(value)), ""
		w.note = "stored as base64"
	} else if short, ok := oneLineBreak(value); ok && !file && kind == "" {
		value = short // a number in YAML ends in one
	}
	w.Type = TypeEnv
	if file || kind != "" {
		w.Type = TypeFile
	}
	w.value = secret.New(w.id, w.origin, []byte(value))
	why := maskable.Obstacle(value, true)
	w.Masked, w.Hidden = why == "", why == ""
	switch {
	case why == "":
	case !maskable.Stored(value):
		w.refused = why + ": --as-base64 " + w.id
	case w.Type == TypeFile:
		w.note = strings.TrimPrefix(kind+"; GitLab cannot mask it: ", "; ") + why + ". Jobs get the path of a file; do not print it, or store it with --as-base64 " + w.id
	case slices.Contains(o.Unmasked, w.id):
		w.note = "GitLab cannot mask it: " + why + ". Every job's log may show it"
	case len(value) < maskable.Min:
		w.refused = "GitLab cannot mask it: " + why + ". Make it longer, or if it is no secret, --unmasked " + w.id
	default:
		w.refused = "GitLab cannot mask it: " + why + ". Store it as one word with --as-base64 " + w.id + ", as a file with --as-file " + w.id + ", or in the open with --unmasked " + w.id
	}
}

// kindOf says what a value is that belongs into a file, or "".
func kindOf(value string) string {
	text := strings.TrimSpace(value)
	switch {
	case strings.HasPrefix(text, "-----BEGIN "):
		return "PEM"
	case (strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[")) && json.Valid([]byte(text)):
		return "JSON"
	case strings.ContainsAny(strings.TrimSuffix(value, "\n"), "\n\r"):
		return "several lines"
	}
	return ""
}

// oneLineBreak cuts the line break that a value ends in.
func oneLineBreak(value string) (string, bool) { return strings.CutSuffix(value, "\n") }

// checkOptions finds ids that no file has, and names that are none.
func checkOptions(set secret.Set, o SyncOptions) error {
	var errs []error
	errs = append(errs, checkOwner(o.By))
	if len(o.Scope) > maxScope || !scopeShape.MatchString(o.Scope) {
		errs = append(errs, hint.Wrap(fmt.Errorf("reading --scope %q: it is no environment", o.Scope), "a scope looks like production, review/* or *"))
	}
	if strings.HasPrefix(o.Scope, staging) {
		errs = append(errs, fmt.Errorf("reading --scope %q: sync itself uses such scopes", o.Scope))
	}
	ids := set.IDs()
	for flag, given := range map[string][]string{
		"as-base64": o.Base64, "as-file": o.File, "unmasked": o.Unmasked, "name": slices.Sorted(maps.Keys(o.Names)),
	} {
		for _, id := range given {
			if slices.Contains(ids, id) {
				continue
			}
			err := fmt.Errorf("reading --%s %s: no source gives the secret %q", flag, id, id)
			if near := hint.Nearest(id, ids); near != "" {
				err = hint.Wrap(err, "did you mean %s?", near)
			}
			errs = append(errs, err)
		}
	}
	for _, name := range o.Adopt {
		if !isName(name) {
			errs = append(errs, hint.Wrap(fmt.Errorf("reading --adopt %q: it is no name of a variable", name), "--adopt takes the variable's name, such as DB_PASSWORD"))
		}
	}
	return errors.Join(errs...)
}
