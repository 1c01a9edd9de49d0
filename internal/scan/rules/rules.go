// Package rules finds secrets that nobody told us of: by the shape of a token,
// by the name of a file, by the name of a setting.
//
// The shapes are gitleaks' rules, as data: gitleaks.toml is their file as it is
// (v8.30.1, MIT, see gitleaks.LICENSE). Importing gitleaks' config package
// instead would bring 17 modules and 2.7 MB for the sake of this one file, and a
// TOML library would be the eighteenth; parse reads the part of TOML that it is
// written in. What gitleaks' engine does with the rules is done here by our own
// search, which takes a stream and constant memory, and runs an expression only
// where its first four bytes stand.
//
// Nothing in what is searched can switch a rule off. There is no
// "gitleaks:allow", and the paths that gitleaks leaves out altogether (images,
// node_modules, lib/python) are left out here for weak rules only.
package rules

import (
	"crypto/sha256"
	_ "embed"
	"fmt"
	"sync"

	"github.com/org/secure-build/internal/finding"
)

//go:generate go run generate.go github.com/zricethezav/gitleaks/v8@v8.30.1

//go:embed gitleaks.toml
var gitleaks string

// generic is the rule that looks for any long word after "key", "token" and the
// like. Most of what it finds is none.
const generic = "generic-api-key"

// Options say which rules to use.
type Options struct {
	Generic bool // generic-api-key too
}

// engine is the version of what this package does with the rules.
const engine = "1"

// Version changes whenever the same bytes might be judged differently, so that a
// remembered verdict can be bound to it.
func (o Options) Version() string {
	sum := sha256.Sum256([]byte(gitleaks))
	return fmt.Sprintf("rules/%s generic=%t %x", engine, o.Generic, sum[:8])
}

// A Hit is something that looks like a secret. It does not hold what was found.
type Hit struct {
	Rule        string
	Description string
	Severity    finding.Severity
	Offset      int64  // of the secret, in bytes from the start of the stream
	Folder      string // that a name warns of, as the entry's own name begins; "" for the entry
}

// Rules are compiled once and may be used by many goroutines.
type Rules struct {
	rules  []*rule
	grams  *grams
	allow  []allowList // for all rules
	paths  pathList    // where weak rules are not used
	ahead  int         // bytes that have to follow a place before it is looked at
	unused sync.Pool   // of *Stream
}

var standard = sync.OnceValues(func() (*Rules, error) { return New(Options{}) })

// Default is the usual set of rules, compiled when it is first asked for.
func Default() (*Rules, error) { return standard() }

// New compiles the rules. It takes some 40 ms.
func New(o Options) (*Rules, error) {
	defs, global, err := parse(gitleaks)
	if err != nil {
		return nil, fmt.Errorf("reading gitleaks' rules: %w", err)
	}
	var used []definition
	for _, d := range defs {
		if d.regex != "" && (o.Generic || d.id != generic) {
			used = append(used, d)
		}
	}
	return compile(used, global)
}

// compile makes rules of definitions.
func compile(defs []definition, global []allowance) (*Rules, error) {
	r := &Rules{}
	var entries []gramEntry
	for i, d := range defs {
		rule, begin, err := newRule(d)
		if err != nil {
			return nil, fmt.Errorf("compiling rule %s: %w", d.id, err)
		}
		for _, b := range begin {
			entries = append(entries, gramEntry{b, uint16(i)})
		}
		r.rules = append(r.rules, rule)
		r.ahead = max(r.ahead, rule.reach)
	}
	r.grams = newGrams(entries)
	r.ahead += near
	for _, a := range global {
		r.paths.patterns = append(r.paths.patterns, a.paths...)
		a.paths = nil
		r.allow = append(r.allow, allowList{allowance: a})
	}
	return r, nil
}
