package buildkit

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// A Step is an instruction of the Dockerfile that makes an entry of the image's
// history.
type Step struct {
	Instruction string // RUN, COPY, …
	Line        int    // from 1
}

// Steps lists the instructions of the target's stage and of those that it
// builds on, in the order of the history entries that BuildKit makes of them:
// one for each (dockerfile2llb, commitToHistory), and for ONBUILD one in the next
// stage. It is nil for a Dockerfile that cannot be read; the build says why.
func Steps(req Request) []Step {
	dt, err := readDockerfile(req)
	if err != nil {
		return nil
	}
	ast, err := parser.Parse(bytes.NewReader(dt))
	if err != nil {
		return nil
	}
	stages, _, err := instructions.Parse(ast.AST, noLint())
	if err != nil || len(stages) == 0 {
		return nil
	}
	at := targetOf(stages, req.Target)
	var steps []Step
	for target := at; at >= 0; at = stageAt(stages, stages[at].BaseName, at) {
		own, triggers := stepsOf(stages[at])
		if at != target { // they run where the next stage begins
			own = append(own, triggers...)
		}
		steps = append(own, steps...)
	}
	return steps
}

// stageAt finds a stage by name among the first n.
func stageAt(stages []instructions.Stage, name string, n int) int {
	return slices.IndexFunc(stages[:n], func(s instructions.Stage) bool { return name != "" && strings.EqualFold(s.Name, name) })
}

// stepsOf lists a stage's own steps, and those of its ONBUILD instructions.
func stepsOf(s instructions.Stage) (own, triggers []Step) {
	for _, c := range s.Commands {
		if len(c.Location()) == 0 {
			continue
		}
		step := Step{strings.ToUpper(c.Name()), c.Location()[0].Start.Line}
		if onbuild, ok := c.(*instructions.OnbuildCommand); ok {
			step.Instruction, _, _ = strings.Cut(strings.ToUpper(onbuild.Expression), " ")
			triggers = append(triggers, step)
			continue
		}
		own = append(own, step)
	}
	return own, triggers
}

// baseLayers collects the diff IDs of the base images' layers from what the
// frontend says of them: the base image's own config, as BuildKit resolved it.
func baseLayers(metadata map[string][]byte) []string {
	var ids []string
	for key, config := range metadata {
		if key != exptypes.ExporterImageBaseConfigKey && !strings.HasPrefix(key, exptypes.ExporterImageBaseConfigKey+"/") {
			continue
		}
		var img ocispecs.Image
		if json.Unmarshal(config, &img) != nil {
			continue // then its layers count as ours, which is the stricter
		}
		for _, id := range img.RootFS.DiffIDs {
			if !slices.Contains(ids, id.String()) {
				ids = append(ids, id.String())
			}
		}
	}
	slices.Sort(ids)
	return ids
}
