package report

import (
	"regexp"
	"strings"
	"testing"

	"github.com/org/secure-build/internal/finding"
)

// TestPictureTakesNoNames: however hostile an image, the picture has our own
// words and numbers only.
func TestPictureTakesNoNames(t *testing.T) {
	own := regexp.MustCompile("(?m)^(|```mermaid|flowchart LR|```|  [a-z]+\\[\"[a-zA-Z0-9 ,.:]+(<br/>[a-zA-Z0-9 ,.]+)*\"\\]:::(good|bad|doubt|none)|  [a-z]+ --> [a-z]+|  classDef [a-z]+ [a-z0-9:#,]+)$")
	disk := clean()
	disk.Memory.Kind = "disk"
	hostile := hostileLeak()
	hostile.Memory.Kind = "x\"]; click decrypt \"javascript:alert(1)\""
	for name, run := range map[string]Run{"clean": clean(), "leaked": leaked(), "incomplete": incomplete(), "hostile": hostile, "disk": disk, "empty": {}} {
		text := run.mermaid()
		for line := range strings.SplitSeq(text, "\n") {
			if !own.MatchString(line) {
				t.Errorf("%s: got the line %q", name, line)
			}
		}
		pushed := strings.Contains(text, `["pushed`)
		if pushed != run.Pushed || pushed && run.Findings.Verdict != finding.Clean {
			t.Errorf("%s: pushed=%v, and the picture is %s", name, run.Pushed, text)
		}
	}
}
