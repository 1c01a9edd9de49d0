package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/org/secure-build/internal/buildkit"
	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/index"
	"github.com/org/secure-build/internal/platform"
	"github.com/org/secure-build/internal/secret"
	"github.com/org/secure-build/internal/source"
)

// contract holds the Dockerfile against the names of the secrets, which need no
// key, and says what it finds.
func (a *app) contract(ctx context.Context, s secrets, req buildkit.Request, failOn finding.FailOn) (buildkit.Checked, error) {
	checked, err := s.check(ctx, req, failOn)
	if err != nil {
		return checked, err
	}
	return checked, a.tell(req, checked.Problems)
}

// check collects what is wrong with a Dockerfile, with the severities that
// failOn gives.
func (s secrets) check(ctx context.Context, req buildkit.Request, failOn finding.FailOn) (buildkit.Checked, error) {
	given := buildkit.Given{Optional: s.optional}
	var errs []error
	for _, ref := range s.refs {
		names, err := source.Names(ref, s.sources)
		given.IDs, errs = append(given.IDs, names...), append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return buildkit.Checked{}, err
	}
	checked, err := buildkit.Check(ctx, req, given)
	buildkit.Judge(checked.Problems, failOn)
	return checked, err
}

// values is the second half of the contract, for which the secrets have to be
// decrypted. Their values are asked for, never looked at.
func (a *app) values(s secrets, req buildkit.Request, checked buildkit.Checked, set secret.Set, x *index.Index) error {
	problems, err := buildkit.CheckValues(req, checked, s.optional, buildkit.Known{
		Find: func(text string) (id string, ok bool) {
			x.Each([]byte(text), index.Text, func(m index.Match) bool {
				id, ok = m.Secret, true
				return false
			})
			return id, ok
		},
		Len: func(id string) (int, bool) {
			sec, ok := set.Get(id)
			return sec.Len(), ok
		},
	})
	if err != nil {
		return err
	}
	return a.tell(req, problems)
}

// tell prints warnings, each with its remedy, and returns errors as one that
// wraps buildkit.ErrContract. The platform is told of both, with their lines.
func (a *app) tell(req buildkit.Request, problems []finding.Problem) error {
	var notes []platform.Note
	for _, p := range problems {
		file := p.File
		if dockerfile := dockerfile(req); filepath.Base(dockerfile) == filepath.Base(file) {
			file = dockerfile
		}
		notes = append(notes, platform.Note{Severity: p.Severity, File: file, Line: p.Line, Title: p.Rule, Text: a.redactor.String(a.about() + p.Message)})
	}
	if err := a.platform.Annotate(notes); err != nil {
		return err
	}
	var errs []error
	for _, p := range problems {
		text := p.Message
		if p.Line > 0 {
			text = p.Place() + ": " + p.Message
		}
		if p.Severity == finding.Warning {
			if p.Remedy != "" {
				text += " (" + p.Remedy + ")"
			}
			a.warn("%s", text)
			continue
		}
		err := fmt.Errorf("%w: %s", buildkit.ErrContract, text)
		if p.Remedy != "" {
			err = hint.Wrap(err, "%s", p.Remedy)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
