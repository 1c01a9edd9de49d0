package source

import (
	"fmt"
	"strings"

	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/secret"
)

// ParseSecretEnv reads one line of --secret-env, ID=NAME.
func ParseSecretEnv(line string) (Ref, error) {
	id, name, err := pair("secret-env", "NAME", line)
	return Ref{kind: fromEnv, id: id, env: name}, err
}

// ParseSecretFile reads one line of --secret-file, ID=FILE.
func ParseSecretFile(line string) (Ref, error) {
	id, name, err := pair("secret-file", "FILE", line)
	return Ref{kind: fromFile, id: id, file: name}, err
}

func pair(flag, what, line string) (id, name string, err error) {
	id, name, ok := strings.Cut(strings.TrimSpace(line), "=")
	switch err := secret.CheckID(id); {
	case !ok || name == "" || strings.ContainsRune(name, 0):
		return "", "", hint.Wrap(fmt.Errorf("parsing --%s %q: no ID=%s", flag, line, what), "write ID=%s", what)
	case err != nil:
		return "", "", hint.Wrap(fmt.Errorf("parsing --%s %q: %w", flag, line, err), "write ID=%s", what)
	}
	return id, name, nil
}

// ParseValues reads which secrets a variable holds by value, one ID=VALUE a
// line, as the input secrets of docker/build-push-action has them: a value of
// several lines stands in double quotes, together with its id, and a quote in
// it is doubled ("ID=first ""line""⏎second line"). White space at both ends of
// an item is left out.
//
// It takes the ids only; the values are read when they are loaded. Its errors
// quote nothing, since a line may be a part of a value.
func ParseValues(variable string, opts Options) ([]Ref, error) {
	items, err := splitValues(opts.env(variable))
	if err != nil {
		return nil, fmt.Errorf("parsing the secrets in %s: %w", variable, err)
	}
	var refs []Ref
	for _, item := range items {
		refs = append(refs, Ref{kind: fromValue, id: item.id, env: variable})
	}
	return refs, nil
}

// loadValue reads the variable again: a Ref holds no secret. Two items with
// one id are the same Ref twice, and the set refuses the second.
func (l *loader) loadValue(set *secret.Set, ref Ref) error {
	items, err := splitValues(l.opts.env(ref.env))
	if err != nil {
		return fmt.Errorf("parsing the secrets in %s: %w", ref.env, err)
	}
	for _, item := range items {
		if item.id == ref.id {
			return add(set, l.opts.inVariable(ref, item.value))
		}
	}
	return fmt.Errorf("reading the secret %s: %s does not have it any more", ref.id, ref.env)
}

type valueItem struct{ id, value string }

const valueGrammar = `write ID=VALUE, one a line; a value of several lines stands in double quotes with its id: "ID=VALUE"`

func splitValues(text string) ([]valueItem, error) {
	var items []valueItem
	for line := 1; text != ""; {
		var item string
		at, ok := line, true
		trimmed := strings.TrimLeft(text, " \t")
		if strings.HasPrefix(trimmed, `"`) {
			var rest string
			item, rest, ok = cutQuotedItem(trimmed[1:])
			line += strings.Count(text[:len(text)-len(rest)], "\n")
			text = rest
		} else {
			item, text, _ = strings.Cut(text, "\n")
			line++
		}
		if !ok {
			return nil, hint.Wrap(fmt.Errorf("the quote in line %d does not end", at), valueGrammar)
		}
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		id, value, ok := strings.Cut(item, "=")
		if !ok || secret.CheckID(id) != nil {
			return nil, hint.Wrap(fmt.Errorf("line %d does not begin with an id and =", at), valueGrammar)
		}
		items = append(items, valueItem{id, value})
	}
	return items, nil
}

// cutQuotedItem reads up to the quote that ends a line, and gives what comes
// after that line. A quote elsewhere is a quote, as with csv-parse's
// relax_quotes.
func cutQuotedItem(text string) (item, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '"' {
			b.WriteByte(text[i])
			continue
		}
		if strings.HasPrefix(text[i+1:], `"`) {
			b.WriteByte('"')
			i++
			continue
		}
		end, after, _ := strings.Cut(text[i+1:], "\n")
		if strings.TrimSpace(end) == "" {
			return b.String(), after, true
		}
		b.WriteByte('"')
	}
	return "", "", false
}
