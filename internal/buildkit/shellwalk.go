package buildkit

import (
	"maps"
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// Commands that show what they read. With a quiet flag, or into a file, they do not.
var (
	readers = []string{"cat", "head", "tail", "more", "less", "base64", "base32", "xxd", "od", "hexdump", "tac", "nl", "strings", "rev", "tee", "sort", "cut", "tr", "sed", "awk", "grep"}
	copiers = []string{"cp", "mv", "install", "ln"}
)

// A walker goes through a script and notes where a secret comes out.
type walker struct {
	script
	problem func(rule, remedy, format string, args ...any)
	removed []string // paths that the script removes again
	tracing bool     // set -x
	expands bool     // a command has a secret in its words
	depth   int
}

// maxNesting bounds how deep a walk goes into a script.
const maxNesting = 200

// stmts walks statements whose output goes to the log, or not.
func (w *walker) stmts(list []*syntax.Stmt, shown bool) {
	for _, s := range list {
		w.stmt(s, shown)
	}
}

// stmt walks one, and returns the id of a secret that it writes to its output.
func (w *walker) stmt(s *syntax.Stmt, shown bool) (id string) {
	if s == nil || w.depth > maxNesting {
		return ""
	}
	w.depth++
	defer func() { w.depth-- }()
	input := ""
	target, redirected := "", false
	for _, r := range s.Redirs {
		switch r.Op {
		case syntax.RdrIn:
			input = w.file(literal(r.Word))
		case syntax.RdrOut, syntax.AppOut, syntax.RdrClob, syntax.RdrAll, syntax.AppAll:
			if r.N == nil || r.N.Value == "1" {
				target, redirected = literal(r.Word), true
			}
		}
	}
	if redirected && (target == "/dev/stderr" || target == "/dev/stdout" || target == "/dev/fd/1" || target == "/dev/fd/2") {
		redirected = false
	}
	id = w.command(s.Cmd, input, shown && !redirected)
	if id != "" && redirected {
		w.kept(id, target)
		return ""
	}
	return id
}

// command walks a command that reads the secret "input", or "".
func (w *walker) command(cmd syntax.Command, input string, shown bool) string {
	switch cmd := cmd.(type) {
	case *syntax.CallExpr:
		return w.call(cmd, input, shown)
	case *syntax.BinaryCmd:
		if cmd.Op == syntax.Pipe || cmd.Op == syntax.PipeAll {
			return w.piped(w.stmt(cmd.X, false), cmd.Y, shown)
		}
		first := w.stmt(cmd.X, shown)
		if second := w.stmt(cmd.Y, shown); second != "" {
			return second
		}
		return first
	}
	if d, ok := cmd.(*syntax.DeclClause); ok {
		w.declare(d, shown)
		return ""
	}
	// Blocks, loops, conditions, functions: what is in them is looked at alone.
	if cmd != nil {
		syntax.Walk(cmd, func(n syntax.Node) bool {
			switch n := n.(type) {
			case *syntax.Stmt:
				w.stmt(n, shown)
				return false
			case *syntax.CmdSubst:
				w.stmts(n.Stmts, false)
				return false
			case *syntax.ProcSubst:
				w.stmts(n.Stmts, false)
				return false
			}
			return true
		})
	}
	return ""
}

// piped walks the end of a pipe: a secret that comes in goes on through a
// command that shows what it reads.
func (w *walker) piped(id string, s *syntax.Stmt, shown bool) string {
	call, ok := s.Cmd.(*syntax.CallExpr)
	if id == "" || !ok || len(call.Args) == 0 || !passes(call) {
		return w.stmt(s, shown)
	}
	if len(s.Redirs) > 0 {
		for _, r := range s.Redirs {
			if r.Op == syntax.RdrOut || r.Op == syntax.AppOut || r.Op == syntax.RdrClob {
				w.kept(id, literal(r.Word))
			}
		}
		return ""
	}
	if path.Base(call.Args[0].Lit()) == "tee" {
		for _, a := range call.Args[1:] {
			w.kept(id, literal(a))
		}
	}
	if shown {
		w.printed(id, call.Args[0].Lit())
	}
	return id
}

// passes says that a command writes what it reads, in some form.
func passes(call *syntax.CallExpr) bool {
	if !slices.Contains(readers, path.Base(call.Args[0].Lit())) {
		return false
	}
	return !slices.ContainsFunc(call.Args[1:], func(a *syntax.Word) bool {
		l := literal(a)
		return l == "-q" || l == "-c" && path.Base(call.Args[0].Lit()) == "grep" || l == "--quiet" || l == "-i" && path.Base(call.Args[0].Lit()) == "sed"
	})
}

// call walks a simple command.
func (w *walker) call(call *syntax.CallExpr, input string, shown bool) string {
	for _, a := range call.Assigns {
		if a.Value != nil && w.inWord(a.Value) != "" {
			w.expands = true
		}
	}
	if len(call.Args) == 0 {
		return ""
	}
	name, args := path.Base(call.Args[0].Lit()), call.Args[1:]
	id := ""
	for _, a := range args {
		if in := w.inWord(a); in != "" {
			id, w.expands = in, true
		}
	}
	switch {
	case name == "set" && slices.ContainsFunc(args, func(a *syntax.Word) bool {
		l := literal(a)
		return l == "xtrace" || strings.HasPrefix(l, "-") && !strings.HasPrefix(l, "--") && strings.Contains(l, "x")
	}):
		w.tracing = true
		return ""
	case name == "printenv" || dumps(name, args):
		id = w.environment(name, args)
	case name == "echo" || name == "printf":
	case slices.Contains(readers, name) && passes(call):
		if id = input; id == "" {
			id = w.anyFile(args)
		}
	case slices.Contains(copiers, name) && len(args) > 1:
		if id := w.anyFile(args[:len(args)-1]); id != "" && name != "ln" {
			w.kept(id, literal(args[len(args)-1]))
		}
		return ""
	default:
		return ""
	}
	if id != "" && shown {
		w.printed(id, name)
	}
	return id
}

// dumps says that a command shows the whole environment.
func dumps(name string, args []*syntax.Word) bool {
	switch name {
	case "env", "set":
		return len(args) == 0
	}
	return false
}

// declare walks export, declare and local: with -p or with nothing they show all.
func (w *walker) declare(d *syntax.DeclClause, shown bool) {
	all := len(d.Args) == 0
	for _, a := range d.Args {
		if a.Value == nil {
			continue
		}
		if a.Naked && literal(a.Value) == "-p" {
			all = true
		} else if w.inWord(a.Value) != "" {
			w.expands = true
		}
	}
	if id := w.environment(d.Variant.Value, nil); all && shown && id != "" {
		w.printed(id, d.Variant.Value)
	}
}

// environment is the secret that a look at the environment shows.
func (w *walker) environment(name string, args []*syntax.Word) string {
	if name == "printenv" && len(args) > 0 {
		for _, a := range args {
			if id := w.vars[literal(a)]; id != "" {
				return id
			}
		}
		return ""
	}
	for _, v := range slices.Sorted(maps.Keys(w.vars)) {
		return w.vars[v]
	}
	return ""
}

// inWord is the secret that a word has in it: $TOKEN, or $(cat /run/secrets/x).
func (w *walker) inWord(word *syntax.Word) (id string) {
	syntax.Walk(word, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.ParamExp:
			if n.Param != nil && !n.Length && (n.Exp == nil || n.Exp.Op != syntax.AlternateUnset && n.Exp.Op != syntax.AlternateUnsetOrNull) && w.vars[n.Param.Value] != "" {
				id = w.vars[n.Param.Value]
			}
		case *syntax.CmdSubst:
			for _, s := range n.Stmts {
				if s.Cmd == nil && len(s.Redirs) == 1 { // $(<file)
					if in := w.file(literal(s.Redirs[0].Word)); in != "" {
						id = in
					}
				} else if in := w.stmt(s, false); in != "" {
					id = in
				}
			}
			return false
		}
		return true
	})
	return id
}

// anyFile is the secret whose file is among the words.
func (w *walker) anyFile(words []*syntax.Word) string {
	for _, a := range words {
		if id := w.file(literal(a)); id != "" {
			return id
		}
	}
	return ""
}

// file is the secret that a path, or a pattern, is the file of.
func (w *walker) file(name string) string {
	for _, f := range slices.Sorted(maps.Keys(w.files)) {
		if ok, err := path.Match(name, f); name != "" && (path.Clean(name) == path.Clean(f) || err == nil && ok) {
			return w.files[f]
		}
	}
	return ""
}

func (w *walker) printed(id, by string) {
	w.problem(RulePrinted, "leave it out; secure-build masks it in its own log, other logs have it in clear text", "%s prints the secret %q", by, id)
}

// kept notes that a secret is written to a path of the image.
func (w *walker) kept(id, to string) {
	switch {
	case to == "" || strings.HasPrefix(to, "/dev/") || strings.HasPrefix(to, "/proc/"), slices.Contains(w.removed, to):
		return
	case slices.ContainsFunc(w.other, func(dir string) bool { return to == dir || strings.HasPrefix(to, strings.TrimSuffix(dir, "/")+"/") }):
		return
	}
	w.problem(RuleKept, "mount it where the program looks for it: RUN --mount=type=secret,id="+id+",target="+to+" …, or remove it in the same RUN", "the secret %q is written to %s, in the image", id, to)
}
