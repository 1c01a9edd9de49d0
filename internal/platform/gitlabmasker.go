package platform

import (
	"bytes"
	"cmp"
	"io"
	"slices"

	"github.com/org/secure-build/internal/maskable"
)

// GitLabMaskable says whether GitLab lets a variable with this value be masked:
// one that is expanded, or a raw one.
func GitLabMaskable(value string, raw bool) bool { return maskable.Value(value, raw) }

// gitLabMask is what GitLab's runner shows for a value.
var gitLabMask = []byte("[MASKED]")

// NewGitLabMasker returns a model of what GitLab's runner masks with
// (gitlab-runner, common/buildlogger/internal/masker): exactly these values, in
// a stream of writes. Its flaw is kept: where the beginning of a value was the
// end of a write and the next write goes on otherwise, only the very next byte
// is tried as a new beginning. Close writes what is held back.
func NewGitLabMasker(w io.Writer, values ...string) io.WriteCloser {
	values = slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == "" })
	slices.SortFunc(values, func(a, b string) int { return cmp.Or(len(a)-len(b), cmp.Compare(a, b)) })
	var chain io.WriteCloser = discarding{w}
	for _, v := range slices.Compact(values) { // the longest looks first
		chain = &phraseMasker{phrase: []byte(v), next: chain}
	}
	return chain
}

// MaskGitLab masks a log that comes in one write.
func MaskGitLab(log []byte, values ...string) []byte {
	var b bytes.Buffer
	w := NewGitLabMasker(&b, values...)
	_, _ = w.Write(log)
	_ = w.Close()
	return b.Bytes()
}

// discarding gives a writer a Close that does nothing.
type discarding struct{ io.Writer }

func (discarding) Close() error { return nil }

// A phraseMasker looks for one value and hands all else on to the next.
type phraseMasker struct {
	phrase  []byte
	matched int // bytes of the phrase that the last write ended with, held back
	next    io.WriteCloser
}

func (m *phraseMasker) Write(p []byte) (int, error) {
	if bytes.Equal(p, gitLabMask) { // of a longer value
		return m.next.Write(p)
	}
	n := len(p)
	for kept := 0; ; { // p[:kept] is no part of a value
		at, size := m.find(p[kept:])
		if m.matched > 0 && size == 0 && kept < len(p) { // it goes on otherwise
			if _, err := m.next.Write(m.phrase[:m.matched]); err != nil {
				return 0, err
			}
			m.matched = 0
			if p[kept] == m.phrase[0] {
				m.matched = 1
				p = p[kept+1:]
				kept = 0
			} else {
				kept++
			}
			continue
		}
		if _, err := m.next.Write(p[:kept+at]); err != nil {
			return 0, err
		}
		p, kept = p[kept+at+size:], 0
		m.matched += size
		if m.matched == len(m.phrase) {
			if _, err := m.next.Write(gitLabMask); err != nil {
				return 0, err
			}
			m.matched = 0
		}
		if len(p) == 0 {
			return n, nil
		}
	}
}

// find returns where in p the phrase stands or begins, or what is left of it
// goes on, and how many bytes of it; len(p) and 0 if it is nowhere.
func (m *phraseMasker) find(p []byte) (at, size int) {
	rest := m.phrase[m.matched:]
	for at = range p {
		if size = min(len(rest), len(p)-at); bytes.HasPrefix(p[at:], rest[:size]) {
			return at, size
		}
		if m.matched > 0 {
			return 0, 0
		}
	}
	return len(p), 0
}

func (m *phraseMasker) Close() error {
	if _, err := m.next.Write(m.phrase[:m.matched]); err != nil {
		return err
	}
	return m.next.Close()
}
