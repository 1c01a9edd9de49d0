package main

import (
	"errors"
	"maps"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/index"
	"github.com/org/secure-build/internal/scan"
	"github.com/org/secure-build/internal/scan/rules"
)

// policy is what build and scan share of the options: what to look for, and
// what blocks.
type policy struct {
	finding.Policy
	patterns *rules.Rules // nil for none
	shallow  bool
	unread   []string
}

func (a *app) readPolicy(o options) (policy, error) {
	p := policy{unread: o.list("allow-unread")}
	var errs []error
	flag := func(name string) bool { v, err := o.bool(name); errs = append(errs, err); return v }
	p.FailOn = finding.FailOn(o.text("fail-on"))
	errs = append(errs, o.oneOf("fail-on", string(p.FailOn)))
	p.shallow = flag("no-nested")
	if name := o.text("baseline"); name != "" {
		f, err := os.Open(name)
		if err == nil {
			p.Baseline, err = finding.ReadBaseline(f)
			err = errors.Join(err, f.Close())
		}
		errs = append(errs, err)
	}
	all := flag("all-patterns")
	if !flag("no-patterns") {
		var err error
		p.patterns, err = rules.New(rules.Options{Generic: all})
		errs = append(errs, err)
	}
	return p, errors.Join(errs...)
}

// scanner makes the scanner of a run.
func (a *app) scanner(p policy, x *index.Index) *scan.Scanner {
	opts := scan.Options{Index: x, Redact: a.redactor.String, Shallow: p.shallow, AllowUnread: p.unread}
	if p.patterns != nil {
		opts.Patterns = patterns{p.patterns, &a.seen}
	}
	return scan.New(opts)
}

// judge applies what the user has decided, and says which of it is out of date.
func (a *app) judge(p policy, r *finding.Report) {
	if stale := p.Apply(r, time.Now()); len(stale) > 0 {
		a.warn("the baseline accepts what has expired or is not there any more: %s", strings.Join(stale, ", "))
	}
}

// patterns lets the scanner use the rules, and notes what those that found
// something look for.
type patterns struct {
	rules *rules.Rules
	seen  *ruleNames
}

func (p patterns) Stream(at scan.Place, _ int64, found func(scan.Hit)) scan.PatternStream {
	return p.rules.Stream(at.Path, func(h rules.Hit) { found(p.hit(h)) })
}

func (p patterns) hit(h rules.Hit) scan.Hit {
	p.seen.note(h.Rule, h.Description)
	return scan.Hit{Rule: h.Rule, Severity: h.Severity, Offset: h.Offset}
}

// ruleNames are descriptions by rule.
type ruleNames struct {
	mu    sync.Mutex
	names map[string]string
}

func (r *ruleNames) note(rule, description string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.names == nil {
		r.names = map[string]string{}
	}
	r.names[rule] = description
}

func (r *ruleNames) descriptions() map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.names)
}
