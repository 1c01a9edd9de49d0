package buildkit

import (
	"context"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/org/secure-build/internal/finding"
)

// syntax says what "# syntax=" with a frontend of somebody else means for the
// check. err is why the file cannot be read as a Dockerfile, if it cannot.
func (c *checking) syntax(other string, err error) {
	const remedy = "a secret that the build asks for and no source gives is an error then"
	if err != nil {
		c.problem(finding.Warning, RuleSyntax, 1, remedy, "%s reads this file in the build, and it is no Dockerfile, so its secrets could not be checked: %v", other, err)
		return
	}
	c.problem(finding.Warning, RuleSyntax, 1, remedy, "%s reads this file in the build; it was checked as docker/dockerfile reads it", other)
}

// buildChecks runs BuildKit's own checks. Their warnings never block, as in any
// build, unless the Dockerfile wants it ("# check=error=true").
func (c *checking) buildChecks(ctx context.Context, stages []instructions.Stage) error {
	res, err := c.lint(ctx)
	if err != nil {
		return err
	}
	own := func(line int) bool {
		return slices.ContainsFunc(c.problems, func(p finding.Problem) bool {
			return p.Line == line && (p.Rule == RuleEnv || p.Rule == RuleArg)
		})
	}
	for _, w := range res.Warnings {
		line := 0
		for _, r := range w.Location.GetRanges() {
			line = int(r.GetStart().GetLine())
			break
		}
		switch w.RuleName {
		case linter.RuleSecretsUsedInArgOrEnv.Name:
			if own(line) {
				continue
			}
		case linter.RuleUndefinedVar.Name:
			if c.unknown && !fromScratch(stages, line) {
				continue // the base image may define it
			}
		}
		c.problem(finding.Warning, w.RuleName, line, w.URL, "%s", w.Detail)
	}
	switch {
	case res.Error == nil: // an error in a stage that this build does not reach is none
	case strings.HasPrefix(res.Error.Message, "lint violation found"):
		c.problem(finding.Error, RuleCheck, 1, "mend what is warned of, or take error=true out of the check directive", "the Dockerfile lets BuildKit's own checks fail the build: %s", res.Error.Message)
	case strings.HasPrefix(res.Error.Message, "failed to parse check options"):
		c.problem(finding.Error, RuleCheck, 1, "", "the check directive cannot be read: %s", res.Error.Message)
	}
	return nil
}

// noLint is a linter that says nothing. (Without one, BuildKit's parser panics on
// a "# check=" that stands below the first lines.)
func noLint() *linter.Linter { return linter.New(&linter.Config{}) }

// fromScratch says whether the stage of a line has no base image.
func fromScratch(stages []instructions.Stage, line int) bool {
	at := -1
	for i, s := range stages {
		if len(s.Location) > 0 && s.Location[0].Start.Line <= line {
			at = i
		}
	}
	for at >= 0 {
		if strings.EqualFold(stages[at].BaseName, "scratch") {
			return true
		}
		at = stageAt(stages, stages[at].BaseName, at)
	}
	return false
}
