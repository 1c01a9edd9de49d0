package rules

import "strings"

// A glob is a pattern of path.Match in which nothing but * is special, and that
// has * in the last part of a path only. It is held against as many parts of a
// name as it has. There is one for each kind of file, and every file of an image
// is held against all of them: path.Match itself took 4 % of a scan.
type glob struct {
	parts   []string // around each *
	slashes int
}

func globs(patterns ...string) []glob {
	list := make([]glob, len(patterns))
	for i, p := range patterns {
		list[i] = glob{strings.Split(p, "*"), strings.Count(p, "/")}
	}
	return list
}

// match says whether a name of as many parts is meant.
func (g glob) match(name string) bool {
	first, last := g.parts[0], g.parts[len(g.parts)-1]
	if len(g.parts) == 1 {
		return name == first
	}
	if len(name) < len(first)+len(last) || !strings.HasPrefix(name, first) || !strings.HasSuffix(name, last) {
		return false
	}
	name = name[len(first) : len(name)-len(last)]
	for _, part := range g.parts[1 : len(g.parts)-1] {
		_, rest, ok := strings.Cut(name, part)
		if !ok {
			return false
		}
		name = rest
	}
	return true
}
