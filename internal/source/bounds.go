package source

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"regexp/syntax"

	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/cmd/sops/formats"
	"go.yaml.in/yaml/v3"

	"github.com/org/secure-build/internal/hint"
)

// What a SOPS file may cost. Files in use are far below: sops itself is slow
// long before, and a build asks for a handful of secrets.
const (
	maxFile      = 4 << 20 // bytes
	maxStructure = 500_000 // bytes that can begin a value: , : [ { - and line breaks
	maxDepth     = 64      // maps and lists inside one another
	maxLeaves    = 10_000  // values and comments
	maxNodes     = 50_000  // keys, values, maps and lists
	maxLines     = 12_000  // of a flat format
	maxKeyName   = 4096    // bytes in one key of a flat format
	maxKeys      = 200     // recipients
	maxSelector  = 512     // bytes of encrypted_regex and the like
	maxMatching  = 50e6    // instructions compiled for one selector (some seconds)
)

var errTooMuch = errors.New("more than a SOPS file may hold")

func tooMuch(format string, args ...any) error {
	return hint.Wrap(fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), errTooMuch), "split the file, or is it no SOPS file?")
}

// checkBounds looks at the bytes before the sops library may: the library
// expands YAML aliases and recurses without a limit, and a stack that
// overflows cannot be recovered from.
func checkBounds(data []byte, format formats.Format) error {
	if len(data) > maxFile {
		return tooMuch("more than %d MiB", maxFile>>20)
	}
	n := 0
	for _, c := range data {
		switch c {
		case '\n', ',', ':', '[', '{', '-':
			n++
		}
	}
	if n > maxStructure {
		return tooMuch("more than %d values", maxLeaves)
	}
	switch format {
	case formats.Yaml:
		return checkYAML(data)
	case formats.Json, formats.Binary:
		return checkJSON(data)
	}
	return checkFlat(data)
}

var (
	errSyntax = errors.New("not valid")
	yamlLine  = regexp.MustCompile(`line (\d+)`)
)

// syntaxError tells where, and never what: the library's words quote the input.
func syntaxError(format formats.Format, place string) error {
	return fmt.Errorf("%w %s%s", errSyntax, formatName(format), place)
}

func checkYAML(data []byte) error {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	nodes := 0
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			place := ""
			if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
				place = " at line " + m[1]
			}
			return syntaxError(formats.Yaml, place)
		}
		if err := checkNode(&doc, 0, &nodes); err != nil {
			return err
		}
	}
}

// checkNode also bounds the number of nodes: the library looks for duplicate
// keys in a time that is quadratic in the keys of a map.
func checkNode(n *yaml.Node, depth int, nodes *int) error {
	if n.Kind == yaml.AliasNode {
		return hint.Wrap(fmt.Errorf("line %d has a YAML alias, which sops never writes", n.Line), "write the value out, and encrypt the file again")
	}
	if depth > maxDepth {
		return tooMuch("more than %d levels of nesting at line %d", maxDepth, n.Line)
	}
	if *nodes++; *nodes > maxNodes {
		return tooMuch("more than %d values", maxLeaves)
	}
	for _, c := range n.Content {
		if err := checkNode(c, depth+1, nodes); err != nil {
			return err
		}
	}
	return nil
}

func checkJSON(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	depth := 0
	for tokens := 0; ; tokens++ {
		token, err := dec.Token()
		switch {
		case errors.Is(err, io.EOF) && depth == 0:
			return nil
		case err != nil:
			line := 1 + bytes.Count(data[:dec.InputOffset()], []byte("\n"))
			return syntaxError(formats.Json, fmt.Sprintf(" at line %d", line))
		case token == json.Delim('{'), token == json.Delim('['):
			depth++
		case token == json.Delim('}'), token == json.Delim(']'):
			depth--
		}
		if depth > maxDepth {
			return tooMuch("more than %d levels of nesting", maxDepth)
		}
		if tokens > 2*maxNodes {
			return tooMuch("more than %d values", maxLeaves)
		}
	}
}

// checkFlat bounds dotenv and INI: their lines, since the library cuts out
// metadata in quadratic time, and their keys, which hold a path for metadata.
func checkFlat(data []byte) error {
	if bytes.Count(data, []byte("\n")) > maxLines {
		return tooMuch("more than %d lines", maxLines)
	}
	for i, line := range bytes.Split(data, []byte("\n")) {
		if key, _, _ := bytes.Cut(line, []byte("=")); len(key) > maxKeyName && len(key) < len(line) {
			return tooMuch("a key of %d bytes at line %d", len(key), i+1)
		}
	}
	return nil
}

// checkMetadata bounds what the file makes us do: recipients to try, and
// selectors to match.
func checkMetadata(m sops.Metadata, leaves, comments []leaf) error {
	n := 0
	for _, group := range m.KeyGroups {
		n += len(group)
	}
	if n > maxKeys {
		return tooMuch("%d recipients", n)
	}
	if len(leaves)+len(comments) > maxLeaves {
		return tooMuch("%d values and comments", len(leaves)+len(comments))
	}
	keys, scopes := 0, len(comments)*(len(comments)+len(leaves))
	for _, l := range leaves {
		keys += len(l.path)
	}
	for pattern, times := range map[string]int{
		m.EncryptedRegex: keys, m.UnencryptedRegex: keys,
		m.EncryptedCommentRegex: scopes, m.UnencryptedCommentRegex: scopes,
	} {
		if err := checkSelector(pattern, times); err != nil {
			return err
		}
	}
	return nil
}

// checkSelector bounds the work of a selector that is matched so many times:
// the library compiles it anew for every key on the way to every leaf, and for
// every comment in scope.
func checkSelector(pattern string, times int) error {
	if len(pattern) > maxSelector {
		return tooMuch("a selector of %d bytes", len(pattern))
	}
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return errors.New("its sops metadata has a selector that is no regular expression")
	}
	prog, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return errors.New("its sops metadata has a selector that is no regular expression")
	}
	if times*len(prog.Inst) > maxMatching {
		return tooMuch("a selector that takes too long to match")
	}
	return nil
}
