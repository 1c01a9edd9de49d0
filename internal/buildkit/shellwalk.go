package buildkit

import (
	"maps"
	"path"
	"slices"
	"strings"

	sh "mvdan.cc/sh/v3/syntax"
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
	removed []string          // paths that the script removes again
	shell   map[string]string // variables of the shell that a secret was put into → id
	tracing bool              // set -x
	traced  bool              // a command was traced that has a secret in its words
	depth   int
}

// maxNesting bounds how deep a walk goes into a script.
const maxNesting = 200

// stmts walks statements whose output goes to the log, or not.
func (w *walker) stmts(list []*sh.Stmt, shown bool) {
	for _, s := range list {
		w.stmt(s, shown)
	}
}

// stmt walks one, and returns the id of a secret that it writes to its output.
func (w *walker) stmt(s *sh.Stmt, shown bool) (id string) {
	if s == nil || w.depth > maxNesting {
		return ""
	}
	w.depth++
	defer func() { w.depth-- }()
	input := ""
	target, redirected := "", false
	for _, r := range s.Redirs {
		switch r.Op {
		case sh.RdrIn:
			input = w.file(literal(r.Word))
		case sh.RdrOut, sh.AppOut, sh.RdrClob, sh.RdrAll, sh.AppAll:
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
func (w *walker) command(cmd sh.Command, input string, shown bool) string {
	switch cmd := cmd.(type) {
	case *sh.CallExpr:
		return w.call(cmd, input, shown)
	case *sh.BinaryCmd:
		if cmd.Op == sh.Pipe || cmd.Op == sh.PipeAll {
			return w.piped(w.stmt(cmd.X, false), cmd.Y, shown)
		}
		first := w.stmt(cmd.X, shown)
		if second := w.stmt(cmd.Y, shown); second != "" {
			return second
		}
		return first
	}
	if d, ok := cmd.(*sh.DeclClause); ok {
		w.declare(d, shown)
		return ""
	}
	// Blocks, loops, conditions, functions: what is in them is looked at alone.
	if cmd != nil {
		sh.Walk(cmd, func(n sh.Node) bool {
			switch n := n.(type) {
			case *sh.Stmt:
				w.stmt(n, shown)
				return false
			case *sh.CmdSubst:
				w.stmts(n.Stmts, false)
				return false
			case *sh.ProcSubst:
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
func (w *walker) piped(id string, s *sh.Stmt, shown bool) string {
	call, ok := s.Cmd.(*sh.CallExpr)
	if id == "" || !ok || len(call.Args) == 0 || !passes(call) {
		return w.stmt(s, shown)
	}
	if len(s.Redirs) > 0 {
		for _, r := range s.Redirs {
			if r.Op == sh.RdrOut || r.Op == sh.AppOut || r.Op == sh.RdrClob {
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
func passes(call *sh.CallExpr) bool {
	if !slices.Contains(readers, path.Base(call.Args[0].Lit())) {
		return false
	}
	return !slices.ContainsFunc(call.Args[1:], func(a *sh.Word) bool {
		l := literal(a)
		return l == "-q" || l == "-c" && path.Base(call.Args[0].Lit()) == "grep" || l == "--quiet" || l == "-i" && path.Base(call.Args[0].Lit()) == "sed"
	})
}

// call walks a simple command.
func (w *walker) call(call *sh.CallExpr, input string, shown bool) string {
	for _, a := range call.Assigns {
		w.assign(a)
	}
	if len(call.Args) == 0 {
		return ""
	}
	name, args := path.Base(call.Args[0].Lit()), call.Args[1:]
	id := ""
	for _, a := range args {
		if in := w.inWord(a); in != "" {
			id = in
			w.traced = w.traced || w.tracing
		}
	}
	switch {
	case name == "set" && slices.ContainsFunc(args, func(a *sh.Word) bool {
		l := literal(a)
		return l == "xtrace" || strings.HasPrefix(l, "-") && !strings.HasPrefix(l, "--") && strings.Contains(l, "x")
	}):
		w.tracing = true
		return ""
	case name == "set" && len(args) > 0 && literal(args[0]) == "+x":
		w.tracing = false
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
func dumps(name string, args []*sh.Word) bool {
	switch name {
	case "env", "set":
		return len(args) == 0
	}
	return false
}

// declare walks export, declare and local: with -p or with nothing they show all.
func (w *walker) declare(d *sh.DeclClause, shown bool) {
	all := len(d.Args) == 0
	for _, a := range d.Args {
		if a.Value == nil {
			continue
		}
		if a.Naked && literal(a.Value) == "-p" {
			all = true
		} else if id := w.assign(a); id != "" && d.Variant.Value == "export" {
			w.vars[a.Name.Value] = id
		}
	}
	if id := w.environment(d.Variant.Value, nil); all && shown && id != "" {
		w.printed(id, d.Variant.Value)
	}
}

// assign notes a variable that a secret is put into.
func (w *walker) assign(a *sh.Assign) (id string) {
	if a.Value == nil || a.Name == nil {
		return ""
	}
	if id = w.inWord(a.Value); id != "" {
		w.shell[a.Name.Value] = id
		w.traced = w.traced || w.tracing
	}
	return id
}

// environment is the secret that a look at the environment shows.
func (w *walker) environment(name string, args []*sh.Word) string {
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
