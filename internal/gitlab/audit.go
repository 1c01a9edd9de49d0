package gitlab

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/secret"
)

// Note is the severity of what is worth knowing and no finding.
const Note finding.Severity = "note"

// Rules of an audit.
const (
	RuleUnmasked    = "not-masked"    // GitLab could mask it, and does not
	RuleUnmaskable  = "not-maskable"  // GitLab cannot mask the value
	RuleUnprotected = "not-protected" // every branch's jobs get it
	RuleExpanded    = "expanded"      // a $ in it is a reference
	RuleMaskedFile  = "masked-file"   // the mask is of the content
	RuleHidden      = "hidden"        // its value cannot be read, so not compared
	RuleScopes      = "scopes"        // several of one name
	RuleDiffers     = "differs"       // a SOPS leaf has another value
	RuleStaged      = "cut-off"       // left by a sync that was cut off
)

// A Finding says what would leak, and why. It never holds a value.
type Finding struct {
	Rule     string           `json:"rule"`
	Severity finding.Severity `json:"severity"`
	Message  string           `json:"message"`
	Advice   string           `json:"advice,omitempty"`
}

// A Row is a variable with what there is to say about it.
type Row struct {
	Variable
	Secret   string    `json:"secret,omitempty"` // why it is taken for a secret; "" if it is not
	Mark     string    `json:"managed_by_sync,omitempty"`
	Findings []Finding `json:"findings"`
}

// How a SOPS leaf compares.
const (
	Same      = "same"
	Differs   = "differs"
	Unknown   = "unknown" // the variable is hidden
	Missing   = "missing"
	SameValue = "same value" // in a variable of another name
)

// A Leaf is one SOPS leaf held against one variable.
type Leaf struct {
	Secret   string `json:"secret"`
	Origin   string `json:"origin"`
	Owner    Owner  `json:"owner"`
	Variable string `json:"variable"`
	Scope    string `json:"scope,omitempty"`
	State    string `json:"state"`
}

// A Report is what an audit found.
type Report struct {
	Variables []Row  `json:"variables"`
	Secrets   []Leaf `json:"secrets"`
	Errors    int    `json:"errors"`
	Warnings  int    `json:"warnings"`
}

// AuditOptions say what an audit cannot know from GitLab.
type AuditOptions struct {
	Owners []Owner
	Set    secret.Set        // leaves to compare with
	Names  map[string]string // id → name of its variable, as in SyncOptions
	// Looks says of a variable that nobody masks whether it is a secret by its
	// name or value, and why.
	Looks func(name, value string) (why string, ok bool)
}

// Audit reads the variables of every owner and judges them.
func (c *Client) Audit(ctx context.Context, o AuditOptions) (Report, error) {
	r := Report{Variables: []Row{}, Secrets: []Leaf{}}
	seal := newSealer(o.Set)
	for _, owner := range o.Owners {
		have, err := c.List(ctx, owner)
		if err != nil {
			return Report{}, err
		}
		sealed := c.everyBranchProtected(ctx, owner)
		leaves, known := compare(owner, have, o, seal)
		r.Secrets = append(r.Secrets, leaves...)
		for _, v := range have {
			r.Variables = append(r.Variables, judge(v, have, known[key{v.Name, v.Scope}], sealed, o))
		}
	}
	slices.SortStableFunc(r.Variables, func(a, b Row) int {
		return cmp.Or(slices.Index(o.Owners, a.Owner)-slices.Index(o.Owners, b.Owner), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Scope, b.Scope))
	})
	r.shadows()
	for _, row := range r.Variables {
		for _, f := range row.Findings {
			switch f.Severity {
			case finding.Error:
				r.Errors++
			case finding.Warning:
				r.Warnings++
			}
		}
	}
	return r, nil
}

type key struct{ name, scope string }

// compare holds every leaf against the variables of its name, in each scope, and
// against the values of all others. What it says of a variable is for judge.
func compare(owner Owner, have []Variable, o AuditOptions, seal sealer) ([]Leaf, map[key]Leaf) {
	var leaves []Leaf
	known := map[key]Leaf{}
	sums := make([]sum, len(have)) // of each value once: 8,000 variables meet hundreds of leaves
	for i, v := range have {
		sums[i] = digest(plain(v.value))
	}
	for _, sec := range o.Set.Mounted() {
		name := cmp.Or(o.Names[sec.ID()], variableName(sec.ID()))
		leaf := Leaf{Secret: sec.ID(), Origin: sec.Origin(), Owner: owner, Variable: name}
		stored := formsOf(plain(sec))
		found := false
		for i, v := range have {
			l := leaf
			l.Scope = v.Scope
			switch l.State = stored.state(v, sums[i], seal); {
			case v.Name == name:
				found = true
			case l.State == Same && sec.Len() >= minTelling:
				l.Variable, l.State = v.Name, SameValue
			default:
				continue
			}
			leaves = append(leaves, l)
			if old, ok := known[key{v.Name, v.Scope}]; !ok || old.State == SameValue {
				known[key{v.Name, v.Scope}] = l
			}
		}
		if !found {
			leaf.State = Missing
			leaves = append(leaves, leaf)
		}
	}
	return leaves, known
}

// minTelling is the length of a value, in bytes, from which on two that are
// equal are the same secret and no coincidence.
const minTelling = 8

// forms are a secret in each form in which sync stores it.
type forms struct {
	texts []string
	sums  []sum
}

func formsOf(value string) forms {
	short, _ := oneLineBreak(value)
	f := forms{texts: []string{value, short, base64.StdEncoding.EncodeToString([]byte(value))}}
	for _, text := range f.texts {
		f.sums = append(f.sums, digest(text))
	}
	return f
}

// state compares a variable with a secret.
func (f forms) state(v Variable, its sum, seal sealer) string {
	same, known := false, !v.Hidden
	if m, ok := parseMark(v.description); v.Hidden && ok {
		for _, text := range f.texts {
			code := seal.code(v.Name, strings.TrimPrefix(v.Scope, staging), text)
			same, known = m.same(code) || same, m.comparable(code)
		}
	}
	for _, s := range f.sums {
		same = !v.Hidden && s.equal(its) || same
	}
	switch {
	case same:
		return Same
	case !known:
		return Unknown
	}
	return Differs
}

// shadows notes a variable of a project that a group has too, by which the
// group's is never seen.
func (r *Report) shadows() {
	groups := map[string]Owner{}
	for _, row := range r.Variables {
		if row.Owner.Group {
			groups[row.Name] = row.Owner
		}
	}
	for i := range r.Variables {
		row := &r.Variables[i]
		if g, ok := groups[row.Name]; ok && !row.Owner.Group {
			row.add(RuleScopes, Note, fmt.Sprintf("the %s has a variable of this name too; jobs get the project's", g), "")
		}
	}
}
