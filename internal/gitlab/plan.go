package gitlab

import (
	"fmt"
	"slices"
	"strings"

	"github.com/org/secure-build/internal/secret"
)

// An Action is what sync does about one variable.
type Action string

const (
	Keep    Action = "keep"    // it is as it should be
	Create  Action = "create"  // it is not there
	Update  Action = "update"  // it is ours, or adopted, and differs
	Replace Action = "replace" // it has to be made anew to be hidden
	Finish  Action = "finish"  // a run was cut off while replacing it
	Delete  Action = "delete"  // it is ours, and no file has it any more
	Refuse  Action = "refuse"  // it stays as it is, for a reason
)

// A Step is one line of a plan. It holds no value that anything can print.
type Step struct {
	Action Action `json:"action"`
	Variable
	Origin  string   `json:"origin,omitempty"`
	Changes []string `json:"changes,omitempty"` // what differs: value, type, masked, …
	Note    string   `json:"note,omitempty"`
	Done    bool     `json:"done"`
	Error   string   `json:"error,omitempty"`

	wish   *wish // nil for Delete
	staged bool  // one was found that was to take its place
	change change
}

// Plan says what Apply would do, in the order of the secrets, and then what it
// would delete. It asks nothing and changes nothing.
func Plan(set secret.Set, have []Variable, o SyncOptions) ([]Step, error) {
	if o.Scope == "" {
		o.Scope = Everywhere
	}
	all, err := wishes(set, o)
	if err != nil {
		return nil, err
	}
	there := map[[2]string]*Variable{}
	for i, v := range have {
		there[[2]string{v.Name, v.Scope}] = &have[i]
	}
	var steps []Step
	wished := map[string]bool{}
	for i := range all {
		w := &all[i]
		wished[w.Name] = true
		steps = append(steps, decide(w, there[[2]string{w.Name, w.Scope}], there[[2]string{w.Name, staging + w.Scope}], o))
	}
	for _, v := range have {
		if (v.Scope == o.Scope || v.Scope == staging+o.Scope) && !wished[v.Name] {
			if s, ok := prune(v, o); ok {
				steps = append(steps, s)
			}
		}
	}
	return steps, nil
}

// prune is the step for a variable that no secret is for; none if it is not ours.
func prune(v Variable, o SyncOptions) (Step, bool) {
	m, ok := parseMark(v.description)
	if !ok || m.by != o.By {
		return Step{}, false
	}
	s := Step{Action: Delete, Variable: v, Origin: oneLine(m.origin)}
	if !o.Prune {
		s.Action, s.Note = Keep, "no file has it any more; --prune deletes it"
	}
	return s, true
}

// staging is where the scope of a variable begins that is about to take the
// place of one that is not hidden. No environment is called so.
const staging = "secure-build-sync/"

// decide holds a wish against what is there: the variable itself, and one that
// was to take its place when a run was cut off. It is all that sync knows about
// one variable, so Apply asks it again where the world has changed meanwhile.
func decide(w *wish, have, staged *Variable, o SyncOptions) Step {
	s := Step{Variable: w.Variable, Origin: w.origin, Note: w.note, wish: w, staged: staged != nil}
	if w.refused != "" {
		s.Action, s.Note = Refuse, w.refused
		return s
	}
	if staged != nil && !ours(staged, o) {
		staged = nil // somebody's own; creating ours beside it will fail, and say so
	}
	if have == nil {
		s.Action = Create
		if staged != nil {
			s.Action, s.Note = Finish, join(s.Note, "an earlier run was cut off while replacing it")
		}
		return s
	}
	if !ours(have, o) && !slices.Contains(o.Adopt, w.Name) {
		s.Action, s.Note = Refuse, foreign(have, w)
		s.keepFlags(have)
		return s
	}
	return s.compare(have, staged, o)
}

// compare is decide for a variable that is there and that may be changed.
func (s Step) compare(have, staged *Variable, o SyncOptions) Step {
	w := s.wish
	s.change, s.Changes = differences(have, w)
	s.Protected = have.Protected || w.Protected // never taken back: somebody wanted it
	switch {
	case have.Hidden && !w.Masked && !o.Replace:
		s.Action, s.Changes = Refuse, nil
		s.Note = "it is hidden in GitLab, which cannot mask its new value; --replace makes it anew"
		s.keepFlags(have)
		return s
	case have.Hidden != w.Hidden && o.Replace:
		s.Action, s.Changes = Replace, append(s.Changes, "hidden")
		return s
	case have.Hidden != w.Hidden:
		s.Note = join(s.Note, "not hidden, which GitLab sets at creation only; --replace makes it anew")
	}
	s.Hidden = have.Hidden
	switch {
	case len(s.Changes) > 0:
		s.Action = Update
	case staged != nil:
		s.Action, s.Note = Finish, join(s.Note, "an earlier run was cut off while replacing it")
	default:
		s.Action = Keep
	}
	return s
}

// keepFlags shows what is there, for a step that changes nothing.
func (s *Step) keepFlags(have *Variable) {
	s.Type, s.Masked, s.Hidden, s.Protected, s.Raw = have.Type, have.Masked, have.Hidden, have.Protected, have.Raw
}

func ours(v *Variable, o SyncOptions) bool {
	m, ok := parseMark(v.description)
	return ok && m.by == o.By
}

func foreign(have *Variable, w *wish) string {
	if m, ok := parseMark(have.description); ok {
		return fmt.Sprintf("another sync made it (--owner %q); --adopt %s takes it over", m.by, w.Name)
	}
	return fmt.Sprintf("it is there and sync did not make it; --adopt %s takes it over", w.Name)
}

// differences lists what an update has to change, and by which request.
func differences(have *Variable, w *wish) (change, []string) {
	var ch change
	var names []string
	m, _ := parseMark(have.description)
	want, _ := parseMark(w.description)
	if have.Hidden && !m.same(want.mac) || !have.Hidden && !digest(plain(have.value)).equal(digest(plain(w.value))) {
		ch.value, names = &w.value, append(names, "value")
	}
	if have.Type != w.Type {
		ch.kind, names = &w.Type, append(names, "type")
	}
	if have.Masked != w.Masked {
		ch.masked, names = &w.Masked, append(names, "masked")
	}
	if have.Raw != w.Raw {
		ch.raw, names = &w.Raw, append(names, "raw")
	}
	if !have.Protected && w.Protected {
		ch.protected, names = &w.Protected, append(names, "protected")
	}
	if have.description != w.description {
		ch.description, names = &w.description, append(names, "description")
	}
	return ch, names
}

func join(notes ...string) string {
	return strings.Join(slices.DeleteFunc(notes, func(n string) bool { return n == "" }), ". ")
}

// Changes counts the steps that change something.
func Changes(steps []Step) int {
	n := 0
	for _, s := range steps {
		if s.Action != Keep && s.Action != Refuse {
			n++
		}
	}
	return n
}

// Refused counts the steps that are not done for a reason.
func Refused(steps []Step) int {
	n := 0
	for _, s := range steps {
		if s.Action == Refuse {
			n++
		}
	}
	return n
}
