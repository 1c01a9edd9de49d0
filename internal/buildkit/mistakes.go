package buildkit

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/hint"
)

const (
	useMount = "mount it where it is used instead: RUN --mount=type=secret,id=ID,env=NAME …"
	useAuth  = "give the login as a secret (HTTP_AUTH_HEADER_<host> or GIT_AUTH_TOKEN), or fetch it in a RUN that mounts it"
)

// mistakes looks at the instructions of the stages that the target reaches for
// what lets a secret out. What surely does is an error; a guess is a warning.
func (c *checking) mistakes(stages []instructions.Stage, globals []instructions.ArgCommand) {
	for _, a := range globals {
		c.argument(&a)
	}
	for _, i := range reached(stages, globals, c.req) {
		for _, cmd := range stages[i].Commands {
			c.instruction(cmd, lineAt(cmd))
		}
	}
	c.passed(stages, globals)
}

func lineAt(cmd instructions.Command) int {
	if l := cmd.Location(); len(l) > 0 {
		return l[0].Start.Line
	}
	return 0
}

func (c *checking) instruction(cmd instructions.Command, line int) {
	switch cmd := cmd.(type) {
	case *instructions.EnvCommand:
		for _, kv := range cmd.Env {
			c.variable("ENV", RuleEnv, kv.Key, kv.Value, line)
		}
	case *instructions.ArgCommand:
		c.argument(cmd)
	case *instructions.LabelCommand:
		for _, kv := range cmd.Labels {
			c.prose("LABEL", RuleLabel, kv.Value, line)
		}
	case *instructions.AddCommand:
		c.sources("ADD", cmd.SourcesAndDest, line)
	case *instructions.CopyCommand:
		c.sources("COPY", cmd.SourcesAndDest, line)
	case *instructions.RunCommand:
		c.prose("RUN", RuleRun, strings.Join(cmd.CmdLine, " "), line)
		for _, f := range cmd.Files {
			c.prose("RUN", RuleRun, f.Data, line)
		}
	case *instructions.CmdCommand:
		c.prose("CMD", RuleEnv, strings.Join(cmd.CmdLine, " "), line)
	case *instructions.EntrypointCommand:
		c.prose("ENTRYPOINT", RuleEnv, strings.Join(cmd.CmdLine, " "), line)
	case *instructions.OnbuildCommand:
		if inner := onbuild(cmd.Expression); inner != nil {
			c.instruction(inner, line)
		}
	}
}

// onbuild reads the instruction in an ONBUILD; nil if it cannot be read.
func onbuild(expression string) instructions.Command {
	ast, err := parser.Parse(strings.NewReader(expression))
	if err != nil || len(ast.AST.Children) != 1 {
		return nil
	}
	cmd, err := instructions.ParseCommand(ast.AST.Children[0])
	if err != nil {
		return nil
	}
	return cmd
}

// like is the given secret whose name a variable has, in whatever case and with
// whatever between its words; "" for none. said tells it in a message.
func (c *checking) like(name string) (id, said string) {
	if slices.Contains(c.given.IDs, name) {
		return name, fmt.Sprintf(", like the secret %q", name)
	}
	for _, id := range c.given.IDs {
		if hint.Alike(id, name) {
			return id, fmt.Sprintf(", like the secret %q", id)
		}
	}
	return "", ""
}

// argument looks at an ARG. One named like a secret is meant to be given one.
func (c *checking) argument(cmd *instructions.ArgCommand) {
	line := lineAt(cmd)
	for _, a := range cmd.Args {
		id, like := c.like(a.Key)
		switch {
		case a.Value != nil && (vendorKey(*a.Value) || len(urlCredentials(*a.Value)) > 0):
			c.variable("ARG", RuleArg, a.Key, *a.Value, line)
		case (id != "" || secretName(a.Key)) && (a.Value == nil || *a.Value == "" || !harmless(*a.Value)):
			c.problem(finding.Warning, RuleArg, line, useMount, "ARG %s%s: a build argument is not secret: the image's history and its provenance have its value", a.Key, like)
		}
	}
}

// variable looks at what an instruction sets.
func (c *checking) variable(instruction, rule, name, value string, line int) {
	id, like := c.like(name)
	switch {
	case vendorKey(value):
		c.problem(finding.Error, rule, line, useMount+"; and make a new one, since this one is in the Dockerfile", "%s %s has a key in it", instruction, name)
	case len(urlCredentials(value)) > 0:
		c.problem(finding.Warning, rule, line, useMount, "%s %s has a URL with a password in it", instruction, name)
	case id == "" && !secretName(name):
	case indirect.MatchString(strings.Trim(value, `"'`)) && !strings.Contains(value, ":-"):
		c.problem(finding.Warning, rule, line, useMount, "%s %s%s: what the build is given for it stays in the image's configuration", instruction, name, like)
	case !harmless(value):
		c.problem(finding.Warning, rule, line, useMount, "%s %s%s: its value stays in the image's configuration, for everyone who can pull it", instruction, name, like)
	}
}

// prose looks at what an instruction leaves in the image's configuration or history.
func (c *checking) prose(instruction, rule, text string, line int) {
	if vendorKey(text) {
		c.problem(finding.Error, rule, line, useMount+"; and make a new one, since this one is in the Dockerfile", "%s has a key in it", instruction)
	}
	for _, u := range urlCredentials(text) {
		switch {
		case !u.variable && u.fetched() && instruction == "RUN":
			c.problem(finding.Error, RuleURL, line, useMount, "RUN has a URL with a password in it, which stays in the image's history (%s)", u.host)
		case !u.variable:
			c.problem(finding.Warning, RuleURL, line, useMount, "%s has a URL with a password in it (%s)", instruction, u.host)
		case instruction == "RUN" && u.fetched() && keepsURL(text):
			c.problem(finding.Warning, RuleURL, line, "use git -c http.extraHeader=…, or a credential helper, or remove .git in the same RUN", "git keeps the URL with its password in .git/config (%s)", u.host)
		}
	}
}

// keepsURL says that a command is one after which git remembers the URL.
func keepsURL(text string) bool {
	for _, s := range []string{"git clone", "git remote", "git submodule", "git config"} {
		if strings.Contains(text, s) {
			return true
		}
	}
	return false
}

// sources looks at the sources of ADD and COPY that are no files of the context.
func (c *checking) sources(instruction string, s instructions.SourcesAndDest, line int) {
	for _, src := range s.SourcePaths {
		for _, u := range urlCredentials(src) {
			how := "which stays in the image's history"
			if u.variable {
				how = "which comes from a build argument or ENV and stays in the image's history"
			}
			c.problem(finding.Error, RuleURL, line, useAuth, "%s from a URL with a password in it, %s (%s)", instruction, how, u.host)
		}
	}
	for _, f := range s.SourceContents {
		c.prose(instruction, RuleCopy, f.Data, line)
	}
}

// passed looks at the build arguments and labels that the build is given.
func (c *checking) passed(stages []instructions.Stage, globals []instructions.ArgCommand) {
	lines := declared(stages, globals)
	for _, name := range slices.Sorted(maps.Keys(c.req.BuildArgs)) {
		value := c.req.BuildArgs[name]
		id, like := c.like(name)
		remedy := fmt.Sprintf("leave --build-arg %s out, and use RUN --mount=type=secret,id=%s,env=%s …", name, id, name)
		switch {
		case value == "":
		case id != "" && id == name:
			c.problem(finding.Error, RuleBuildArg, lines[name], remedy, "the secret %q is passed as a build argument too", id)
		case id != "" && secretName(name) && !harmless(value):
			c.problem(finding.Error, RuleBuildArg, lines[name], remedy, "the secret %q is passed as the build argument %s too", id, name)
		case vendorKey(value):
			c.problem(finding.Error, RuleBuildArg, lines[name], useMount, "the build argument %s has a key in it", name)
		case len(urlCredentials(value)) > 0:
			c.problem(finding.Warning, RuleBuildArg, lines[name], useMount, "the build argument %s has a URL with a password in it", name)
		case id != "" && !harmless(value):
			c.problem(finding.Warning, RuleBuildArg, lines[name], remedy, "the build argument %s is named%s", name, strings.TrimPrefix(like, ","))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.req.Labels)) {
		if vendorKey(c.req.Labels[name]) {
			c.problem(finding.Error, RuleLabel, 0, "labels are for everyone who can pull the image", "the label %s has a key in it", name)
		}
	}
}

// declared maps the build arguments to the lines that first declare them.
func declared(stages []instructions.Stage, globals []instructions.ArgCommand) map[string]int {
	lines := map[string]int{}
	note := func(a *instructions.ArgCommand) {
		for _, kv := range a.Args {
			if lines[kv.Key] == 0 {
				lines[kv.Key] = lineAt(a)
			}
		}
	}
	for _, a := range globals {
		note(&a)
	}
	for _, s := range stages {
		for _, cmd := range s.Commands {
			if a, ok := cmd.(*instructions.ArgCommand); ok {
				note(a)
			}
		}
	}
	return lines
}
