package rules

import (
	"bytes"
	"math"
	"regexp"
	"strings"
	"sync"
)

// A pathList is a list of expressions for paths, compiled when it is first
// needed.
type pathList struct {
	patterns []string
	once     sync.Once
	compiled []*regexp.Regexp
}

func (l *pathList) match(path string) bool {
	l.once.Do(func() { l.compiled = compileAll(l.patterns) })
	for _, re := range l.compiled {
		if re.MatchString(path) {
			return true
		}
	}
	return false
}

// mended puts right what gitleaks has wrong: "(?i)^true|false|null$" allows
// whatever has "false" anywhere in it.
var mended = map[string]string{
	`(?i)^true|false|null$`: `(?i)^(?:true|false|null)$`,
}

func compileAll(patterns []string) []*regexp.Regexp {
	var list []*regexp.Regexp
	for _, p := range patterns {
		if better := mended[p]; better != "" {
			p = better
		}
		list = append(list, regexp.MustCompile(p))
	}
	return list
}

// An allowList is one of gitleaks' lists of what is no secret, compiled when it
// is first needed.
type allowList struct {
	allowance
	once  sync.Once
	regex []*regexp.Regexp
	path  []*regexp.Regexp
	stop  [][]byte
}

// A candidate is a match that may be a secret.
type candidate struct {
	path     string
	secret   []byte
	buf      []byte
	from, to int // of the match, in buf
}

// allowed says whether one of the lists allows the candidate.
func (c *candidate) allowed(lists []allowList) bool {
	for i := range lists {
		if c.allowedBy(&lists[i]) {
			return true
		}
	}
	return false
}

func (c *candidate) allowedBy(l *allowList) bool {
	l.once.Do(func() {
		l.regex, l.path = compileAll(l.regexes), compileAll(l.paths)
		for _, w := range l.stopwords {
			l.stop = append(l.stop, []byte(strings.ToLower(w)))
		}
	})
	conditions := []struct {
		set  bool
		hold func() bool
	}{
		{len(l.regex) > 0, func() bool { return anyMatch(l.regex, c.target(l.target)) }},
		{len(l.path) > 0, func() bool { return anyMatch(l.path, []byte(c.path)) }},
		{len(l.stop) > 0, func() bool { return containsAny(bytes.ToLower(c.secret), l.stop) }},
	}
	some := false
	for _, k := range conditions {
		if !k.set {
			continue
		}
		if k.hold() != l.all {
			return !l.all // one that holds is enough, or one that does not
		}
		some = true
	}
	return l.all && some
}

// target is what a list's expressions look at. The match is given back what
// strip took from its beginning.
func (c *candidate) target(kind string) []byte {
	switch kind {
	case "match":
		from := c.from
		for n := 0; n < lead && from > 0 && isLead(c.buf[from-1]); n++ {
			from--
		}
		return c.buf[from:c.to]
	case "line":
		return line(c.buf, c.from, c.to)
	}
	return c.secret
}

// isLead is [\w.-], which gitleaks lets most of its rules begin with.
func isLead(b byte) bool { return isWord(b) || b == '.' || b == '-' }

func anyMatch(list []*regexp.Regexp, b []byte) bool {
	for _, re := range list {
		if re.Match(b) {
			return true
		}
	}
	return false
}

func containsAny(b []byte, words [][]byte) bool {
	for _, w := range words {
		if bytes.Contains(b, w) {
			return true
		}
	}
	return false
}

// leastEntropy is for rules that ask for none, so that "sk-ant-api03-xxxx…xxxx"
// is no key. In bits per byte.
const leastEntropy = 2

// entropy is Shannon's, in bits per byte.
func entropy(b []byte) float64 {
	var count [256]int
	for _, c := range b {
		count[c]++
	}
	sum := 0.0
	for _, n := range count {
		if n > 0 {
			f := float64(n) / float64(len(b))
			sum -= f * math.Log2(f)
		}
	}
	return sum
}
