package scan

import (
	"encoding/json"
	"regexp"
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
}

// layerInstructions gives the instruction of each of n layers: the history
// entries that made one, in order. If they are not as many as there are
// layers, none can be told.
func (c *imageConfig) layerInstructions(n int) []string {
	made := make([]string, 0, n)
	for _, h := range c.History {
		if !h.EmptyLayer {
			made = append(made, h.CreatedBy)
		}
	}
	if len(made) != n {
		return make([]string, n)
	}
	return made
}

var (
	envField     = regexp.MustCompile(`^config\.Env\[(\d+)\]$`)
	labelField   = regexp.MustCompile(`^config\.Labels\.(.+)$`)
	historyField = regexp.MustCompile(`^history\[(\d+)\]\.`)
	commandField = regexp.MustCompile(`^config\.(Entrypoint|Cmd|Healthcheck|OnBuild|User|WorkingDir)\b`)
)

// instruction gives the history entry that set a field of the config, "" when
// it cannot be told: a base image may have set it, or the build's own flags.
func (c *imageConfig) instruction(field string) string {
	if m := historyField.FindStringSubmatch(field); m != nil {
		return nth(c.History, m[1]).CreatedBy
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
	return ""
}

// last returns the last history entry with this instruction and this in its
// arguments. Docker's old builder put its own words before both.
func (c *imageConfig) last(instruction, argument string) string {
	for i := len(c.History) - 1; i >= 0; i-- {
		by := c.History[i].CreatedBy
		said := strings.TrimSpace(strings.TrimPrefix(by, "/bin/sh -c #(nop)"))
		if args, ok := strings.CutPrefix(said, instruction); ok && strings.Contains(args, argument) {
			return by
		}
	}
	return ""
}

func nth[T any](list []T, digits string) (elem T) {
	i := 0
	for _, d := range digits {
		if i = i*10 + int(d-'0'); i >= len(list) {
			return elem
		}
	}
	return list[i]
}
