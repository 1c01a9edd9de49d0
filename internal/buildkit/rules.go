package buildkit

import (
	"slices"

	"github.com/org/secure-build/internal/finding"
)

// The rules of a Problem, beside those of BuildKit's own checks.
const (
	RuleMissing  = "missing-secret"   // a step mounts a secret that no source gives
	RuleUnused   = "unused-secret"    // a source gives a secret that no step mounts
	RuleEmpty    = "empty-secret"     // a mounted secret has no value
	RuleSyntax   = "unknown-syntax"   // the Dockerfile is for a frontend that is not Docker's
	RuleRemote   = "remote-context"   // the Dockerfile is not on this machine
	RuleValue    = "known-value"      // an option or the Dockerfile holds the value of a secret
	RuleEnv      = "secret-in-env"    // ENV, or the command that is run, holds a secret
	RuleArg      = "secret-in-arg"    // ARG is for a secret, or holds one
	RuleLabel    = "secret-in-label"  // a label holds one
	RuleRun      = "secret-in-run"    // a RUN holds one, not by mounting it
	RuleURL      = "password-in-url"  // a URL with a password
	RuleBuildArg = "secret-build-arg" // a secret is passed as build argument
	RuleCopy     = "copied-secret"    // a file with secrets is copied from the build context
	RulePrinted  = "printed-secret"   // a step prints a mounted secret
	RuleKept     = "kept-secret"      // a step writes a mounted secret into the image
	RuleCheck    = "build-check"      // "# check=error=true" makes BuildKit's own checks fail the build
)

// always are the rules that block whatever blocks: without these the build
// would not be what was asked for, or would let out what is known to be secret.
var always = []string{RuleMissing, RuleEmpty, RuleValue, RuleCheck}

// mistakes are the rules about what lets secrets out.
var mistakes = []string{RuleEnv, RuleArg, RuleLabel, RuleRun, RuleURL, RuleBuildArg, RuleCopy, RulePrinted, RuleKept}

// Judge sets the severities as --fail-on wants them: mistakes that surely let a
// secret out are warnings with known-value, and all mistakes are errors with
// warning. BuildKit's own checks and unused secrets stay warnings.
func Judge(problems []finding.Problem, on finding.FailOn) {
	for i, p := range problems {
		switch {
		case slices.Contains(always, p.Rule):
		case on == finding.FailOnKnown:
			problems[i].Severity = finding.Warning
		case on == finding.FailOnWarning && slices.Contains(mistakes, p.Rule):
			problems[i].Severity = finding.Error
		}
	}
}
