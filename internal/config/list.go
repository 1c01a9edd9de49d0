package config

import (
	"encoding/json"
	"regexp"
	"strings"
)

// Lines reads the environment's form of a List: one item a line, blank lines
// and white space around an item left out. A JSON array of strings is a list
// too: see [Array].
func Lines(s string) []string {
	if items, ok := Array(s); ok {
		return items
	}
	var items []string
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			items = append(items, line)
		}
	}
	return items
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
