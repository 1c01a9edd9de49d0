package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/org/secure-build/internal/canary"
	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/index"
	"github.com/org/secure-build/internal/scan"
	"github.com/org/secure-build/internal/scan/rules"
	"github.com/org/secure-build/internal/secret"
	"github.com/org/secure-build/internal/verdict"
)

// policy is what build and scan share of the options: what to look for, and
// what blocks.
type policy struct {
	finding.Policy
	patterns func() (*rules.Rules, error) // nil for none
	options  rules.Options
	shallow  bool
	unread   []string
}

// readPolicy reads them. Patterns are all that can be looked for where secrets
// may not be read, and so cannot be switched off there.
func (a *app) readPolicy(o options, stranger bool) (policy, error) {
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
	if !flag("no-patterns") || stranger {
		p.options.Generic = all
		p.patterns = ahead(func() (*rules.Rules, error) { return rules.New(p.options) })
	}
	return p, errors.Join(errs...)
}

// ahead begins to compile the rules beside what comes before the scan.
func ahead(compile func() (*rules.Rules, error)) func() (*rules.Rules, error) {
	once := sync.OnceValues(compile)
	go func() {
		// On a goroutine of its own a panic would end the process before the shred.
		// The scan's own call panics with the same again, where it is an error.
		defer func() { _ = recover() }()
		_, _ = once()
	}()
	return once
}

// canaryID is the name under which the scanner's self-test hides its value.
const canaryID = "self-test"

// scanner makes the scanner of a run, with a canary among the values that it
// looks for, and lets it prove that it finds that in every encoding. The memory
// is of what was clean before; nil for none. See scan.Options for held.
func (a *app) scanner(p policy, set secret.Set, memory scan.Memory, held bool) (*scan.Scanner, error) {
	value, err := canary.Token(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a canary: %w", err)
	}
	set.AddHidden(secret.New(canaryID, "the self-test of this run", value))
	opts := scan.Options{
		Index: index.Compile(set), Redact: a.redactor.String, Shallow: p.shallow, AllowUnread: p.unread, Memory: memory, Held: held,
	}
	if p.patterns != nil {
		compiled, err := p.patterns()
		if err != nil {
			return nil, err
		}
		opts.Patterns = patterns{compiled, &a.seen}
	}
	s := scan.New(opts)
	return s, s.SelfTest(canaryID, value)
}

// memory opens the book of remembered verdicts for everything that decides
// one: values and encodings, rules, options, and this program. It is nil, and
// remembers nothing, where there is no key. Credentials that were minted for
// this run decide by their age: see package verdict.
func (p policy) memory(dir string, set secret.Set, x *index.Index) *verdict.Book {
	return p.memoryOf(thisProgram, dir, set, x)
}

func (p policy) memoryOf(build func() string, dir string, set secret.Set, x *index.Index) *verdict.Book {
	key := set.Key("remembered verdicts")
	if key == nil {
		return nil
	}
	rulesVersion := "none"
	if p.patterns != nil {
		rulesVersion = p.options.Version()
	}
	program := fmt.Appendf(nil, "%s\x00%s\x00%s\x00%v\x00%q", version, build(), rulesVersion, p.shallow, p.unread)
	lasting, since := set.Lasting()
	if since.IsZero() {
		return verdict.Open(dir, key, x.Fingerprint(key), program)
	}
	book := verdict.Open(dir, key, index.Compile(lasting).Fingerprint(key), program)
	book.Mint(since, x.Fingerprint(key))
	return book
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
	told := false
	return p.rules.Stream(at.Path, func(h rules.Hit) {
		found(p.hit(h))
		if open, ok := rules.Open(h, at.Path, at.Mode); ok && !told {
			told = true
			found(p.hit(open))
		}
	})
}

func (p patterns) Name(path string, mode int64, isDir bool) []scan.Hit {
	var hits []scan.Hit
	for _, h := range rules.Name(path, mode, isDir) {
		hits = append(hits, p.hit(h))
	}
	return hits
}

func (p patterns) Text(at scan.Place, text string) []scan.Hit {
	if !strings.HasPrefix(at.Field, "config.Env[") {
		return nil
	}
	name, value, _ := strings.Cut(text, "=")
	h, ok := rules.Env(name, value)
	if !ok {
		return nil
	}
	return []scan.Hit{p.hit(h)}
}

func (p patterns) hit(h rules.Hit) scan.Hit {
	p.seen.note(h.Rule, h.Description)
	return scan.Hit{Rule: h.Rule, Severity: h.Severity, Offset: h.Offset, Folder: h.Folder}
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
