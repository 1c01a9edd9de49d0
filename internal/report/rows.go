package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/org/secure-build/internal/finding"
)

// A row is one finding for people, on all platforms on which it is the same.
type row struct {
	finding.Finding
	platforms []string
}

// rows joins the findings that differ by platform only, in their own order.
func rows(r finding.Report) []row {
	var all []row
	at := map[finding.Finding]int{}
	for _, f := range r.Findings {
		key := f
		key.Platform, key.Blob, key.Offset, key.Fingerprint = "", "", 0, ""
		i, ok := at[key]
		if !ok {
			i = len(all)
			at[key] = i
			all = append(all, row{Finding: f})
		}
		if f.Platform != "" && !slices.Contains(all[i].platforms, f.Platform) {
			all[i].platforms = append(all[i].platforms, f.Platform)
		}
	}
	return all
}

// name is the secret, or the rule of a finding of no secret of ours.
func (r row) name() string {
	if r.Secret == "" {
		return r.Rule
	}
	return r.Secret
}

// instruction is what brought the finding in, with its line if that is known.
func (r row) instruction(show func(string) string) string {
	switch {
	case r.Instruction == "" && r.Line == 0:
		return ""
	case r.Instruction == "":
		return fmt.Sprintf("line %d", r.Line)
	case r.Line == 0:
		return show(r.Instruction)
	}
	return fmt.Sprintf("line %d: %s", r.Line, show(r.Instruction))
}

// where says in words in which part of the image a finding is, with show for
// what comes from the image.
func (r row) where(of []string, show func(string) string) string {
	var parts []string
	if r.Layer >= 0 {
		parts = append(parts, fmt.Sprintf("layer %d", r.Layer))
	}
	switch {
	case r.Path == "" && r.Field != "":
		parts = append(parts, show(r.Field))
	case r.Path == "":
		parts = append(parts, "outside all files")
	case r.Field == finding.FieldPath:
		parts = append(parts, "the name of "+show(r.Path))
	case r.Field == finding.FieldLink:
		parts = append(parts, "the link target of "+show(r.Path))
	case r.Field == finding.FieldHeader:
		parts = append(parts, "the tar header of "+show(r.Path))
	default:
		parts = append(parts, show(r.Path))
	}
	if r.Platform == finding.PlatformCache {
		return "cache, not image: " + strings.Join(parts, ", ")
	}
	if len(of) > 1 && len(r.platforms) > 0 && len(r.platforms) < len(of) {
		parts = append(parts, show(strings.Join(r.platforms, ", ")))
	}
	return strings.Join(parts, ", ")
}

// An advice is what to do about one secret, or about what one rule found.
type advice struct {
	secret, origin string
	steps          []string
	last           string
}

// advise says for each secret, once, how to keep it out of the image.
func advise(r finding.Report) []advice {
	var all []advice
	at := map[string]int{}
	for _, f := range r.Findings {
		name := (row{Finding: f}).name()
		i, ok := at[name]
		if !ok {
			i = len(all)
			at[name] = i
			all = append(all, advice{secret: name, origin: f.Origin, last: last(f)})
		}
		if step := remedy(f); !slices.Contains(all[i].steps, step) {
			all[i].steps = append(all[i].steps, step)
		}
	}
	for i := range all {
		all[i].steps = append(all[i].steps, all[i].last)
	}
	return all
}

// last is what there is to do after the image is mended.
func last(f finding.Finding) string {
	if f.Secret == "" {
		return "if it is none, accept its fingerprint in the baseline, with the reason"
	}
	return "rotate it if this image or its build cache was ever shared"
}

// remedies is the advice about one finding by itself, as sentences.
func remedies(f finding.Finding) string {
	return capital(remedy(f)) + ". " + capital(last(f)) + "."
}

func remedy(f finding.Finding) string {
	mount := "RUN --mount=type=secret,id=" + f.Secret
	switch {
	case f.Secret == "":
		return "if it is a secret, take it out of the image and rotate it"
	case f.Hidden:
		return "take it out of what is copied or written into the image: no step needs it, or can mount it"
	case strings.HasPrefix(f.Field, "config.Env"), strings.HasPrefix(f.Field, "history"):
		return "take it out of ENV and ARG, which stay in the image, and use " + mount + ",env=NAME in the step that needs it"
	case strings.HasPrefix(f.Field, "config.Labels"), strings.Contains(f.Field, "annotations"):
		return "take it out of the labels and annotations, which everybody can read"
	case strings.HasPrefix(f.Field, "predicate"):
		return "do not pass it as a build argument, which provenance records; use " + mount
	case f.Layer >= 0:
		return "do not copy or write it into the image, where deleting it later leaves it in its layer; use " + mount + " in the step that needs it"
	}
	return "use " + mount + " in the step that needs it"
}
