// Package report writes down what a run found and did: a folder with
// findings.json and the forms that others read it in (SARIF for GitHub, two
// reports for GitLab, a page and a summary for people, a receipt), and a table
// for the terminal.
//
// All of them are made from one list of findings. The names in it (paths,
// instructions, labels) come from an image that may be hostile, so each form
// escapes what could be taken for its own syntax; and every byte goes through
// the redactor before it is written, although no finding holds a value.
package report

import (
	"time"

	"github.com/org/secure-build/internal/finding"
)

// A Run is what the reports say beside the findings.
type Run struct {
	Tool     string    // name and version: secure-build 1.2.3
	Started  time.Time // shown in UTC
	Engine   string    // the BuildKit that built it
	Secrets  []Secret  // that were given to the build and searched for
	Weak     []string  // ids of those that could not be searched for: too short or too common
	Tags     []string  // that the image was to get
	Pushed   bool      // all of Tags are in the registry
	Memory   Memory    // what the secrets were kept in
	Timings  []Timing  // in the order of the stages
	Notice   string    // why not all was done that was asked for, such as a push; "" if it was
	Error    string    // why the run ended early, "" after a good end
	Findings finding.Report

	Dockerfile string            // from the root of the repository; "" is "Dockerfile"
	Commit     string            // of the repository, in hexadecimal; "" if it is not known
	Category   string            // tells the images of one repository apart in code scanning; "" is the Dockerfile
	Layers     []Layer           // of all platforms, in their order; none if they are not known
	Rules      map[string]string // what a rule of a pattern looks for, in one sentence, by the rule's name
}

// A Layer is one layer of one platform's image, for the picture of the page.
type Layer struct {
	Platform    string // as in finding.Finding
	Digest      string
	Index       int    // from 0
	Size        int64  // in bytes, as it is pushed
	Instruction string // that made it, as history has it
}

// A Secret is named, never shown.
type Secret struct {
	ID     string `json:"id"`
	Origin string `json:"origin"`
}

// Memory says where the plaintext was during the run.
type Memory struct {
	Kind         string `json:"kind"` // memfd, tmpfs, disk
	Locked       bool   `json:"locked"`
	Swap         bool   `json:"swap"` // may have been written to swap space
	SurvivesKill bool   `json:"survives_kill"`
	AfterKill    string `json:"after_kill,omitempty"` // what happens to it after a SIGKILL, in words
	End          string `json:"end"`                  // what the end of the run does to it
}

// A Timing is how long one stage took, or a part of one.
type Timing struct {
	Stage  string
	Within string // the stage whose time has this in it, "" for a stage of its own
	Took   time.Duration
}

// name is what people see.
func (t Timing) name() string {
	if t.Within == "" {
		return t.Stage
	}
	return t.Stage + ", in " + t.Within
}

// A receipt is what receipt.json holds.
type receipt struct {
	Version     int               `json:"version"`
	Tool        string            `json:"tool"`
	Started     string            `json:"started,omitempty"`
	Image       finding.Image     `json:"image"`
	Verdict     finding.Verdict   `json:"verdict"`
	Findings    int               `json:"findings"`
	Coverage    finding.Coverage  `json:"coverage"`
	Pushed      bool              `json:"pushed"`
	Tags        []receiptTag      `json:"tags"`
	Secrets     []Secret          `json:"secrets"`
	NotSearched []string          `json:"not_searched"`
	Memory      Memory            `json:"memory"`
	Engine      string            `json:"engine"`
	Timings     []receiptDuration `json:"timings"`
	Error       string            `json:"error,omitempty"`
}

type receiptTag struct {
	Name   string `json:"name"`
	Pushed bool   `json:"pushed"`
}

type receiptDuration struct {
	Stage   string  `json:"stage"`
	Within  string  `json:"within,omitempty"` // the stage whose seconds have these in them
	Seconds float64 `json:"seconds"`
}

func (r Run) receipt() receipt {
	out := receipt{
		Version: finding.Version, Tool: r.Tool,
		Image: r.Findings.Image, Verdict: r.Findings.Verdict, Findings: len(r.Findings.Findings), Coverage: r.Findings.Coverage,
		Pushed: r.Pushed, Tags: []receiptTag{}, Secrets: append([]Secret{}, r.Secrets...), NotSearched: append([]string{}, r.Weak...),
		Memory: r.Memory, Engine: r.Engine, Timings: []receiptDuration{}, Error: r.Error,
	}
	if !r.Started.IsZero() {
		out.Started = r.Started.UTC().Format(time.RFC3339)
	}
	for _, t := range r.Tags {
		out.Tags = append(out.Tags, receiptTag{t, r.Pushed})
	}
	for _, t := range r.Timings {
		out.Timings = append(out.Timings, receiptDuration{t.Stage, t.Within, t.Took.Round(time.Millisecond).Seconds()})
	}
	return out
}
