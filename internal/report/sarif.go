package report

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	"github.com/org/secure-build/internal/finding"
)

// Bounds of GitHub's code scanning: what is over them is refused as a whole.
const (
	maxResults    = 25_000
	maxSARIFBytes = 10_000_000 // of the gzipped file
)

// homepage is where a reader learns more about the tool.
const homepage = "https://github.com/org/secure-build"

// sourceRoot stands for the root of the repository, where the reader knows it.
const sourceRoot = "%SRCROOT%"

// sarif is the run as SARIF 2.1.0. A path inside an image is no source file:
// each result lies on the line of the Dockerfile that brought the secret in,
// with the place in the image as its logical location. The text is not
// indented, since there may be 25,000 results.
func (r Run) sarif() ([]byte, error) {
	all := places(r.Findings)
	for n := min(len(all), maxResults); ; {
		var text bytes.Buffer
		enc := json.NewEncoder(&text)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(r.sarifLog(all[:n], len(all)-n)); err != nil {
			return nil, err
		}
		out := withoutDefaults(text.Bytes())
		if len(out) <= maxSARIFBytes || n == 0 {
			return out, nil
		}
		packed := gzipped(out)
		if packed <= maxSARIFBytes {
			return out, nil
		}
		n = int(float64(n) * maxSARIFBytes / float64(packed) * 0.9)
	}
}

// Members that say what their absence says, which is most of a log: after
// another one, and first in their object. They cannot be found in a string,
// where each quote has a backslash before it.
var (
	unsetLater = regexp.MustCompile(`,"[A-Za-z]+":(?:-1|\[\])`)
	unsetFirst = regexp.MustCompile(`\{"[A-Za-z]+":(?:-1|\[\]),?`)
)

// withoutDefaults takes them out, except for an empty list of results, which
// says that there are none.
func withoutDefaults(text []byte) []byte {
	text = unsetLater.ReplaceAllFunc(text, func(member []byte) []byte {
		if bytes.HasPrefix(member, []byte(`,"results"`)) {
			return member
		}
		return nil
	})
	return unsetFirst.ReplaceAll(text, []byte("{"))
}

// gzipped is the size of a text at the weakest compression, so that everyone
// else's is smaller.
func gzipped(text []byte) int64 {
	var n counter
	w, _ := gzip.NewWriterLevel(&n, gzip.BestSpeed) // a level that exists
	_, _ = w.Write(text)                            // into a counter
	_ = w.Close()
	return int64(n)
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// sarifLog is a log of some places, which says how many are missing.
func (r Run) sarifLog(all []place, missing int) *sarif.Report {
	name, version := r.version()
	driver := sarif.NewToolComponent().WithName(name).WithVersion(version).WithInformationURI(homepage)
	// GitHub wants a list of rules, also from a log without results.
	known := place{Finding: finding.Finding{Rule: finding.RuleKnownValue, Severity: finding.Error}}
	at := map[string]int{known.Rule: 0}
	driver.AddRule(r.sarifRule(known))
	for _, p := range all {
		if _, ok := at[p.Rule]; !ok {
			at[p.Rule] = len(at)
			driver.AddRule(r.sarifRule(p))
		}
	}
	run := sarif.NewRun().WithTool(sarif.NewTool().WithDriver(driver)).
		WithColumnKind("unicodeCodePoints").
		WithOriginalUriBaseIds(map[string]sarif.ArtifactLocation{sourceRoot: *sarif.NewArtifactLocation().
			WithDescription(sarif.NewTextMessage("The root of the repository."))}).
		WithAutomationDetails(sarif.NewRunAutomationDetails().WithID(r.category() + "/").
			WithDescription(sarif.NewTextMessage("The search of one image for secrets, before it is pushed."))).
		AddInvocation(r.sarifInvocation(missing))
	for _, p := range all {
		run.AddResult(r.sarifResult(p).WithRuleIndex(at[p.Rule]))
	}
	return sarif.NewReport().AddRun(run)
}

// category tells this image's alerts from those of the repository's other
// images: uploading one category again replaces what it said before.
func (r Run) category() string {
	name, _ := r.version()
	if r.Category != "" {
		return visible(r.Category, maxPathShown)
	}
	return visible(name+"/"+r.file(), maxPathShown)
}

func (r Run) sarifRule(p place) *sarif.ReportingDescriptor {
	rule := r.rule(p.Rule)
	severity := "9.5" // of 10: critical
	if p.Rule != finding.RuleKnownValue {
		severity = "7.0"
	}
	level := level(p.Severity)
	out := sarif.NewRule(visible(rule.id, maxPathShown)).WithName(ruleName(rule.id)).
		WithShortDescription(sarif.NewMultiformatMessageString().WithText(sentence(visible(rule.title, maxReasonShown)))).
		WithFullDescription(sarif.NewMultiformatMessageString().WithText(visible(rule.help, maxHelpShown))).
		WithHelp(sarif.NewMultiformatMessageString().WithText(visible(rule.help, maxHelpShown))).
		WithDefaultConfiguration(sarif.NewReportingConfiguration().WithLevel(level))
	bag := sarif.NewPropertyBag().Add("security-severity", severity).Add("precision", "very-high").WithTags([]string{"security", "secret"})
	if p.Rule != finding.RuleKnownValue {
		bag.Add("precision", "medium")
	}
	return out.WithProperties(bag)
}

// maxHelpShown bounds a rule's help, which may come from a rule file.
const maxHelpShown = 1000

// ruleName is a rule's id in the form that SARIF asks of names: KnownValue.
func ruleName(id string) string {
	var b strings.Builder
	for _, word := range strings.FieldsFunc(visible(id, maxPathShown), func(r rune) bool { return !isAlphanumeric(r) }) {
		b.WriteString(capital(word))
	}
	return b.String()
}

func level(s finding.Severity) string {
	if s == finding.Warning {
		return sarif.LevelWarning
	}
	return sarif.LevelError
}

func (r Run) sarifResult(p place) *sarif.Result {
	text := p.words(r, sarifWord)
	if p.Instruction != "" {
		text += ". It came with the instruction " + sarifWord(p.Instruction)
	}
	text += ". " + sarifText(visible(remedies(p.Finding), maxHelpShown))
	where := sarif.NewPhysicalLocation().
		WithArtifactLocation(sarif.NewArtifactLocation().WithURI((&url.URL{Path: r.file()}).String()).WithURIBaseID(sourceRoot)).
		WithRegion(sarif.NewRegion().WithStartLine(p.line()))
	out := sarif.NewRuleResult(visible(p.Rule, maxPathShown)).WithLevel(level(p.Severity)).
		WithMessage(sarif.NewTextMessage(text)).
		WithOccurrenceCount(p.times).
		AddLocation(sarif.NewLocation().WithPhysicalLocation(where).AddLogicalLocation(p.sarifPlace()))
	// GitHub knows an alert again by primaryLocationLineHash only, and makes it
	// from the line's text where it is missing: then all secrets of one line
	// would be one alert.
	return out.WithPartialFingerprints(map[string]string{"primaryLocationLineHash": p.Fingerprint + ":1", "secureBuild/v1": p.Fingerprint})
}

// sarifPlace is the place in the image.
func (p place) sarifPlace() *sarif.LogicalLocation {
	kind, name := "resource", p.Path
	if name == "" {
		kind, name = "property", p.Field
	}
	var full []string
	for _, part := range []string{p.Platform, layerName(p.Layer), p.Path, p.Field} {
		if part != "" {
			full = append(full, visible(part, maxSARIFPath))
		}
	}
	out := sarif.NewLogicalLocation().WithKind(kind).WithFullyQualifiedName(strings.Join(full, "/"))
	if name != "" {
		out.WithName(visible(name, maxSARIFPath))
	}
	return out
}

// maxSARIFPath bounds a path in a logical location, so that 25,000 results of
// long and random names stay near GitHub's bound.
const maxSARIFPath = 500

func layerName(i int) string {
	if i < 0 {
		return ""
	}
	return "layer " + strconv.Itoa(i)
}

// sarifInvocation says how long the run took, and what it did not read.
func (r Run) sarifInvocation(missing int) *sarif.Invocation {
	unread := r.Findings.Coverage.Unread
	out := sarif.NewInvocation().WithExecutionSuccessful(len(unread) == 0 && r.Findings.Verdict != finding.Incomplete)
	if !r.Started.IsZero() {
		out.WithStartTimeUtc(r.Started.UTC().Format(time.RFC3339)).WithEndTimeUtc(r.ended().UTC().Format(time.RFC3339))
	}
	note := func(level, text string) {
		out.AddToolExecutionNotification(sarif.NewNotification().WithLevel(level).WithMessage(sarif.NewTextMessage(sarifText(text))))
	}
	if missing > 0 {
		note(sarif.LevelWarning, fmt.Sprintf("%s not in this log, which has a bound: see %s.", count(missing, "finding"), FindingsFile))
	}
	for i, u := range unread {
		if i == maxMessages {
			note(sarif.LevelError, fmt.Sprintf("%d more parts were not read: see %s.", len(unread)-i, FindingsFile))
			break
		}
		note(sarif.LevelError, "Not read, so not known to be clean: "+sentence(unreadWords(u)))
	}
	return out
}

// sarifWord writes a text from an image within a message, in quotes.
func sarifWord(s string) string { return "'" + sarifText(visible(s, maxReasonShown)) + "'" }

// sarifText keeps a text from being a placeholder or a link of a message
// (SARIF 2.1.0, sections 3.11.5 and 3.11.6).
func sarifText(s string) string {
	return strings.NewReplacer("{", "{{", "}", "}}", "](", "] (").Replace(s)
}

func sentence(s string) string { return strings.TrimSuffix(s, ".") + "." }
