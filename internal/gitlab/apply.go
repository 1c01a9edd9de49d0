package gitlab

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/org/secure-build/internal/hint"
)

const (
	// tries is how often a variable is looked at again because somebody else
	// changed it in the meantime: another run of ours does so once or twice.
	tries = 6
	// swap is the time for the requests between which a variable is missing.
	swap = 30 * time.Second
)

// Apply does what a plan says, one variable after another, and notes in each
// step what came of it. A variable that GitLab refuses does not stop the others;
// an error that would meet the others too (401, 403, 429, no answer) does.
//
// Nothing has to be undone after a run that was cut off: the next one plans
// anew. Every variable is read again right before it is changed, so that two
// runs at once, or a person in between, are seen.
func (c *Client) Apply(ctx context.Context, steps []Step, o SyncOptions, done func(Step)) error {
	if o.Scope == "" {
		o.Scope = Everywhere
	}
	var errs []error
	for i := range steps {
		s := &steps[i]
		if s.Action == Keep || s.Action == Refuse {
			continue
		}
		err := c.step(ctx, s, o)
		if err != nil {
			s.Error = err.Error()
			errs = append(errs, err)
		}
		s.Done = err == nil && s.Action != Refuse
		done(*s)
		if err != nil && !oneOnly(err) {
			break
		}
	}
	return errors.Join(errs...)
}

// step does one step. Where somebody was faster it looks again and decides anew.
func (c *Client) step(ctx context.Context, s *Step, o SyncOptions) error {
	if s.Action == Delete {
		return c.delete(ctx, s, o)
	}
	var err error
	for try := range tries {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("setting %s of %s: %w", s.Name, o.Owner, err)
		}
		have, staged := (*Variable)(nil), (*Variable)(nil)
		if s.Action != Create || try > 0 {
			if have, staged, err = c.both(ctx, s.wish, try > 0 || s.staged || s.Action != Update); err != nil {
				return err
			}
			*s = decide(s.wish, have, staged, o)
		}
		if err = c.perform(ctx, s, have, staged); !errors.Is(err, errGone) && !errors.Is(err, errTaken) {
			return err
		}
	}
	if errors.Is(err, errUnlike) {
		return err
	}
	return hint.Wrap(err, "something else changes it all the time; is another sync running?")
}

// both reads a variable and, where asked, the one that is to take its place.
func (c *Client) both(ctx context.Context, w *wish, withStaged bool) (have, staged *Variable, err error) {
	if have, err = c.get(ctx, w.Owner, w.Name, w.Scope); err == nil && withStaged {
		staged, err = c.get(ctx, w.Owner, w.Name, staging+w.Scope)
	}
	return have, staged, err
}

func (c *Client) perform(ctx context.Context, s *Step, have, staged *Variable) error {
	w := s.wish
	switch s.Action {
	case Create:
		got, err := c.create(ctx, w.Owner, *w, w.Scope)
		if err != nil {
			return err
		}
		s.Hidden = got.Hidden // a GitLab before 17.4 hides nothing
		return c.check(ctx, got, *w, w.Scope)
	case Update:
		got, err := c.update(ctx, w.Owner, w.Name, w.Scope, s.change)
		if err != nil {
			return err
		}
		if err := alike(got, *w, w.Scope); err != nil || staged == nil {
			return err
		}
		return c.remove(ctx, w.Owner, w.Name, staged.Scope)
	case Replace:
		return c.replace(ctx, s, have, staged)
	case Finish:
		if have != nil {
			return c.remove(ctx, w.Owner, w.Name, staged.Scope)
		}
		return c.move(ctx, w, staged)
	}
	return nil // kept or refused, as it turned out
}

// replace makes a variable anew, hidden or not. GitLab takes no second one of
// the same name and scope, so the new one is made in a scope that no environment
// has; only when GitLab has taken it as it should be is the old one deleted and
// the new one given its scope. A run that is killed between the two leaves the
// new one, which the next run finds.
func (c *Client) replace(ctx context.Context, s *Step, have, staged *Variable) error {
	w := *s.wish
	w.Protected = w.Protected || have.Protected
	scope := staging + w.Scope
	if staged != nil {
		if ch, _ := differences(staged, &w); ch != (change{}) || staged.Hidden != w.Hidden {
			if err := c.remove(ctx, w.Owner, w.Name, scope); err != nil {
				return err
			}
			staged = nil
		}
	}
	if staged == nil {
		got, err := c.create(ctx, w.Owner, w, scope)
		if errors.Is(err, errTaken) {
			if other, _ := c.get(ctx, w.Owner, w.Name, scope); other == nil {
				// Or another run has just moved it: so it is looked at again.
				return hint.Wrap(fmt.Errorf("replacing the variable %s of %s: %w: it has no scopes (%w)", w.Name, w.Owner, errUnlike, errTaken),
					"scopes of a group's variables need GitLab Premium; delete %s by hand and sync again", w.Name)
			}
		}
		if err != nil {
			return err
		}
		if err := c.check(ctx, got, w, scope); err != nil {
			return err
		}
		if got.Hidden != w.Hidden {
			return errors.Join(hint.Wrap(fmt.Errorf("replacing the variable %s of %s: %w: it is not hidden", w.Name, w.Owner, errUnlike), "GitLab knows hidden variables from 17.4 on"),
				c.remove(ctx, w.Owner, w.Name, scope))
		}
		staged = &got
	}
	now, err := c.get(ctx, w.Owner, w.Name, w.Scope)
	if err != nil {
		return err
	}
	if now == nil || now.Hidden == w.Hidden || now.description != have.description {
		return fmt.Errorf("replacing the variable %s of %s: %w", w.Name, w.Owner, errGone) // somebody was faster
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), swap) // no Ctrl-C in between
	defer cancel()
	if err := c.remove(ctx, w.Owner, w.Name, w.Scope); err != nil {
		return err
	}
	return c.move(ctx, &w, staged)
}

// move gives a staged variable its scope, and what else it lacks.
func (c *Client) move(ctx context.Context, w *wish, staged *Variable) error {
	ch, _ := differences(staged, w)
	if staged.Hidden && !w.Masked { // it would be refused, and cannot be unhidden
		return c.remove(ctx, w.Owner, w.Name, staged.Scope)
	}
	ch.scope = &w.Scope
	got, err := c.update(ctx, w.Owner, w.Name, staged.Scope, ch)
	if err != nil {
		return err
	}
	return alike(got, *w, w.Scope)
}

// check is alike for a variable that was just made: it is deleted again if it
// is not what was asked for. GitLab drops what it does not know (a scope of a
// group's variable below Premium), and the value would be seen more widely.
func (c *Client) check(ctx context.Context, got Variable, w wish, scope string) error {
	err := alike(got, w, scope)
	if err == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), swap)
	defer cancel()
	return errors.Join(err, c.remove(ctx, w.Owner, w.Name, got.Scope))
}

// alike holds what GitLab made against what it was told.
func alike(got Variable, w wish, scope string) error {
	what, advice := "", ""
	switch {
	case got.Scope != scope:
		what, advice = "its scope is "+got.Scope, "scopes of a group's variables need GitLab Premium; set it in the project, or for every environment"
	case w.Masked && !got.Masked:
		what = "it is not masked"
	case w.Protected && !got.Protected:
		what = "it is not protected"
	case got.Type != w.Type:
		what = "its type is " + got.Type
	case w.Raw && !got.Raw:
		what, advice = "it is not raw", "GitLab knows raw variables from 15.7 on"
	default:
		return nil
	}
	err := fmt.Errorf("setting the variable %s of %s: %w: %s", w.Name, w.Owner, errUnlike, what)
	if advice != "" {
		err = hint.Wrap(err, "%s", advice)
	}
	return err
}

// delete deletes what prune found, if it is still ours and not wanted.
func (c *Client) delete(ctx context.Context, s *Step, o SyncOptions) error {
	now, err := c.get(ctx, o.Owner, s.Name, s.Scope)
	switch {
	case err != nil:
		return err
	case now == nil:
		return nil
	case !ours(now, o):
		s.Action, s.Note = Refuse, "it is not sync's any more"
		return nil
	}
	return c.remove(ctx, o.Owner, s.Name, s.Scope)
}
