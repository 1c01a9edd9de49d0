package report

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/org/secure-build/internal/finding"
)

// A place is what others call an alert: the findings with one fingerprint. A
// value that stands in a file a hundred times is one place.
type place struct {
	finding.Finding
	times int
}

// places joins findings by fingerprint: those that block first, else in their
// own order.
func places(r finding.Report) []place {
	var all []place
	at := map[string]int{}
	for _, f := range r.Findings {
		if i, ok := at[f.Fingerprint]; ok && f.Fingerprint != "" {
			all[i].times++
			continue
		}
		at[f.Fingerprint] = len(all)
		all = append(all, place{f, 1})
	}
	slices.SortStableFunc(all, func(a, b place) int { return rank(a.Severity) - rank(b.Severity) })
	return all
}

func rank(s finding.Severity) int {
	if s == finding.Warning {
		return 1
	}
	return 0
}

// row is the place as a line of a table.
func (p place) row() row {
	r := row{Finding: p.Finding}
	if p.Platform != "" {
		r.platforms = []string{p.Platform}
	}
	return r
}

// words says in one sentence what was found, without a final period.
func (p place) words(r Run, show func(string) string) string {
	where := p.row().where(r.Findings.Image.Platforms, show)
	if p.Secret == "" {
		return fmt.Sprintf("Something that matches the rule %s is in the image: %s", show(p.Rule), where)
	}
	origin := ""
	if p.Origin != "" {
		origin = " (" + show(p.Origin) + ")"
	}
	encoding := ""
	if p.Encoding != "" && p.Encoding != "raw" {
		encoding = ", encoded as " + show(p.Encoding)
	}
	return fmt.Sprintf("The secret %s%s is in the image%s: %s", show(p.Secret), origin, encoding, where)
}

// maxFile is the longest path that Linux knows.
const maxFile = 4096

// file is the Dockerfile from the root of the repository, with slashes. What
// lies elsewhere keeps its last part: the rest says something about a machine,
// and nothing to who looks for it in the repository.
func (r Run) file() string {
	if r.Dockerfile == "" || len(r.Dockerfile) > maxFile {
		return "Dockerfile"
	}
	name := path.Clean(filepath.ToSlash(r.Dockerfile))
	if !filepath.IsLocal(filepath.FromSlash(name)) {
		name = path.Base(name)
	}
	return name
}

// line is where the instruction is; the first line if that is not known.
func (p place) line() int { return max(1, p.Line) }

// version splits "secure-build 1.2.3".
func (r Run) version() (name, version string) {
	name, version, _ = strings.Cut(r.Tool, " ")
	if name == "" {
		name = "secure-build"
	}
	if version == "" {
		version = "unknown"
	}
	if n, ok := strings.CutPrefix(version, "v"); ok && n != "" && n[0] >= '0' && n[0] <= '9' {
		version = n // SARIF asks for a number first
	}
	return name, version
}

// ended is when the last stage was over.
func (r Run) ended() time.Time {
	end := r.Started
	for _, t := range r.Timings {
		if t.Within == "" {
			end = end.Add(t.Took)
		}
	}
	return end
}

// A rule is what the reports say about all findings of one kind.
type rule struct {
	id, title, help string
}

// rule describes a rule by its name. Names are stable: alerts are known by them.
func (r Run) rule(id string) rule {
	if id == finding.RuleKnownValue {
		return rule{id, "A secret of this build is in its image",
			"The value of a secret that was given to this build, or an encoding of it, stands in the image. " +
				"Whoever can pull the image can read it, also from a layer whose files a later layer deletes. " +
				"Mount the secret with RUN --mount=type=secret in the step that needs it, and rotate it if the image or its build cache was ever shared."}
	}
	about := "The rule looks for secrets that nobody told this build about, by what they look like."
	if text := r.Rules[id]; text != "" {
		about = strings.TrimSuffix(text, ".") + "."
	}
	return rule{id, "Something in the image looks like a secret: " + id,
		about + " If it is one, take it out of the image and rotate it. If it is none, accept its fingerprint in the baseline, with the reason."}
}

// unreadWords says in one line what was not read, and why.
func unreadWords(u finding.Unread) string {
	what := visible(u.Blob, maxPathShown)
	if u.Path != "" {
		what += ", " + visible(u.Path, maxPathShown)
	}
	return what + ": " + visible(u.Reason, maxReasonShown)
}

// unreadFingerprint is stable as long as the same thing is not read.
func unreadFingerprint(u finding.Unread) string {
	h := sha256.Sum256([]byte("unread\x00" + u.Blob + "\x00" + u.Path + "\x00" + u.Reason))
	return hex.EncodeToString(h[:16])
}
