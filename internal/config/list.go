package config

import (
	"encoding/json"
	"regexp"
	"strings"
)

// Lines reads the environment's form of a List: one item a line, blank lines
// and white space around an item left out. An item in double quotes may have
// several lines, with "" for a quote, as the inputs of docker/build-push-action
// are read. A JSON array of strings is a list too: see [Array].
func Lines(s string) []string {
	if items, ok := Array(s); ok {
		return items
	}
	var items []string
	for s != "" {
		item, rest, ok := quotedItem(s)
		if !ok {
			item, rest, _ = strings.Cut(s, "\n")
		}
		if s = rest; strings.TrimSpace(item) != "" {
			items = append(items, strings.TrimSpace(item))
		}
	}
	return items
}

// quotedItem takes an item in double quotes off the beginning of a list. Quotes
// around a part of a line only are the item's own.
func quotedItem(s string) (item, rest string, ok bool) {
	s, ok = strings.CutPrefix(strings.TrimLeft(s, " \t"), `"`)
	for ok {
		part, after, closed := strings.Cut(s, `"`)
		item += part
		if !closed {
			return "", "", false
		}
		if s, ok = strings.CutPrefix(after, `"`); ok { // it stands for one
			item += `"`
			continue
		}
		line, rest, _ := strings.Cut(after, "\n")
		return item, rest, strings.TrimSpace(line) == ""
	}
	return "", "", false
}

// Array reads a list that is a JSON array of strings, as GitLab writes an input
// of the type array into a job's variable. Its items are taken as they are, so
// that one with a line break in it stays one; blank ones are left out. It is
// not ok for anything else: a line may begin with a bracket too.
func Array(s string) (items []string, ok bool) {
	s = strings.TrimSpace(s)
	if !strings.HasPrefix(s, "[") {
		return nil, false
	}
	var all []*string // null is no string
	if err := json.Unmarshal([]byte(s), &all); err != nil {
		return nil, false
	}
	for _, item := range all {
		if item == nil {
			return nil, false
		}
		if strings.TrimSpace(*item) != "" {
			items = append(items, *item)
		}
	}
	return items, true
}

// variable is a reference as GitLab knows it in the variables of a job.
var variable = regexp.MustCompile(`\$\$|\$\{[A-Za-z_][A-Za-z0-9_]*\}|\$[A-Za-z_][A-Za-z0-9_]*`)

// Expand puts variables into the items of a list as GitLab does: $NAME and
// ${NAME}, nothing for one that is not set, $ for $$. It is done to items and
// not to the list as a text, in which a branch named a","b would be two, and
// once only: what a variable holds is not looked at again. An item of which
// nothing is left is left out.
func Expand(items []string, getenv func(string) string) []string {
	var expanded []string
	for _, item := range items {
		item = variable.ReplaceAllStringFunc(item, func(ref string) string {
			if ref == "$$" {
				return "$"
			}
			return getenv(strings.Trim(ref, "${}"))
		})
		if strings.TrimSpace(item) != "" {
			expanded = append(expanded, item)
		}
	}
	return expanded
}
