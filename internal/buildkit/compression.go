package buildkit

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/org/secure-build/internal/hint"
)

// The attributes of an exporter that say how layers are packed
// (https://docs.docker.com/build/exporters).
const (
	attrCompression = "compression"
	attrLevel       = "compression-level"
	attrForce       = "force-compression"
)

// compressions are those that BuildKit has, each with its highest level.
// gzip refuses a higher one, but only after the build, and zstd takes any.
var compressions = map[string]int{"gzip": 9, "estargz": 9, "zstd": 22, "uncompressed": 0}

// checkCompression says what is wrong with the attributes of an exporter, which
// BuildKit itself would say when everything is built. A force-compression that
// stands alone is true, as BuildKit has it.
func checkCompression(attrs map[string]string) error {
	method, given := attrs[attrCompression]
	if !given {
		method = "gzip"
	}
	most, ok := compressions[method]
	if !ok {
		return hint.Wrap(fmt.Errorf("%s=%s is not known", attrCompression, method),
			"it is one of %s", strings.Join(slices.Sorted(maps.Keys(compressions)), ", "))
	}
	if v, ok := attrs[attrForce]; ok && v != "" {
		if _, err := strconv.ParseBool(v); err != nil {
			return fmt.Errorf("%s=%s is neither true nor false", attrForce, v)
		}
	}
	v, ok := attrs[attrLevel]
	if !ok {
		return nil
	}
	switch level, err := strconv.Atoi(v); {
	case method == "uncompressed":
		return fmt.Errorf("%s=%s with %s=uncompressed, which has no levels", attrLevel, v, attrCompression)
	case err != nil || level < 0 || level > most:
		return fmt.Errorf("%s=%s is no level of %s, which has 0 to %d", attrLevel, v, method, most)
	}
	return nil
}

// Compress adds what --compression, --compression-level and --force-compression
// say to the outputs' own attributes; "" and false say nothing. There is one
// image, so an output that says something else is an error. What is wrong with
// the outputs' own attributes is said here too, since a level is one of a method.
func (o *Outputs) Compress(method, level string, force bool) error {
	attrs := map[string]string{}
	if method != "" {
		attrs[attrCompression] = method
	}
	if level != "" {
		attrs[attrLevel] = level
	}
	if force {
		attrs[attrForce] = "true"
	}
	all := maps.Clone(o.Image)
	err := merge(&all, attrs)
	if err == nil {
		err = checkCompression(all)
	}
	switch {
	case err != nil && len(attrs) == 0:
		return fmt.Errorf("reading --output: %w", err)
	case err != nil:
		return fmt.Errorf("reading --compression: %w", err)
	}
	o.Image = all
	return nil
}

// packing is how long the daemon packs layers, from what it says while it does
// so: the longest time of each part.
type packing struct{ parts map[string]time.Duration }

// packs are the parts of an export in which layers are packed, as BuildKit names
// them (exporter/containerimage/writer.go, solver/llbsolver/export.go): whichever
// comes first does the work. They come one after another.
var packs = []string{"exporting layers", "preparing layers for inline cache", "rewriting layers with source-date-epoch"}

func (p *packing) note(st *client.VertexStatus) {
	if p == nil || st.Started == nil || st.Completed == nil {
		return
	}
	for _, name := range packs {
		if strings.HasPrefix(st.ID, name) {
			p.parts[name] = max(p.parts[name], st.Completed.Sub(*st.Started))
		}
	}
}

func (p *packing) took() (sum time.Duration) {
	for _, d := range p.parts {
		sum += d
	}
	return sum
}
