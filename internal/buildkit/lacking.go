package buildkit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	gateway "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/session/secrets"
	"github.com/org/secure-build/internal/finding"
)

// An Unfit is an ErrContract that shows only once the daemon has read the
// Dockerfile: an ONBUILD of a base image in a registry, a build context that is
// fetched, a frontend of another language.
type Unfit struct {
	Problems []finding.Problem // at least one of them an error
}

func (u *Unfit) Error() string {
	var all []string
	for _, p := range u.Problems {
		if p.Severity == finding.Error {
			all = append(all, p.Message)
		}
	}
	return fmt.Sprintf("%v: %s", ErrContract, strings.Join(all, "; "))
}

// Is lets an Unfit be an ErrContract.
func (u *Unfit) Is(target error) bool { return target == ErrContract }

// A lacking hands secrets out, and notes which were wanted and are not there.
//
// One that is not there is an error, not secrets.ErrNotFound: with that, a mount
// that is not "required" would be left out in silence, which is how an image
// gets built without its secret (I7). An empty one is the same mistake.
type lacking struct {
	get   func(id string) ([]byte, error)
	given Given
	req   Request

	mu       sync.Mutex
	problems []finding.Problem // errors
	warnings []finding.Problem
}

func newLacking(req Request) *lacking {
	return &lacking{get: req.Secret, given: req.Given, req: req}
}

// secret answers BuildKit when a step is about to run. The build graph was held
// against the secrets by then; this is for what a frontend of its own runs
// before it has one. The ids that BuildKit asks for by itself, for git and HTTP
// sources, are different: there "none" is the usual answer.
func (l *lacking) secret(id string) ([]byte, error) {
	v, err := l.get(id)
	none := errors.Is(err, os.ErrNotExist)
	switch {
	case err != nil && !none:
		return nil, err
	case asksItself(id) || slices.Contains(l.given.Optional, id):
		if none {
			return nil, secrets.ErrNotFound
		}
		return v, nil
	case none || len(v) == 0:
		c := checking{given: l.given}
		if none {
			c.lacks(Mount{ID: id})
		} else {
			c.empty(Mount{ID: id})
		}
		l.note(c.problems)
		return nil, errors.New(c.problems[0].Message)
	}
	return v, nil
}

// hold holds the build graph that the daemon's frontend has made against the
// secrets. Nothing of it has run yet. What is cached counts too: it may be from
// a build that had leave to do without. A nil lacking holds nothing.
func (l *lacking) hold(ctx context.Context, res *gateway.Result) error {
	if l == nil {
		return nil
	}
	fetched := !l.req.here()
	err := res.EachRef(func(ref gateway.Reference) error {
		st, err := ref.ToState()
		if err != nil { // scratch, which has no graph
			return nil
		}
		def, err := st.Marshal(ctx)
		if err != nil {
			return fmt.Errorf("reading the build graph: %w", err)
		}
		g := newGraph(def.ToPB())
		c := checking{file: "Dockerfile", given: l.given}
		if infos := g.def.GetSource().GetInfos(); len(infos) > 0 {
			c.file, c.text = infos[0].Filename, infos[0].Data
			if fetched && infos[0].Language == "Dockerfile" {
				fetched = false // each platform's graph is of the same one
				l.read(ctx, string(c.text))
			}
		}
		for _, m := range mounts([]graph{g}) {
			if err := l.holdMount(&c, m); err != nil {
				return err
			}
		}
		l.note(c.problems)
		return nil
	})
	if err != nil {
		return err
	}
	return l.unfit()
}

// holdMount holds one mount against the secrets.
func (l *lacking) holdMount(c *checking, m Mount) error {
	v, err := l.get(m.ID)
	optional := slices.Contains(l.given.Optional, m.ID)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if !optional || m.Required {
			c.lacks(m)
		}
	case err != nil:
		return err
	case len(v) == 0 && !optional && !asksItself(m.ID):
		c.empty(m)
	}
	return nil
}

// read looks for mistakes in a Dockerfile that was fetched, as Check does in one
// of this machine. Which secrets its steps mount, the graph knows better.
func (l *lacking) read(ctx context.Context, text string) {
	req := l.req
	req.Inline = text
	checked, err := Check(ctx, req, l.given)
	problems := slices.DeleteFunc(checked.Problems, func(p finding.Problem) bool { return p.Rule == RuleMissing || p.Rule == RuleRemote })
	if err != nil {
		c := checking{file: "Dockerfile"}
		c.problem(finding.Warning, RuleRemote, 0, "", "the Dockerfile that was fetched can not be checked for mistakes: %v", err)
		problems = c.problems
	}
	Judge(problems, req.FailOn)
	l.note(problems)
}

func (l *lacking) note(problems []finding.Problem) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range problems {
		if p.Severity == finding.Error {
			l.problems = append(l.problems, p)
		} else {
			l.warnings = append(l.warnings, p)
		}
	}
}

// unfit is what was noted, nil for nothing. BuildKit hands errors through the
// daemon, where they become texts; so it is asked for here.
func (l *lacking) unfit() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.problems) == 0 {
		return nil
	}
	return &Unfit{finding.SortProblems(slices.Concat(l.problems, l.warnings))}
}
