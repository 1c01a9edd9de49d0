package buildkit

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/org/secure-build/internal/finding"
)

// Known is what is known of the secrets once they are decrypted, without the
// values themselves.
type Known struct {
	// Find returns the id of a secret whose value, in any encoding, is in a text.
	Find func(text string) (id string, ok bool)
	// Len is the length of a secret's value in bytes; ok is false for none.
	Len func(id string) (n int, ok bool)
}

// plainOptions hold names that people choose and read. A "secret" in one of them
// is rather a word that should not be among the secrets.
var plainOptions = []string{"name", "filename", "target", "platform"}

// CheckValues is the second half of the check, for what only the decrypted values
// tell: no option of the build may hold one, since BuildKit records options in
// the image and its provenance, and no mounted secret may be empty (I7). What
// the Dockerfile itself holds is a warning with its line: the scan of the image
// decides.
func CheckValues(req Request, checked Checked, optional []string, known Known) ([]finding.Problem, error) {
	var dt []byte
	if req.here() {
		var err error
		if dt, err = readDockerfile(req); err != nil {
			return nil, err
		}
	}
	c := checking{file: checked.File, text: dt, req: req}
	opt, err := (&Engine{}).options(req)
	if err != nil {
		return nil, err
	}
	attrs := []map[string]string{opt.FrontendAttrs}
	for _, e := range opt.Exports {
		attrs = append(attrs, e.Attrs)
	}
	for _, a := range attrs {
		for _, name := range slices.Sorted(maps.Keys(a)) {
			if slices.Contains(plainOptions, name) {
				continue
			}
			if id, ok := known.Find(name); ok { // the name must not be shown either
				kind, _, _ := strings.Cut(name, ":")
				c.problem(finding.Error, RuleValue, 0, "names are recorded in the image too", "the name of a %s holds the value of the secret %q", kind, id)
			} else if id, ok := known.Find(a[name]); ok {
				c.option(name, id, checked.args)
			}
		}
	}
	for _, m := range checked.Mounts {
		if n, ok := known.Len(m.ID); ok && n == 0 && !slices.Contains(optional, m.ID) {
			c.empty(m)
		}
	}
	for i, line := range strings.Split(string(dt), "\n") {
		if id, ok := known.Find(line); ok {
			c.problem(finding.Warning, RuleValue, i+1, useMount, "the value of the secret %q is in this line", id)
		}
	}
	return finding.SortProblems(c.problems), nil
}

// empty notes a mount of a secret without a value.
func (c *checking) empty(m Mount) {
	c.problem(finding.Error, RuleEmpty, m.Line, fmt.Sprintf("is it meant to be? then say --optional-secret %s", m.ID), "the secret %q is empty", m.ID)
}

// option notes an option of the build that holds a value.
func (c *checking) option(name, id string, args map[string]int) {
	what, line := "an option of the build ("+name+")", 0
	remedy := fmt.Sprintf("it would be recorded in the image; where a step needs it, use RUN --mount=type=secret,id=%s …", id)
	if kind, rest, ok := strings.Cut(name, ":"); ok {
		switch kind {
		case "build-arg":
			what, line = "the build argument "+rest, args[rest]
			remedy = fmt.Sprintf("leave it out, and use RUN --mount=type=secret,id=%s,env=%s …; if it is no secret, name only those that are (--sops FILE#KEY)", id, rest)
		case "label":
			what, remedy = "the label "+rest, "labels are for everyone who can pull the image"
		}
	}
	c.problem(finding.Error, RuleValue, line, remedy, "%s holds the value of the secret %q", what, id)
}
