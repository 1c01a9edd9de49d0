package report

import (
	"fmt"
	"strings"

	"github.com/org/secure-build/internal/finding"
)

// A card is all that was found of one secret, or by one rule.
type card struct {
	Anchor, Name, About string
	Places              []cardPlace
	More                string
	Steps               [][]part
}

type cardPlace struct {
	Class, Tag               string
	Where                    []part
	Instruction, Fingerprint string
}

// A part of a text is words of ours, and then what is set as code.
type part struct{ Words, Code string }

// cards groups the findings by what to do about them, with the anchor of each
// group by its name.
func (r Run) cards() (out []card, anchors map[string]string) {
	anchors = map[string]string{}
	steps := map[string]advice{}
	for _, a := range advise(r.Findings) {
		steps[a.secret] = a
	}
	at, hidden := map[string]int{}, map[string]int{}
	for _, row := range rows(r.Findings) {
		name := row.name()
		i, ok := at[name]
		if !ok {
			if len(out) == maxCards {
				continue
			}
			i = len(out)
			at[name], anchors[name] = i, fmt.Sprintf("finding-%d", i+1)
			out = append(out, card{Anchor: anchors[name], Name: shown(name), About: r.about(row), Steps: sentences(steps[name].steps)})
		}
		if len(out[i].Places) == maxCardPlaces {
			hidden[name]++
			out[i].More = fmt.Sprintf("… and %d more: see %s", hidden[name], FindingsFile)
			continue
		}
		out[i].Places = append(out[i].Places, r.cardPlace(row))
	}
	return out, anchors
}

func (r Run) about(row row) string {
	switch {
	case row.Secret == "":
		return shown(r.Rules[row.Rule])
	case row.Origin == row.Secret:
		return ""
	}
	return shown(row.Origin)
}

// sentences sets what is to be written into a Dockerfile as code.
func sentences(steps []string) [][]part {
	var out [][]part
	for _, s := range steps {
		before, rest, found := strings.Cut(capital(visible(s, maxReasonShown)), "RUN --mount")
		step := []part{{Words: before}}
		if found {
			mount, after, _ := strings.Cut("RUN --mount"+rest, " in the step")
			step = []part{{before, mount}}
			if after != "" {
				step = append(step, part{Words: " in the step" + after})
			}
		}
		out = append(out, step)
	}
	return out
}

func (r Run) cardPlace(row row) cardPlace {
	p := cardPlace{Class: class(row.Severity), Tag: "found", Fingerprint: shown(row.Fingerprint)}
	switch {
	case row.Encoding == "raw":
		p.Tag = "in clear text"
	case row.Encoding != "":
		p.Tag = "as " + shown(row.Encoding)
	}
	p.Instruction = row.instruction(instruction)
	add := func(code, words string) { p.Where = append(p.Where, part{words, shown(code)}) }
	if row.Layer >= 0 {
		add("", layerName(row.Layer))
	}
	switch {
	case row.Path == "" && row.Field != "":
		add(row.Field, "")
	case row.Path == "":
		add("", "outside all files")
	case row.Field == finding.FieldPath:
		add(row.Path, "the name of")
	case row.Field == finding.FieldLink:
		add(row.Path, "the link target of")
	case row.Field == finding.FieldHeader:
		add(row.Path, "the tar header of")
	default:
		add(row.Path, "")
	}
	if all := r.Findings.Image.Platforms; len(all) > 1 && len(row.platforms) < len(all) {
		for _, platform := range row.platforms {
			add(platform, "on")
		}
	}
	return p
}

// instruction shows an instruction as it stands in the Dockerfile: BuildKit's
// history adds the shell and its own name.
func instruction(s string) string {
	s = strings.TrimSuffix(strings.Replace(s, "RUN /bin/sh -c ", "RUN ", 1), " # buildkit")
	return visible(s, maxReasonShown)
}

// class is the colour of a finding.
func class(s finding.Severity) string {
	if s == finding.Warning {
		return "doubt"
	}
	return "hit"
}
