package buildkit

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	lexer "github.com/moby/buildkit/frontend/dockerfile/shell"
)

// reached lists the stages, by index, that the target is built from: those that
// it builds on, copies from and mounts. A stage that a named context stands in
// for is left out with all that only it needs.
func reached(stages []instructions.Stage, globals []instructions.ArgCommand, req Request) []int {
	target := targetOf(stages, req.Target)
	if target < 0 {
		return nil
	}
	env := globalValues(globals, req.BuildArgs)
	lex := lexer.NewLex('\\')
	found := map[int]bool{}
	for todo := []int{target}; len(todo) > 0; todo = todo[1:] {
		at := todo[0]
		if at < 0 || found[at] {
			continue
		}
		found[at] = true
		base := stages[at].BaseName
		if word, _, err := lex.ProcessWord(base, lexer.EnvsFromSlice(env)); err == nil {
			base = word
		}
		todo = append(todo, stageAt(stages, base, at))
		for _, cmd := range stages[at].Commands {
			if o, ok := cmd.(*instructions.OnbuildCommand); ok {
				cmd = onbuild(o.Expression)
			}
			for _, from := range froms(cmd) {
				if n, err := strconv.Atoi(from); err == nil && n >= 0 && n < len(stages) {
					todo = append(todo, n)
				} else {
					todo = append(todo, stageAt(stages, from, len(stages)))
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// targetOf finds the stage to build, by name or number; -1 for none.
func targetOf(stages []instructions.Stage, name string) int {
	if name == "" {
		return len(stages) - 1
	}
	if at := stageAt(stages, name, len(stages)); at >= 0 {
		return at
	}
	if at, err := strconv.Atoi(name); err == nil && at >= 0 && at < len(stages) {
		return at
	}
	return -1
}

// froms lists the stages that an instruction takes files from.
func froms(cmd instructions.Command) []string {
	var names []string
	switch cmd := cmd.(type) {
	case *instructions.CopyCommand:
		names = append(names, cmd.From)
	case *instructions.RunCommand:
		for _, m := range instructions.GetMounts(cmd) {
			names = append(names, m.From)
		}
	}
	return slices.DeleteFunc(names, func(s string) bool { return s == "" })
}

// globalValues are the variables of the ARGs above the first FROM.
func globalValues(globals []instructions.ArgCommand, args map[string]string) []string {
	var env []string
	lex := lexer.NewLex('\\')
	for _, cmd := range globals {
		for _, a := range cmd.Args {
			value, ok := args[a.Key]
			if !ok && a.Value != nil {
				value = *a.Value
				if word, _, err := lex.ProcessWord(value, lexer.EnvsFromSlice(env)); err == nil {
					value = word
				}
			}
			if ok || a.Value != nil {
				env = append(env, a.Key+"="+strings.TrimSpace(value))
			}
		}
	}
	return env
}
