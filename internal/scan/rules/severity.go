package rules

import (
	"regexp/syntax"

	"github.com/org/secure-build/internal/finding"
)

// hesitant are the rules whose matches are too often none to stop a build,
// although they do not look like it.
var hesitant = map[string]bool{
	"curl-auth-header":         true, // documentation
	"curl-auth-user":           true, // documentation
	"facebook-access-token":    true, // digits, and a word nearby
	"flutterwave-public-key":   true, // public
	"hashicorp-tf-password":    true, // any word
	"jwt":                      true, // often public, mostly expired, and in many a manual
	"jwt-base64":               true,
	"kubernetes-secret-yaml":   true, // templates
	"lob-pub-api-key":          true, // public
	"mailgun-pub-key":          true, // public
	"mapbox-api-token":         true, // public
	"nuget-config-password":    true,
	"sidekiq-secret":           true,
	"sourcegraph-access-token": true, // any Git commit, with a word nearby
	generic:                    true,
}

// severityOf tells the rules that know a token by its own shape, which block,
// from those that know only the word before it ("airtable = …"), which warn.
func severityOf(id string, tree *syntax.Regexp) finding.Severity {
	if hesitant[id] || beginsOptional(tree) && !prefixed(tree) {
		return finding.Warning
	}
	return finding.Error
}

func isWeak(s finding.Severity) bool { return s == finding.Warning }

func outranks(a, b Hit) bool { return a.Severity == finding.Error && b.Severity == finding.Warning }

// beginsOptional says whether an expression begins as gitleaks' rules for
// assignments do: with what may stand before a word.
func beginsOptional(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpConcat:
		return len(re.Sub) > 3 && optional(re.Sub[0])
	case syntax.OpAlternate:
		return beginsOptional(re.Sub[0])
	}
	return false
}

// prefixed says whether what an expression captures begins with a prefix of its
// own, of three letters or more.
func prefixed(re *syntax.Regexp) bool {
	if re.Op == syntax.OpCapture {
		first := re.Sub[0]
		for first.Op == syntax.OpConcat {
			first = first.Sub[0]
		}
		return first.Op == syntax.OpLiteral && len(first.Rune) >= 3
	}
	for _, sub := range re.Sub {
		if sub.MaxCap() > 0 {
			return prefixed(sub)
		}
	}
	return false
}
