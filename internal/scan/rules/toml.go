package rules

import (
	"fmt"
	"strconv"
	"strings"
)

// A definition is one rule as gitleaks writes it
// (https://github.com/gitleaks/gitleaks#configuration).
type definition struct {
	id, description string
	regex, path     string
	secretGroup     int
	entropy         float64
	keywords        []string
	allow           []allowance
}

// An allowance is one of gitleaks' allow-lists.
type allowance struct {
	all                       bool   // every kind of condition has to hold, not one
	target                    string // what regexes look at: "match", "line", or "" for the secret
	regexes, paths, stopwords []string
}

// parse reads gitleaks' own configuration: the rules and the allow-lists for all
// of them. It knows the part of TOML 1.0 that gitleaks' generator writes, and
// anything else is an error, so that an update cannot lose a rule in silence.
func parse(text string) (defs []definition, global []allowance, err error) {
	p := parser{rest: text}
	for p.next() {
		if err := p.statement(); err != nil {
			return nil, nil, fmt.Errorf("line %d: %w", 1+strings.Count(text[:len(text)-len(p.rest)], "\n"), err)
		}
	}
	return p.defs, p.global, nil
}

type parser struct {
	rest   string
	defs   []definition
	global []allowance
	list   *allowance // the allow-list that keys go to, or nil for the rule itself
}

// next skips blanks and comments and says whether anything is left.
func (p *parser) next() bool {
	for {
		p.rest = strings.TrimLeft(p.rest, " \t\r\n")
		if !strings.HasPrefix(p.rest, "#") {
			return p.rest != ""
		}
		_, p.rest, _ = strings.Cut(p.rest, "\n")
	}
}

// statement reads one table header or one key with its value.
func (p *parser) statement() error {
	line, after, _ := strings.Cut(p.rest, "\n")
	switch line = strings.TrimSpace(line); line {
	case "[allowlist]", "[[allowlists]]":
		p.global = append(p.global, allowance{})
		p.list = &p.global[len(p.global)-1]
	case "[[rules]]":
		p.defs, p.list = append(p.defs, definition{}), nil
	case "[[rules.allowlists]]":
		if len(p.defs) == 0 {
			return fmt.Errorf("%s before any rule", line)
		}
		rule := &p.defs[len(p.defs)-1]
		rule.allow = append(rule.allow, allowance{})
		p.list = &rule.allow[len(rule.allow)-1]
	default:
		key, value, ok := strings.Cut(p.rest, "=")
		if !ok || strings.HasPrefix(line, "[") {
			return fmt.Errorf("unknown table %q", line)
		}
		p.rest = value
		v, err := p.value()
		if err != nil {
			return err
		}
		return p.set(strings.TrimSpace(key), v)
	}
	p.rest = after
	return nil
}

// value reads a string, a number or a list of strings.
func (p *parser) value() (any, error) {
	p.rest = strings.TrimLeft(p.rest, " \t")
	switch {
	case strings.HasPrefix(p.rest, "'''"):
		text, after, ok := strings.Cut(p.rest[3:], "'''")
		if !ok {
			return nil, fmt.Errorf("a string without an end")
		}
		p.rest = after
		return text, nil
	case strings.HasPrefix(p.rest, `"""`), strings.HasPrefix(p.rest, "'"):
		return nil, fmt.Errorf("a kind of string that is not known")
	case strings.HasPrefix(p.rest, `"`):
		quoted, err := strconv.QuotedPrefix(p.rest)
		if err != nil {
			return nil, err
		}
		p.rest = p.rest[len(quoted):]
		return strconv.Unquote(quoted)
	case strings.HasPrefix(p.rest, "["):
		return p.strings()
	}
	word := p.rest[:len(p.rest)-len(strings.TrimLeft(p.rest, "0123456789."))]
	p.rest = p.rest[len(word):]
	return strconv.ParseFloat(word, 64)
}

// strings reads a list of strings.
func (p *parser) strings() ([]string, error) {
	var list []string
	for p.rest = p.rest[1:]; ; {
		if !p.next() {
			return nil, fmt.Errorf("a list without an end")
		}
		if after, ok := strings.CutPrefix(p.rest, "]"); ok {
			p.rest = after
			return list, nil
		}
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		s, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("a list of something else than strings")
		}
		list = append(list, s)
		if p.next() {
			p.rest = strings.TrimPrefix(p.rest, ",")
		}
	}
}

// set gives a key its value.
func (p *parser) set(key string, v any) error {
	ok := true
	text, isText := v.(string)
	list, isList := v.([]string)
	number, isNumber := v.(float64)
	switch a := p.list; {
	case a == nil && len(p.defs) == 0:
		ok = key == "title" || key == "minVersion"
	case a == nil:
		d := &p.defs[len(p.defs)-1]
		switch {
		case key == "id" && isText:
			d.id = text
		case key == "description" && isText:
			d.description = text
		case key == "regex" && isText:
			d.regex = text
		case key == "path" && isText:
			d.path = text
		case key == "keywords" && isList:
			d.keywords = list
		case key == "entropy" && isNumber:
			d.entropy = number
		case key == "secretGroup" && isNumber:
			d.secretGroup = int(number)
		default:
			ok = false
		}
	case key == "description":
	case key == "condition" && isText:
		a.all = text == "AND"
		ok = a.all || text == "OR"
	case key == "regexTarget" && isText:
		a.target = text
		ok = text == "match" || text == "line"
	case key == "regexes" && isList:
		a.regexes = list
	case key == "paths" && isList:
		a.paths = list
	case key == "stopwords" && isList:
		a.stopwords = list
	default:
		ok = false
	}
	if !ok {
		return fmt.Errorf("unknown key or value: %s", key)
	}
	return nil
}
