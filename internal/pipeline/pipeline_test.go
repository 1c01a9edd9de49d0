package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/secret"
)

const digest = "sha256:0123"

// trace is a pipeline whose steps write down that they ran.
type trace struct {
	ran    []string
	fail   string // the step that returns an error
	panics string // the step that panics
	report finding.Report
	result Result
	during func(step string)
}

var errStep = errors.New("step failed")

func (tr *trace) step(name string) error {
	tr.ran = append(tr.ran, name)
	if tr.during != nil {
		tr.during(name)
	}
	if tr.panics == name {
		panic("step panicked: " + name)
	}
	if tr.fail == name+" enough" {
		return fmt.Errorf("%s: %w", name, ErrEnough)
	}
	if tr.fail == name {
		return fmt.Errorf("%s: %w", name, errStep)
	}
	return nil
}

func (tr *trace) steps() Steps {
	return Steps{
		Check: func(context.Context) error { return tr.step("check") },
		Decrypt: func(context.Context) (secret.Set, error) {
			var set secret.Set
			_ = set.Add(secret.New("npm_token", "secrets.yaml#npm.token", []byte("canary-value")))
			return set, tr.step("decrypt")
		},
		Mask: func(set secret.Set) error {
			if len(set.Mounted()) != 1 {
				return errors.New("mask was not handed the decrypted set")
			}
			return tr.step("mask")
		},
		Store: func(context.Context, secret.Set) error { return tr.step("store") },
		Build: func(context.Context) (Image, error) { return Image{Digest: digest}, tr.step("build") },
		Scan: func(_ context.Context, img Image) (finding.Report, error) {
			return tr.report, tr.step("scan")
		},
		Push: func(_ context.Context, img Image) error {
			if img.Digest != digest {
				return errors.New("push was handed another image")
			}
			return tr.step("push")
		},
		Cache: func(_ context.Context, r *finding.Report) error {
			if r.Verdict != finding.Clean {
				return errors.New("cache was handed the report of an image that is not clean")
			}
			return tr.step("cache")
		},
		Report: func(res Result) error { tr.result = res; return tr.step("report") },
		Shred:  func() error { return tr.step("shred") },
	}
}

func report(verdict finding.Verdict, change func(*finding.Report)) finding.Report {
	r := finding.Report{
		Version: finding.Version, Verdict: verdict,
		Image:    finding.Image{Digest: digest},
		Coverage: finding.Coverage{Blobs: 3, Bytes: 1 << 20},
	}
	if change != nil {
		change(&r)
	}
	return r
}

func leak(r *finding.Report) {
	r.Findings = []finding.Finding{{Rule: finding.RuleKnownValue, Severity: finding.Error}}
}

func unread(r *finding.Report) {
	r.Coverage.Unread = []finding.Unread{{Blob: "sha256:45", Reason: "truncated"}}
}

// TestRun holds I2, I3, I5 and I6 for the order of the stages: whatever fails,
// shred is last, and push runs after a scan that is clean and no other.
func TestRun(t *testing.T) {
	clean := report(finding.Clean, nil)
	tests := []struct {
		name   string
		fail   string
		report finding.Report
		push   bool
		want   string
		err    error
	}{
		{"pushed", "", clean, true, "check decrypt mask store build scan push cache report shred", nil},
		{"built and clean, no push asked for", "", clean, false, "check decrypt mask store build scan cache report shred", nil},
		{"check fails", "check", clean, true, "check shred", errStep},
		{"check is enough", "check enough", clean, true, "check shred", nil},
		{"a build is never enough", "build enough", clean, true, "check decrypt mask store build shred", ErrEnough},
		{"decrypt fails half-way", "decrypt", clean, true, "check decrypt mask shred", errStep},
		{"mask fails", "mask", clean, true, "check decrypt mask shred", errStep},
		{"store fails", "store", clean, true, "check decrypt mask store shred", errStep},
		{"build fails", "build", clean, true, "check decrypt mask store build shred", errStep},
		{"scan fails with a clean report", "scan", clean, true, "check decrypt mask store build scan shred", errStep},
		{"push fails", "push", clean, true, "check decrypt mask store build scan push report shred", errStep},
		{"cache fails", "cache", clean, true, "check decrypt mask store build scan push cache report shred", errStep},
		{"report fails", "report", clean, true, "check decrypt mask store build scan push cache report shred", errStep},
		{"shred fails", "shred", clean, true, "check decrypt mask store build scan push cache report shred", errStep},
		{"leaked", "", report(finding.Leaked, leak), true, "check decrypt mask store build scan report shred", ErrNotClean},
		{"leaked, no push asked for", "", report(finding.Leaked, leak), false, "check decrypt mask store build scan report shred", ErrNotClean},
		{"findings under a clean verdict", "", report(finding.Clean, leak), true, "check decrypt mask store build scan report shred", ErrNotClean},
		{"incomplete", "", report(finding.Incomplete, unread), true, "check decrypt mask store build scan report shred", ErrNotClean},
		{"unread under a clean verdict", "", report(finding.Clean, unread), true, "check decrypt mask store build scan report shred", ErrNotClean},
		{"missing scan", "", finding.Report{}, true, "check decrypt mask store build scan report shred", ErrNotClean},
		{"empty scan of the right image", "", finding.Report{Image: finding.Image{Digest: digest}, Verdict: finding.Clean}, true, "check decrypt mask store build scan report shred", ErrNotClean},
		{"scan of another image", "", report(finding.Clean, func(r *finding.Report) { r.Image.Digest = "sha256:ffff" }), true, "check decrypt mask store build scan report shred", ErrNotClean},
		{"unknown verdict", "", report("fine", nil), true, "check decrypt mask store build scan report shred", ErrNotClean},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr := &trace{fail: tt.fail, report: tt.report}
			res, err := Run(t.Context(), Plan{Push: tt.push}, tr.steps())
			if got := strings.Join(tr.ran, " "); got != tt.want {
				t.Errorf("ran\n got %s\nwant %s", got, tt.want)
			}
			if !errors.Is(err, tt.err) {
				t.Errorf("got error %v, want %v", err, tt.err)
			}
			if want := tt.push && tt.err == nil && slices.Contains(tr.ran, "push") || slices.Contains([]string{"cache", "report", "shred"}, tt.fail); res.Pushed != want {
				t.Errorf("pushed: got %v, want %v", res.Pushed, want)
			}
			if slices.Contains(tr.ran, "report") && tt.fail != "report" && tt.fail != "shred" && !errors.Is(tr.result.Err, tt.err) {
				t.Errorf("the report was told %v, want %v", tr.result.Err, tt.err)
			}
		})
	}
}

// TestRunShredsAfterPanic holds I6: a panic in any stage does not keep the
// vault, and is not swallowed either.
func TestRunShredsAfterPanic(t *testing.T) {
	for _, step := range []string{"check", "decrypt", "mask", "store", "build", "scan", "push", "report"} {
		t.Run(step, func(t *testing.T) {
			tr := &trace{panics: step, report: report(finding.Clean, nil)}
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
				if got := tr.ran[len(tr.ran)-1]; got != "shred" {
					t.Errorf("the last step was %s, want shred", got)
				}
				if step != "push" && step != "report" && slices.Contains(tr.ran, "push") {
					t.Error("pushed after a panic")
				}
			}()
			_, _ = Run(t.Context(), Plan{Push: true}, tr.steps())
		})
	}
}

// TestRunDoesNotPushWhenCancelled: Ctrl-C between the scan and the push.
func TestRunDoesNotPushWhenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	tr := &trace{report: report(finding.Clean, nil)}
	tr.during = func(step string) {
		if step == "scan" {
			cancel()
		}
	}
	_, err := Run(ctx, Plan{Push: true}, tr.steps())
	if !errors.Is(err, context.Canceled) || slices.Contains(tr.ran, "push") || tr.ran[len(tr.ran)-1] != "shred" {
		t.Errorf("got %v after %v, want a cancelled run without push, shredded", err, tr.ran)
	}
}
