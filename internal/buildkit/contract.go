package buildkit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/hint"
)

// ErrContract says that the Dockerfile and the sources do not fit together.
// Nothing was built.
var ErrContract = errors.New("the Dockerfile and the secrets do not fit")

// maxCheckTime bounds a check. The frontend does not look at its context.
const maxCheckTime = time.Minute

// Given is what there is to hold a Dockerfile against. No value is in it.
type Given struct {
	IDs      []string // of the secrets that the sources give
	Optional []string // ids that may be missing or empty (--optional-secret)
}

// A Mount is one use of a secret that the build would make.
type Mount struct {
	ID   string `json:"id"`
	Line int    `json:"line"`          // of the Dockerfile, from 1; of the FROM where an ONBUILD of the base mounts it
	Env  bool   `json:"env,omitempty"` // as a variable, not as a file

	Required bool `json:"required,omitempty"` // it says required=true
}

// Checked is what the check of a Dockerfile came to.
type Checked struct {
	File     string // the Dockerfile's name, as problems have it
	Mounts   []Mount
	Problems []finding.Problem
	Unread   bool // BuildKit fetches it, so nothing is known of its mounts

	args map[string]int // build arguments that it declares, with the line
}

// Check holds a Dockerfile against the secrets that there are, and looks for
// mistakes that let secrets out, without a daemon, a network or a key (I7). One
// that BuildKit fetches is Unread: Solve checks it before its first step. Of a
// build context that it fetches for a Dockerfile of this machine nothing is
// known, as if it were empty.
//
// Every mount counts, whether it says required=true or not: without that,
// BuildKit mounts nothing for an unknown id and the build passes. An error is a
// Dockerfile that cannot be read; what is wrong in one that can is a Problem.
func Check(ctx context.Context, req Request, given Given) (Checked, error) {
	if !req.here() {
		c := checking{file: req.Context}
		c.problem(finding.Warning, RuleRemote, 0, "", "the Dockerfile is fetched by BuildKit, and not checked here: a build checks it before its first step")
		return Checked{Problems: c.problems, Unread: true}, nil
	}
	dt, err := readDockerfile(req)
	if err != nil {
		return Checked{}, err
	}
	opt, err := (&Engine{}).options(req)
	if err != nil {
		return Checked{}, err
	}
	c := checking{file: filepath.Base(req.dockerfile()), text: dt, req: req, given: given, rehearsal: &rehearsal{opt: opt}}
	if req.Remote() {
		unfetched(&c.opt)
		c.problem(finding.Warning, RuleRemote, 0, "", "the build context is fetched by BuildKit: which of its files are copied is not checked here")
	}
	ctx, cancel := context.WithTimeout(ctx, maxCheckTime)
	defer cancel()
	type outcome struct {
		Checked
		err error
	}
	done := make(chan outcome, 1)
	go func() { // the frontend does not look at its context
		defer func() {
			if p := recover(); p != nil { // in code that is not ours, on a file that anybody may have written
				done <- outcome{err: fmt.Errorf("reading %s: BuildKit's reader gave up on it: %v", filepath.Base(req.dockerfile()), p)}
			}
		}()
		checked, err := c.check(ctx)
		done <- outcome{checked, err}
	}()
	select {
	case o := <-done:
		return o.Checked, o.err
	case <-ctx.Done():
		err := fmt.Errorf("reading %s: %w", filepath.Base(req.dockerfile()), ctx.Err())
		return Checked{}, hint.Wrap(err, "BuildKit's own reader needs more than %s for it; are there stages that copy from one another many times?", maxCheckTime)
	}
}

// checking is one check under way.
type checking struct {
	*rehearsal
	file     string // the Dockerfile's name, as messages have it
	text     []byte
	req      Request
	given    Given
	problems []finding.Problem
}

// problem notes one.
func (c *checking) problem(severity finding.Severity, rule string, line int, remedy, format string, args ...any) {
	c.problems = append(c.problems, finding.Problem{
		Rule: rule, Severity: severity, File: c.file, Line: line, Message: fmt.Sprintf(format, args...), Remedy: remedy,
	})
}

func (c *checking) check(ctx context.Context) (Checked, error) {
	checked := Checked{File: c.file}
	err := c.read(ctx, &checked)
	if other := foreign(c.text, c.req.BuildArgs); other != "" {
		c.syntax(other, err)
	} else if err != nil {
		return checked, c.unreadable(err)
	}
	checked.Problems = finding.SortProblems(c.problems)
	return checked, nil
}

// read reads the Dockerfile and collects everything that is wrong with it.
func (c *checking) read(ctx context.Context, checked *Checked) error {
	tree, err := parser.Parse(bytes.NewReader(c.text))
	if err != nil {
		return err
	}
	if err := bounded(tree.AST, c.req.BuildArgs); err != nil {
		return err
	}
	parts, ignored, err := c.parts(ctx)
	if err != nil {
		return err
	}
	stages, globals, err := instructions.Parse(tree.AST, noLint())
	if err != nil {
		return err
	}
	var graphs []graph
	for _, def := range parts {
		graphs = append(graphs, newGraph(def))
	}
	checked.Mounts, checked.args = mounts(graphs), declared(stages, globals)
	c.missing(checked.Mounts)
	c.unused(checked.Mounts)
	c.mistakes(stages, globals)
	c.steps(graphs)
	if err := c.copies(ctx, graphs, ignored); err != nil {
		return err
	}
	return c.buildChecks(ctx, stages)
}

// unreadable says where a Dockerfile cannot be read.
func (c *checking) unreadable(err error) error {
	place := c.file
	var at *parser.LocationError
	if errors.As(err, &at) && len(at.Locations) > 0 && len(at.Locations[0]) > 0 && at.Locations[0][0].Start.Line > 0 && !strings.Contains(err.Error(), " line ") {
		place = fmt.Sprintf("%s:%d", c.file, at.Locations[0][0].Start.Line)
	}
	return fmt.Errorf("reading %s: %w", place, err)
}

// missing finds the mounts that no source serves.
func (c *checking) missing(mounts []Mount) {
	for _, m := range mounts {
		if slices.Contains(c.given.IDs, m.ID) || slices.Contains(c.given.Optional, m.ID) && !m.Required {
			continue
		}
		c.lacks(m)
	}
}

// lacks notes a mount of a secret that no source gives.
func (c *checking) lacks(m Mount) {
	c.problem(finding.Error, RuleMissing, m.Line, missing(m.ID, c.given.IDs), "no source gives the secret %q%s", m.ID, c.by(m))
}

// by says where a mount is that is not in the line that it is blamed on.
func (c *checking) by(m Mount) string {
	lines := strings.Split(string(c.text), "\n")
	if m.Line < 1 || m.Line > len(lines) {
		return ""
	}
	if first, _, _ := strings.Cut(strings.TrimSpace(lines[m.Line-1]), " "); strings.EqualFold(first, "FROM") {
		return ", which an ONBUILD of the base mounts"
	}
	return ""
}

// unused finds what is given and mounted nowhere.
func (c *checking) unused(mounts []Mount) {
	var unused []string
	for _, id := range c.given.IDs {
		if !asksItself(id) && !slices.ContainsFunc(mounts, func(m Mount) bool { return m.ID == id }) {
			unused = append(unused, id)
		}
	}
	if len(unused) > 0 {
		c.problem(finding.Warning, RuleUnused, 0, "", "no step mounts %s", strings.Join(unused, ", "))
	}
	for _, id := range c.given.Optional {
		if !slices.ContainsFunc(mounts, func(m Mount) bool { return m.ID == id }) {
			c.problem(finding.Warning, RuleUnused, 0, "", "--optional-secret %s: no step mounts it", id)
		}
	}
}

// missing says what to do about an id that no source gives.
func missing(id string, ids []string) string {
	ids = slices.DeleteFunc(slices.Clone(ids), asksItself) // which are for the context
	if near := hint.Nearest(id, ids); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	if len(ids) == 0 {
		return fmt.Sprintf("no secrets were given: name them with --sops FILE or --secret id=%s,src=FILE", id)
	}
	return fmt.Sprintf("there are %s; add one with --sops or --secret id=%s,src=FILE, or say --optional-secret %s", strings.Join(ids, ", "), id, id)
}
