package report

import (
	"bytes"
	_ "embed" // for the page's template and style
	"fmt"
	"html/template"
	"time"

	"github.com/org/secure-build/internal/finding"
)

// The page has no script, and nothing in it comes from elsewhere: its policy
// would not let it. Texts from an image are made visible and then escaped by
// html/template for the place where they stand.

//go:embed page.html.tmpl
var pageTemplate string

//go:embed page.css
var pageStyle string

var pageForm = template.Must(template.New("page").Parse(pageTemplate))

// Bounds of what the page shows: a browser has to lay it out. findings.json
// has everything.
const (
	maxCards      = 200
	maxCardPlaces = 100
	maxUnread     = 200
	maxPagePath   = 400
)

// A page is what the template is filled with. All texts are visible ones.
type page struct {
	Style                    template.CSS
	Verdict, Class, Headline string
	Outcome, Error, Notice   string
	Facts                    []fact
	Pictures                 []picture
	Cards                    []card
	Unread                   []finding.Unread
	MoreUnread               string
	Search                   []fact
	Times                    []duration
	Tool, Started, Details   string
}

// A fact is a line of a list: words in running text, or names as code.
type fact struct {
	Name  string
	Code  bool
	Words []string
}

type duration struct {
	Stage, Took string
	Width       float64 // in percent of the longest
}

// shown is a text from an image or a machine, as the page shows it.
func shown(s string) string { return visible(s, maxPagePath) }

// page writes a run as HTML.
func (r Run) page() ([]byte, error) {
	cards, anchors := r.cards()
	p := page{
		Style: template.CSS(pageStyle), Verdict: string(r.Findings.Verdict), Class: r.class(), Headline: r.headline(),
		Outcome: r.outcome(), Error: visible(r.Error, maxReasonShown), Notice: visible(r.Notice, maxReasonShown),
		Facts: r.facts(), Pictures: r.pictures(anchors), Cards: cards, Search: r.search(), Times: r.times(),
		Tool: shown(r.Tool), Details: FindingsFile,
	}
	if !r.Started.IsZero() {
		p.Started = r.Started.UTC().Format(time.RFC3339)
	}
	for i, u := range r.Findings.Coverage.Unread {
		if i == maxUnread {
			p.MoreUnread = fmt.Sprintf("… and %d more: see %s.", len(r.Findings.Coverage.Unread)-i, FindingsFile)
			break
		}
		p.Unread = append(p.Unread, finding.Unread{Blob: shown(u.Blob), Path: shown(u.Path), Reason: capital(visible(u.Reason, maxReasonShown))})
	}
	var out bytes.Buffer
	err := pageForm.Execute(&out, p)
	return out.Bytes(), err
}

// class is the verdict's colour and sign.
func (r Run) class() string {
	switch {
	case r.Findings.Verdict == finding.Clean && len(r.Findings.Findings) > 0:
		return "warned"
	case r.Findings.Verdict == finding.Clean, r.Findings.Verdict == finding.Leaked:
		return string(r.Findings.Verdict)
	}
	return "incomplete"
}

// headline is the verdict in a few words.
func (r Run) headline() string {
	found := map[string]bool{}
	for _, f := range r.Findings.Findings {
		if f.Secret != "" {
			found[f.Secret] = true
		}
	}
	places := len(rows(r.Findings))
	switch {
	case r.Findings.Verdict == finding.Leaked && len(found) > 0:
		return count(len(found), "secret") + " in the image"
	case r.Findings.Verdict == finding.Leaked:
		return "Something in the image looks like a secret"
	case r.Findings.Verdict != finding.Clean:
		return "Not everything could be read"
	case places > 0:
		return "Clean, with " + count(places, "warning")
	}
	return "Clean"
}

// outcome says beside the headline what was looked at and what became of it.
func (r Run) outcome() string {
	c := r.Findings.Coverage
	text := fmt.Sprintf("%s, %s searched for %s.", count(c.Blobs, "blob"), size(c.Bytes), count(len(r.searched()), "known secret"))
	if n := len(rows(r.Findings)); n > 0 {
		text = fmt.Sprintf("Found in %s; %s", count(n, "place"), text)
	}
	if n := len(c.Unread); n > 0 {
		text += " " + capital(count(n, "part")) + " could not be read."
	}
	return text + " " + capital(r.pushed()) + "."
}

// facts say which image this is about.
func (r Run) facts() []fact {
	var out []fact
	add := func(name string, values ...string) {
		if f := codeFact(name, values); len(f.Words) > 0 {
			out = append(out, f)
		}
	}
	add("Image", r.Findings.Image.Digest)
	add("Platforms", r.Findings.Image.Platforms...)
	add("Tags", r.Tags...)
	add("Commit", r.Commit)
	add("Dockerfile", r.Dockerfile)
	add("Engine", r.Engine)
	return out
}

// codeFact is a list of names, without what is empty and within a bound.
func codeFact(name string, values []string) fact {
	f := fact{Name: name, Code: true}
	for _, v := range values {
		if len(f.Words) == maxRows {
			f.Words = append(f.Words, fmt.Sprintf("… and more: %d in all", len(values)))
			break
		}
		if v != "" {
			f.Words = append(f.Words, shown(v))
		}
	}
	return f
}

// search says what was looked at and for, and where the secrets were meanwhile.
func (r Run) search() []fact {
	c := r.Findings.Coverage
	out := []fact{{Name: "Read", Words: []string{
		count(c.Blobs, "blob"), size(c.Bytes) + " uncompressed", fmt.Sprintf("%d not read", len(c.Unread)),
	}}}
	for _, more := range []string{remembered(c), packed(c)} {
		if more != "" {
			out[0].Words = append(out[0].Words, more)
		}
	}
	var names []string
	for _, s := range r.searched() {
		name := s.ID
		if s.Origin != "" && s.Origin != s.ID {
			name += " (" + s.Origin + ")"
		}
		names = append(names, name)
	}
	if f := codeFact("Searched for", names); len(f.Words) > 0 {
		out = append(out, f)
	}
	if f := codeFact("Too short or too common to search for", r.Weak); len(f.Words) > 0 {
		out = append(out, f)
	}
	if m := r.Memory; m.Kind != "" {
		out = append(out, fact{Name: "Secrets were kept in", Words: m.phrases()})
	}
	return out
}

// phrases say what the secrets were kept in, and what became of them.
func (m Memory) phrases() []string {
	out := []string{shown(m.Kind)}
	if m.Locked {
		out = append(out, "locked in RAM")
	}
	if m.Swap {
		out = append(out, "may have been swapped out")
	}
	if m.End != "" {
		out = append(out, "at the end: "+shown(m.End))
	}
	if m.AfterKill != "" {
		out = append(out, "after a SIGKILL: "+shown(m.AfterKill))
	}
	return out
}

func (r Run) times() []duration {
	longest := time.Duration(1)
	for _, t := range r.Timings {
		longest = max(longest, t.Took)
	}
	var out []duration
	for _, t := range r.Timings {
		out = append(out, duration{shown(t.name()), fmt.Sprintf("%.1f s", t.Took.Seconds()), percent(int64(t.Took), int64(longest))})
	}
	return out
}

// percent is a share with one decimal, from 0 to 100.
func percent(part, whole int64) float64 {
	if whole <= 0 || part <= 0 {
		return 0
	}
	return min(100, float64(int(float64(part)/float64(whole)*1000+0.5))/10)
}
