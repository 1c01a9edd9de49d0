package buildkit

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"

	sh "mvdan.cc/sh/v3/syntax"
)

// inWord is the secret that a word has in it: $TOKEN, or $(cat /run/secrets/x).
func (w *walker) inWord(word *sh.Word) (id string) {
	sh.Walk(word, func(n sh.Node) bool {
		switch n := n.(type) {
		case *sh.ParamExp:
			if n.Param != nil && !n.Length && (n.Exp == nil || n.Exp.Op != sh.AlternateUnset && n.Exp.Op != sh.AlternateUnsetOrNull) {
				id = cmp.Or(w.vars[n.Param.Value], w.shell[n.Param.Value], id)
			}
		case *sh.CmdSubst:
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
func (w *walker) anyFile(words []*sh.Word) string {
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
