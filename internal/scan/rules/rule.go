package rules

import (
	"bytes"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"sync"

	"github.com/org/secure-build/internal/finding"
)

const (
	near      = 512       // bytes around a place in which a keyword of its rule has to stand
	around    = 256       // bytes on each side of a keyword that an expression without a beginning looks at
	openEnded = 1024      // bytes beyond the shortest match, for expressions without a longest
	keyReach  = 32 << 10  // bytes of a private key: RSA with 16,384 bits has 12,700, PGP with subkeys more
	lead      = 50        // bytes that strip takes away from the beginning at most
	behind    = near + 64 // bytes before a place that are kept
)

// reaches overrules openEnded.
var reaches = map[string]int{
	"private-key":      keyReach,
	"jwt":              4 << 10, // three parts, the second of any length
	"jwt-base64":       4 << 10,
	"curl-auth-header": 512, // five lines of a command
	"curl-auth-user":   512,
}

// pauses are for expressions that look at much and fail late. After a try they
// are not tried again for so many bytes, or "curl curl curl …" would take seconds
// per megabyte. What the next try would see, the last one saw too: a "curl" so
// close belongs to the same five lines.
var pauses = map[string]int{"curl-auth-header": 128, "curl-auth-user": 128}

// anchors says what to look for where a rule's own beginning is too common, or
// where it may begin with anything and has too short a keyword. It has to be the
// beginning of every match, or a part of it.
var anchors = map[string]string{
	"jwt":                    `eyJ[a-zA-Z0-9]`, // {" in base64: what every JSON object here begins with
	"azure-ad-client-secret": `\dQ~[a-zA-Z0-9_~.-]`,
}

// A rule is one definition, ready to be tried at a place.
type rule struct {
	definition
	severity finding.Severity
	anchored bool // the expression begins at the place; otherwise a keyword does
	word     bool // a word begins at the place
	reach    int  // bytes from the place on that the expression looks at
	pause    int  // bytes after a try without another
	words    [][]byte

	short    *syntax.Regexp // what strip leaves; nil once it was compiled
	compiled sync.Once
	re       *regexp.Regexp
	lists    []allowList
	only     pathList // where the rule is used, if not everywhere
}

// newRule prepares a rule and lists the beginnings of the places to try it at.
func newRule(d definition) (*rule, []beginning, error) {
	tree, err := syntax.Parse(d.regex, syntax.Perl)
	if err != nil {
		return nil, nil, err
	}
	r := &rule{definition: d, severity: severityOf(d.id, tree), pause: pauses[d.id]}
	for _, k := range d.keywords {
		r.words = append(r.words, []byte(strings.ToLower(k)))
	}
	for _, a := range d.allow {
		r.lists = append(r.lists, allowList{allowance: a})
	}
	if d.path != "" {
		r.only.patterns = []string{d.path}
	}
	short := strip(tree)
	r.short = short
	if r.reach = longest(short) + 1; r.reach == 0 || r.reach > openEnded {
		r.reach = openEnded + len(d.regex)
	}
	if n := reaches[d.id]; n != 0 {
		r.reach = n
	}
	begin, anchored, err := r.places(short)
	if err != nil {
		return nil, nil, err
	}
	if r.anchored = anchored; !anchored {
		r.reach = around
	}
	r.word = anchored && startsAtWord(short) && allWords(begin)
	return r, begin, nil
}

// places lists what stands at the places to try a rule at, and says whether
// matches begin there.
func (r *rule) places(short *syntax.Regexp) (begin []beginning, anchored bool, err error) {
	prog, err := syntax.Compile(short.Simplify())
	if err != nil {
		return nil, false, err
	}
	begin, anchored = beginnings(prog)
	instead := anchors[r.id]
	if instead == "" && !anchored {
		var words []string
		for _, w := range r.keywords {
			words = append(words, regexp.QuoteMeta(w))
		}
		instead = "(?i)(?:" + strings.Join(words, "|") + ")"
	}
	if instead == "" {
		return begin, anchored, nil
	}
	tree, err := syntax.Parse(instead, syntax.Perl)
	if err != nil {
		return nil, false, err
	}
	if prog, err = syntax.Compile(tree.Simplify()); err != nil {
		return nil, false, err
	}
	begin, ok := beginnings(prog)
	if !ok {
		return nil, false, fmt.Errorf("nothing of %d bytes to look for in %s", gramLen, instead)
	}
	return begin, anchored, nil
}

// allWords says whether each beginning begins with a letter, a digit or "_".
func allWords(list []beginning) bool {
	for _, b := range list {
		if c := byte(b.gram); !isWord(c) && c != '_'|0x20 {
			return false
		}
	}
	return true
}

// isWord is \w.
func isWord(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
}

// expression compiles the rule's expression when it is first needed: most never
// are. An anchored one takes a byte before its match, for \b to look at.
func (r *rule) expression() *regexp.Regexp {
	r.compiled.Do(func() {
		if r.anchored {
			r.re = regexp.MustCompile(`\A(?s:.)(?:` + r.short.String() + `)`)
		} else {
			r.re = regexp.MustCompile(r.regex)
		}
		r.short = nil
	})
	return r.re
}

// keywordNear says whether a keyword of the rule stands near p[at].
func (r *rule) keywordNear(p []byte, at int) bool {
	if len(r.words) == 0 {
		return true
	}
	for _, w := range r.words {
		if at+len(w) <= len(p) && bytes.EqualFold(p[at:at+len(w)], w) {
			return true
		}
	}
	return containsNear(p, at, r.words)
}

// containsNear says whether one of the words, in lower case, stands near p[at] in
// any case.
func containsNear(p []byte, at int, words [][]byte) bool {
	var lower [2 * near]byte
	n := copy(lower[:], p[max(0, at-near):min(len(p), at+near)])
	for i, c := range lower[:n] {
		if 'A' <= c && c <= 'Z' {
			lower[i] = c | 0x20
		}
	}
	return containsAny(lower[:n], words)
}

// secret returns where the secret is in a match, as gitleaks takes it: the group
// that the rule names, the first one that is not empty, or the whole match.
func (r *rule) secret(m []int) (from, to int) {
	if g := 2 * r.secretGroup; g > 0 && g < len(m) && m[g] >= 0 {
		return m[g], m[g+1]
	}
	for g := 2; g < len(m); g += 2 {
		if m[g] >= 0 && m[g+1] > m[g] {
			return m[g], m[g+1]
		}
	}
	return m[0], m[1]
}
