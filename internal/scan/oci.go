package scan

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
)

// A Descriptor points at a blob
// (https://github.com/opencontainers/image-spec/blob/main/descriptor.md).
type Descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	URLs        []string          `json:"urls"`
	Annotations map[string]string `json:"annotations"`
	Data        []byte            `json:"data"`
	Platform    *Platform         `json:"platform"`
}

// A Platform is what an image runs on.
type Platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant"`
}

// String writes linux/arm64/v8, and "" for a platform that is not known.
func (p *Platform) String() string {
	if p == nil || p.OS == "" || p.OS == "unknown" {
		return ""
	}
	name := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		name += "/" + p.Variant
	}
	return name
}

// A document is an index or a manifest, in OCI's or Docker's words, or an OCI
// artifact manifest. Whatever its media type claims, all that it points at is
// followed, so that no document can be taken for another.
type document struct {
	Manifests []Descriptor      `json:"manifests"`
	Config    *Descriptor       `json:"config"`
	Layers    []Descriptor      `json:"layers"`
	Blobs     []Descriptor      `json:"blobs"`
	FSLayers  []json.RawMessage `json:"fsLayers"` // Docker's schema 1, which is not read
}

// isEmpty says that a document points at nothing, so it is none that we know.
func (d *document) isEmpty() bool {
	return d.Manifests == nil && d.Config == nil && d.Layers == nil && d.Blobs == nil
}

// An imageConfig is the part of an image's config that tells where its layers
// and settings came from
// (https://github.com/opencontainers/image-spec/blob/main/config.md).
type imageConfig struct {
	Platform
	Config struct {
		Env []string
	} `json:"config"`
	History []struct {
		CreatedBy  string `json:"created_by"`
		EmptyLayer bool   `json:"empty_layer"`
	} `json:"history"`
	RootFS struct {
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`

	lines []int // of the Dockerfile, for each entry of History; 0 where none is known
}

// A step is an entry of the history, with its line in the Dockerfile if that is
// known.
type step struct {
	by   string
	line int
}

// at gives the step of a history entry, the zero step for none.
func (c *imageConfig) at(i int) (s step) {
	if i >= 0 && i < len(c.History) {
		s.by = c.History[i].CreatedBy
	}
	if i >= 0 && i < len(c.lines) {
		s.line = c.lines[i]
	}
	return s
}

// number gives the history its lines: what the Dockerfile made is at its end.
// If one instruction does not fit its entry, none is known.
func (c *imageConfig) number(lines []Line) {
	from := len(c.History) - len(lines)
	if from < 0 {
		return
	}
	numbers := make([]int, len(c.History))
	for i, l := range lines {
		if !strings.HasPrefix(c.History[from+i].CreatedBy, l.Instruction+" ") {
			return
		}
		numbers[from+i] = l.Number
	}
	c.lines = numbers
}

// layerSteps gives the step of each of n layers: the history entries that made
// one, in order. If they are not as many as there are layers, none can be told.
func (c *imageConfig) layerSteps(n int) []step {
	made := make([]step, 0, n)
	for i, h := range c.History {
		if !h.EmptyLayer {
			made = append(made, c.at(i))
		}
	}
	if len(made) != n {
		return make([]step, n)
	}
	return made
}

var (
	envField     = regexp.MustCompile(`^config\.Env\[(\d+)\]$`)
	labelField   = regexp.MustCompile(`^config\.Labels\.(.+)$`)
	historyField = regexp.MustCompile(`^history\[(\d+)\]\.`)
	commandField = regexp.MustCompile(`^config\.(Entrypoint|Cmd|Healthcheck|OnBuild|User|WorkingDir)\b`)
)

// step gives the history entry that set a field of the config, the zero step
// when it cannot be told: a base image may have set it, or the build's own flags.
func (c *imageConfig) step(field string) step {
	if m := historyField.FindStringSubmatch(field); m != nil {
		return c.at(number(m[1]))
	}
	if m := envField.FindStringSubmatch(field); m != nil {
		name, _, _ := strings.Cut(nth(c.Config.Env, m[1]), "=")
		return c.last("ENV", " "+name+"=")
	}
	if m := labelField.FindStringSubmatch(field); m != nil {
		return c.last("LABEL", " "+m[1]+"=")
	}
	if m := commandField.FindStringSubmatch(field); m != nil {
		return c.last(strings.ToUpper(m[1]), " ")
	}
	return step{}
}

// last returns the last history entry with this instruction and this in its
// arguments. Docker's old builder put its own words before both.
func (c *imageConfig) last(instruction, argument string) step {
	for i := len(c.History) - 1; i >= 0; i-- {
		said := strings.TrimSpace(strings.TrimPrefix(c.History[i].CreatedBy, "/bin/sh -c #(nop)"))
		if args, ok := strings.CutPrefix(said, instruction); ok && strings.Contains(args, argument) {
			return c.at(i)
		}
	}
	return step{}
}

// number reads an index, -1 for one that no list has.
func number(digits string) int {
	i, err := strconv.Atoi(digits)
	if err != nil {
		return -1
	}
	return i
}

func nth[T any](list []T, digits string) (elem T) {
	if i := number(digits); i >= 0 && i < len(list) {
		return list[i]
	}
	return elem
}
