package buildkit

import (
	"path"
	"slices"
	"strings"

	"github.com/moby/buildkit/solver/pb"
	"github.com/org/secure-build/internal/finding"
	sh "mvdan.cc/sh/v3/syntax"
)

// maxScript bounds the script of a step that is parsed, in bytes. A parser goes
// as deep as brackets do.
const maxScript = 64 << 10

// A script is what a step runs, with the secrets that it mounts.
type script struct {
	files map[string]string // path → id
	vars  map[string]string // variable → id
	other []string          // where something else is mounted: not part of the image
}

// steps looks at what each step does with the secrets that it mounts. All that
// it says is a warning: a shell can do the same in more ways than can be told
// from outside. (What is printed is masked in our log, and what is kept is
// found by the scan.)
func (c *checking) steps(graphs []graph) {
	for _, g := range graphs {
		for _, d := range g.order {
			if exec := g.ops[d].GetExec(); exec != nil {
				s := scriptOf(exec)
				if len(s.files)+len(s.vars) > 0 {
					c.step(s, exec.GetMeta().GetArgs(), g.line(d))
				}
			}
		}
	}
}

func scriptOf(exec *pb.ExecOp) script {
	s := script{files: map[string]string{}, vars: map[string]string{}}
	for _, m := range exec.Mounts {
		if m.MountType == pb.MountType_SECRET {
			s.files[m.Dest] = m.GetSecretOpt().GetID()
		} else if m.Dest != "/" {
			s.other = append(s.other, m.Dest)
		}
	}
	for _, v := range exec.Secretenv {
		s.vars[v.Name] = v.ID
	}
	return s
}

// step reads a step's command line: a script for a shell, or a program of its
// own with its arguments. What is for another interpreter is left alone.
func (c *checking) step(s script, args []string, line int) {
	var file *sh.File
	switch {
	case len(args) == 3 && strings.HasPrefix(args[1], "-") && strings.HasSuffix(args[1], "c"):
		if !slices.Contains([]string{"sh", "bash", "ash", "dash", "zsh", "ksh"}, path.Base(args[0])) {
			return
		}
		if strings.Contains(args[1], "x") {
			c.traced(s, line)
		}
		file = parseShell(args[2])
	case len(args) > 0:
		var words []string
		for _, a := range args {
			q, err := sh.Quote(a, sh.LangBash)
			if err != nil {
				return
			}
			words = append(words, q)
		}
		file = parseShell(strings.Join(words, " "))
	}
	if file == nil {
		return
	}
	w := walker{script: s, shell: map[string]string{}, problem: func(rule, remedy, format string, args ...any) {
		c.problem(finding.Warning, rule, line, remedy, format, args...)
	}}
	w.removed = removed(file)
	w.stmts(file.Stmts, true)
	if w.traced {
		c.traced(s, line)
	}
}

func (c *checking) traced(s script, line int) {
	c.problem(finding.Warning, RulePrinted, line, "use set +x around the commands that use it", "set -x prints the commands with the values of %s in them", s.ids())
}

// ids lists the ids of a script's secrets.
func (s script) ids() string {
	var all []string
	for _, m := range []map[string]string{s.files, s.vars} {
		for _, id := range m {
			all = append(all, id)
		}
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ", ")
}

// parseShell reads a script; nil for one that is too long or is none.
func parseShell(text string) *sh.File {
	if len(text) > maxScript {
		return nil
	}
	file, err := sh.NewParser(sh.Variant(sh.LangBash)).Parse(strings.NewReader(text), "")
	if err != nil {
		return nil
	}
	return file
}

// removed lists the paths that a script removes.
func removed(file *sh.File) []string {
	var paths []string
	sh.Walk(file, func(n sh.Node) bool {
		if call, ok := n.(*sh.CallExpr); ok && len(call.Args) > 1 {
			if name := call.Args[0].Lit(); name == "rm" || name == "shred" {
				for _, a := range call.Args[1:] {
					paths = append(paths, literal(a))
				}
			}
		}
		return true
	})
	return paths
}

// literal is a word's text, as far as it can be told; variables are left out.
func literal(w *sh.Word) string {
	var b strings.Builder
	for _, p := range w.Parts {
		switch p := p.(type) {
		case *sh.Lit:
			b.WriteString(p.Value)
		case *sh.SglQuoted:
			b.WriteString(p.Value)
		case *sh.DblQuoted:
			for _, q := range p.Parts {
				if lit, ok := q.(*sh.Lit); ok {
					b.WriteString(lit.Value)
				}
			}
		}
	}
	return b.String()
}
