package main_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/org/secure-build/internal/platform"
	"github.com/rogpeppe/go-internal/testscript"
)

// cuts is how often each output is cut up anew.
const cuts = 100

// gitlab-masker: what the runs have printed so far goes through a model of the
// masker of GitLab's runner, cut at random places, as pipes cut it. Nothing of
// a canary is left. A log as the steps wrote it, put in by us, shows that the
// masker alone would not do, and that we would see it.
func (s *scene) gitlabMaskerCmd(_ *testscript.TestScript, args []string) error {
	if len(args) > 0 || len(s.runs) == 0 {
		return errors.New("usage: gitlab-masker, after a run")
	}
	all, pieces := newNeedles(s.canaries), newPieces(s.canaries)
	var masked []string // the variables that GitLab would agree to mask
	for _, c := range s.canaries {
		if platform.GitLabMaskable(c.value, false) {
			masked = append(masked, c.value)
		}
	}
	if len(masked) == 0 {
		return errors.New("none of the canaries can be masked in GitLab")
	}
	for i, r := range s.runs {
		for name, text := range map[string]string{"stdout": r.stdout, "stderr": r.stderr} {
			for range cuts {
				shown := throughMasker(text, masked)
				if found := append(all.in(shown), pieces.in(shown)...); len(found) > 0 {
					return fmt.Errorf("%s of run %d: the masker lets through %q", name, i+1, found)
				}
				if string(shown) != text {
					return fmt.Errorf("%s of run %d: the masker finds a value, or loses something", name, i+1)
				}
			}
		}
	}
	var written strings.Builder
	for _, v := range masked { // the restart flaw of the masker, and an encoding
		fmt.Fprintf(&written, "token %s%s, basic %s\n", v[:1], v, base64.StdEncoding.EncodeToString([]byte("ci:"+v)))
	}
	seen := 0
	for range cuts {
		seen += len(all.in(throughMasker(written.String(), masked)))
	}
	if seen == 0 {
		return errors.New("the masker alone hides all that a step prints: the test sees nothing")
	}
	return nil
}

// throughMasker cuts a text into writes of any length, the last ones short.
func throughMasker(text string, values []string) []byte {
	var shown bytes.Buffer
	w := platform.NewGitLabMasker(&shown, values...)
	for len(text) > 0 {
		n := 1 + rand.IntN(1+2*len(text)/60)
		n = min(n, len(text))
		_, _ = w.Write([]byte(text[:n]))
		text = text[n:]
	}
	_ = w.Close()
	return shown.Bytes()
}
