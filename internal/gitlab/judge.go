package gitlab

import (
	"fmt"
	"strings"

	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/maskable"
)

// judge says what would leak of one variable, and why. What nobody takes for a
// secret (a log level) may lie open.
func judge(v Variable, all []Variable, leaf Leaf, everyBranchProtected bool, o AuditOptions) Row {
	row := Row{Variable: v, Findings: []Finding{}}
	if m, ok := parseMark(v.description); ok {
		row.Mark = oneLine(m.origin)
	}
	value := plain(v.value)
	row.Secret = secretBecause(v, all, leaf, value, o)
	if strings.HasPrefix(v.Scope, staging) {
		row.add(RuleStaged, finding.Warning, "a sync was cut off while it replaced this variable", "run the same sync again")
	}
	if v.Hidden && leaf.State != Same && leaf.State != Differs {
		row.add(RuleHidden, Note, "its value cannot be read by anybody, so it was not compared", "")
	}
	if leaf.State == Differs {
		row.add(RuleDiffers, finding.Warning, "its value is not that of "+oneLine(leaf.Origin), "secure-build gitlab sync shows what it would change")
	}
	if row.Secret == "" {
		return row
	}
	row.mask(value)
	if !v.Protected {
		row.protection(everyBranchProtected)
	}
	if !v.Raw && strings.Contains(value, "$") {
		row.add(RuleExpanded, finding.Warning, "a $ in its value is taken for a reference to another variable, so jobs may get something else, which no mask fits", "set it to raw (no variable expansion)")
	}
	row.scopes(all)
	return row
}

// secretBecause says why a variable is taken for a secret; "" if it is not.
func secretBecause(v Variable, all []Variable, leaf Leaf, value string, o AuditOptions) string {
	switch {
	case leaf.State == Same, leaf.State == SameValue:
		return "it has the value of " + oneLine(leaf.Origin)
	case leaf.State != "":
		return "it is named like " + oneLine(leaf.Origin)
	case v.Hidden:
		return "it is hidden"
	case v.Masked:
		return "it is masked"
	}
	for _, other := range all {
		if other.Name == v.Name && (other.Masked || other.Hidden) {
			return "it is masked in the scope " + other.Scope
		}
	}
	if strings.HasPrefix(strings.TrimSpace(value), "-----BEGIN ") && strings.Contains(value, "PRIVATE KEY-----") {
		return "it is a private key"
	}
	if o.Looks != nil {
		if why, ok := o.Looks(v.Name, value); ok {
			return why
		}
	}
	return ""
}

// mask is about masking. (What is masked was fit to be when it was set.)
func (r *Row) mask(value string) {
	why := maskable.Obstacle(value, true)
	switch {
	case r.Masked && r.Type == TypeFile:
		r.add(RuleMaskedFile, Note, "it is a file: the mask is of its content, and jobs get a path", "")
	case r.Masked:
	case why == "" && r.Raw, maskable.Value(value, false):
		r.add(RuleUnmasked, finding.Error, "a job's log shows it: it is not masked, and could be", "set it to masked")
	case why == "":
		r.add(RuleUnmasked, finding.Error, "a job's log shows it: it is not masked, and could be if it were raw", "set it to masked and raw")
	case r.Type == TypeFile:
		r.add(RuleUnmaskable, Note, "GitLab cannot mask its content: "+why+"; a job that prints the file shows it", "keep it out of logs, or store it as base64, masked")
	default:
		r.add(RuleUnmaskable, finding.Error, "a job's log shows it: GitLab cannot mask it, since "+why, "store it as base64 and masked, or as a file")
	}
}

func (r *Row) protection(everyBranchProtected bool) {
	if everyBranchProtected {
		r.add(RuleUnprotected, Note, "it is not protected; at present every branch of the project is", "")
		return
	}
	r.add(RuleUnprotected, finding.Warning, "jobs of every branch get it, of one that is not protected too: whoever may push a branch can read it", "set it to protected, or narrow its scope to a protected environment")
}

// scopes notes several variables of one name, and marks one that is kept less
// safe than its namesake.
func (r *Row) scopes(all []Variable) {
	var others []string
	for _, v := range all {
		if v.Name != r.Name || v.Scope == r.Scope {
			continue
		}
		others = append(others, v.Scope)
		if v.Protected && !r.Protected {
			r.add(RuleScopes, finding.Warning, "it is not protected, but is in the scope "+v.Scope, "set both alike")
		}
	}
	if len(others) > 0 {
		r.add(RuleScopes, Note, fmt.Sprintf("it is there in %d other scopes too (%s); a job gets the one that fits its environment best", len(others), shortened(others)), "")
	}
}

func (r *Row) add(rule string, s finding.Severity, message, advice string) {
	r.Findings = append(r.Findings, Finding{rule, s, message, advice})
}

// shortened joins the first few.
func shortened(all []string) string {
	const most = 3
	if len(all) <= most {
		return strings.Join(all, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(all[:most], ", "), len(all)-most)
}
