// Package corpus makes images with leaks in them: real files of this machine in
// several layers, and known values planted among them in every form and place in
// which secrets have been seen to leak. Tests and benchmarks scan such an image
// and compare what was found with the list of what was planted.
//
// Everything planted follows from a seed. The encoders are the standard
// library's or small ones of this package; none is shared with internal/index,
// so that the two do not have a mistake in common.
package corpus

import (
	"fmt"
	"slices"
	"strings"

	"github.com/org/secure-build/internal/finding"
)

// Options say what image to make.
type Options struct {
	Seed uint64
	Size int64 // of the real files, in bytes
	Gzip bool  // compress all layers by gzip, rather than each in its own way
	Bare bool  // plant nothing
}

// A Value is one of the secrets that are planted.
type Value struct {
	Kind  string // token, password or key; also the secret's id
	Bytes []byte
}

// A Plant is one leak: a value in a form, at a place.
type Plant struct {
	Form   string // what was done to the value, such as "base64 in rows of 76"
	Kind   string // of the value
	Path   string // of the file in its layer, or of a folder that it is in
	Field  string // of a JSON document, where it is in no layer
	Nested bool   // it is only found if what is packed is unpacked
}

// String names the plant, for a test's output.
func (p Plant) String() string { return p.Kind + " as " + p.Form }

// FoundIn says whether a scan found the plant: its secret, at its place.
func (p Plant) FoundIn(all []finding.Finding) bool {
	return slices.ContainsFunc(all, func(f finding.Finding) bool { return f.Secret == p.Kind && p.isAt(f) })
}

// isAt says whether a finding is at the plant's place.
func (p Plant) isAt(f finding.Finding) bool {
	if p.Field != "" {
		return f.Field == p.Field && f.Path == ""
	}
	rest, ok := strings.CutPrefix(f.Path, p.Path)
	return ok && (rest == "" || rest[0] == '!' || rest[0] == '/')
}

// A Corpus is an image on disk.
type Corpus struct {
	Dir    string   // an OCI layout
	Root   Blob     // the image index
	Layers []Blob   // lowest first
	Values []Value  // what to tell a scanner
	Plants []Plant  // what it should find
	Bytes  int64    // in all layers, uncompressed
	Forms  []string // names of all forms, each once
}

// Missed lists the plants that a scan did not find.
func (c *Corpus) Missed(all []finding.Finding) []Plant {
	var missed []Plant
	for _, p := range c.Plants {
		if !p.FoundIn(all) {
			missed = append(missed, p)
		}
	}
	return missed
}

// Elsewhere lists the findings at places where nothing was planted.
func (c *Corpus) Elsewhere(all []finding.Finding) []finding.Finding {
	var alarms []finding.Finding
	for _, f := range all {
		if !slices.ContainsFunc(c.Plants, func(p Plant) bool { return p.isAt(f) }) {
			alarms = append(alarms, f)
		}
	}
	return alarms
}

// Write makes an image in dir, which must not exist yet.
func Write(dir string, o Options) (*Corpus, error) {
	l, err := newLayout(dir)
	if err != nil {
		return nil, err
	}
	files, err := collect(o.Size)
	if err != nil {
		return nil, err
	}
	c := &Corpus{Dir: dir, Values: Values(o.Seed)}
	b := newBed(o.Seed)
	if !o.Bare {
		if err := b.plantAll(c.Values, o.Size/20); err != nil {
			return nil, fmt.Errorf("planting the leaks: %w", err)
		}
	}
	c.Plants, c.Forms = b.plants, b.forms
	var diffIDs []string
	for i := range layers {
		from, to := len(files)*i/layers, len(files)*(i+1)/layers
		compression := compressions[i]
		if o.Gzip {
			compression = "gzip"
		}
		blob, diffID, size, err := l.layer(compression, files[from:to], b.entries[i])
		if err != nil {
			return nil, fmt.Errorf("writing layer %d: %w", i, err)
		}
		c.Layers, diffIDs, c.Bytes = append(c.Layers, blob), append(diffIDs, diffID), c.Bytes+size
	}
	c.Root, err = l.documents(b, c.Layers, diffIDs)
	return c, err
}
