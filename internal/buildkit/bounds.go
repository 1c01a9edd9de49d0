package buildkit

import (
	"fmt"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/org/secure-build/internal/hint"
)

// Bounds of a Dockerfile that the check takes on. BuildKit's frontend has none
// but 16 MiB and 64 KiB a line: its time grows with the square of the number of
// instructions (10,000 take it 10 s), and a variable that is twice another,
// forty times over, takes all memory.
const (
	maxDockerfile   = 4 << 20 // bytes
	maxInstructions = 5000    // an image has at most some 120 layers
	maxExpanded     = 64 << 20
)

// bounded refuses a Dockerfile that is too much.
func bounded(tree *parser.Node, args map[string]string) error {
	if n := len(tree.Children); n > maxInstructions {
		return hint.Wrap(fmt.Errorf("it has %d instructions, more than %d", n, maxInstructions), "put what belongs together into one RUN, with && or as a heredoc")
	}
	sizes := map[string]int{}
	for name, value := range args {
		sizes[name] = len(value)
	}
	total := 0
	for _, n := range tree.Children {
		grown := expanded(n.Original, sizes)
		if total += grown; total > maxExpanded {
			return hint.Wrap(fmt.Errorf("line %d: its variables grow to more than %d bytes", n.StartLine, maxExpanded), "does a variable hold another one several times?")
		}
		switch strings.ToUpper(n.Value) {
		case "ARG", "ENV":
			for name := range assigned(n) {
				sizes[name] = max(sizes[name], grown)
			}
		}
	}
	return nil
}

// assigned lists the variables that an ARG or ENV sets.
func assigned(n *parser.Node) map[string]bool {
	names := map[string]bool{}
	for at := n.Next; at != nil; at = at.Next {
		name, _, _ := strings.Cut(at.Value, "=")
		names[name] = true
	}
	return names
}

// expanded is the most that a text can have, in bytes, once its variables are
// filled in. What stands in ${…} may multiply (as a replacement does).
func expanded(text string, sizes map[string]int) int {
	n := len(text)
	for rest := text; n <= maxExpanded; {
		var ok bool
		if _, rest, ok = strings.Cut(rest, "$"); !ok {
			return n
		}
		braced := strings.HasPrefix(rest, "{")
		rest = strings.TrimPrefix(rest, "{")
		end := strings.IndexFunc(rest, func(r rune) bool { return !isNameRune(r) })
		if end < 0 {
			end = len(rest)
		}
		size := sizes[rest[:end]]
		rest = rest[end:]
		if braced && !strings.HasPrefix(rest, "}") {
			size *= 1 + len(rest)
		}
		n += size
	}
	return n
}

func isNameRune(r rune) bool {
	return r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}
