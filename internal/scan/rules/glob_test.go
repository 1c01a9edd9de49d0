package rules

import (
	"path"
	"strings"
	"testing"
)

// FuzzGlob: the same names as with path.Match.
func FuzzGlob(f *testing.F) {
	for _, pattern := range []string{"", "*", "*.env", ".env.*", "*secret*", "ca-*.pem", "*bundle*.pem", "*a*b*a*", "ab*ba", "**"} {
		for _, name := range []string{"", ".env", "prod.env", ".env.local", "my-secrets.yaml", "ca-.pem", "ca.pem", "x-bundle.pem", "bundle.pem", "aba", "abba", "ab"} {
			f.Add(pattern, name)
		}
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if strings.ContainsAny(pattern, `/\?[`) || strings.Contains(name, "/") {
			return
		}
		want, err := path.Match(pattern, name)
		if got := globs(pattern)[0].match(name); err != nil || got != want {
			t.Errorf("%q, %q: got %v, want %v, %v", pattern, name, got, want, err)
		}
	})
}

// TestGlobs: no pattern means something to path.Match that a glob does not know.
func TestGlobs(t *testing.T) {
	for _, f := range fileNames {
		for _, g := range append(f.patterns, f.except...) {
			pattern := strings.Join(g.parts, "*")
			if g.slashes >= maxParts || strings.ContainsAny(pattern, `\?[`) || strings.Contains(path.Dir(pattern), "*") {
				t.Errorf("%s: %s", f.rule, pattern)
			}
		}
	}
}
