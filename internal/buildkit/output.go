package buildkit

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/org/secure-build/internal/hint"
)

// An OutputType is where a clean image goes.
type OutputType string

const (
	OutputPush   OutputType = "push"   // to a registry: ours, after the scan
	OutputOCI    OutputType = "oci"    // an archive of an OCI layout, or with tar=false the layout
	OutputDocker OutputType = "docker" // an archive as docker save writes it; without dest, into Docker itself
	OutputLocal  OutputType = "local"  // the files, in a folder
	OutputTar    OutputType = "tar"    // the files, in an archive
	OutputImage  OutputType = "image"  // what would go to a registry, built and scanned, and that is all
	OutputNone   OutputType = "none"   // built and scanned, and that is all
)

// A Target is one --output. Nothing is written to it before the verdict.
type Target struct {
	Type OutputType
	Dest string // "-" is standard output
	Dir  bool   // an OCI layout that is no archive
	Name string // references that the image gets where there is no --tag
	// ByDigest leaves the tags alone.
	ByDigest bool
	Insecure bool // a registry without TLS, or with any certificate
}

// Outputs are all of them, and what their attributes say about the image, which
// is built once.
type Outputs struct {
	Targets []Target
	Image   map[string]string // attributes of the image's exporter
	Files   map[string]string // attributes of the files' exporter, nil where nobody wants files
}

// Has says whether something goes there.
func (o Outputs) Has(types ...OutputType) bool {
	return slices.ContainsFunc(o.Targets, func(t Target) bool { return slices.Contains(types, t.Type) })
}

// ToStdout says whether one goes to standard output.
func (o Outputs) ToStdout() bool {
	return slices.ContainsFunc(o.Targets, func(t Target) bool { return t.Dest == "-" })
}

// Loads says whether the image goes into Docker itself.
func (o Outputs) Loads() bool {
	return slices.ContainsFunc(o.Targets, func(t Target) bool { return t.Type == OutputDocker && t.Dest == "" })
}

// Places says which place cannot be written to, as far as that can be seen before
// there is something to write.
func (o Outputs) Places() error {
	for _, t := range o.Targets {
		fi, err := os.Stat(t.Dest)
		if t.Dest == "" || t.Dest == "-" || err != nil { // what is not there is made
			continue
		}
		folder := t.Dir || t.Type == OutputLocal
		switch {
		case folder && !fi.IsDir():
			return fmt.Errorf("reading --output: %s is no folder, as type=%s writes", t.Dest, t.Type)
		case !folder && fi.IsDir():
			return fmt.Errorf("reading --output: %s is a folder, and type=%s writes a file", t.Dest, t.Type)
		}
	}
	return nil
}

// ParseOutputs reads --output as buildx does: type=TYPE,dest=FILE,NAME=VALUE, a
// folder alone for type=local, and - for type=tar to standard output, where an
// archive without dest goes too.
func ParseOutputs(items []string) (Outputs, error) {
	var all Outputs
	for _, item := range items {
		if err := all.add(item); err != nil {
			return Outputs{}, hint.Wrap(fmt.Errorf("reading --output %q: %w", item, err),
				"such as type=registry, type=oci,dest=image.tar, type=docker, type=local,dest=DIR or type=tar,dest=FILE")
		}
	}
	if len(slices.DeleteFunc(slices.Clone(all.Targets), func(t Target) bool { return t.Dest != "-" })) > 1 {
		return Outputs{}, errors.New("reading --output: several of them go to standard output")
	}
	return all, nil
}

func (o *Outputs) add(item string) error {
	f, err := fields(item)
	switch alone := !strings.HasPrefix(item, "type=") && !strings.ContainsAny(item, `,"`); {
	case item == "-":
		f = map[string]string{"type": "tar", "dest": "-"}
	case alone:
		f = map[string]string{"type": "local", "dest": item}
	case err != nil:
		return err
	}
	t := Target{Dest: f["dest"]}
	kind, err := f["type"], error(nil)
	delete(f, "type")
	delete(f, "dest")
	files := false
	switch kind {
	case "registry", "image":
		err = t.image(kind, f)
	case "oci", "docker":
		t.Type = OutputType(kind)
		err = t.archive(f)
	case "local", "tar":
		if t.Type, files = OutputType(kind), true; kind == "tar" && t.Dest == "" {
			t.Dest = "-"
		}
		switch {
		case t.Dest == "":
			err = errors.New("dest is missing")
		case kind == "local" && t.Dest == "-":
			err = errors.New("a folder cannot go to standard output")
		}
		if f["mode"] == "delete" {
			err = errors.New("mode=delete would empty the folder; it is not to be had here")
		}
		delete(f, "mode")
	case "cacheonly":
		t.Type = OutputNone
	case "":
		err = errors.New("no type is given")
	default:
		err = fmt.Errorf("the type %q is not known", kind)
	}
	if err != nil {
		return err
	}
	o.Targets = append(o.Targets, t)
	if files {
		return merge(&o.Files, f)
	}
	return merge(&o.Image, f)
}

// image reads type=image, which is a push only with push=true, and type=registry.
func (t *Target) image(kind string, f map[string]string) error {
	push := kind == "registry"
	t.Name = f["name"]
	for name, to := range map[string]*bool{"push": &push, "push-by-digest": &t.ByDigest, "registry.insecure": &t.Insecure} {
		v, ok := f[name]
		if !ok {
			continue
		}
		b, err := strconv.ParseBool(v)
		if err != nil {
			return fmt.Errorf("%s=%s is neither true nor false", name, v)
		}
		*to = b
	}
	// Of the daemon's own store of images, where nothing of ours is kept.
	for _, name := range []string{"name", "push", "push-by-digest", "registry.insecure", "name-canonical", "unpack", "store", "dangling-name-prefix"} {
		delete(f, name)
	}
	if t.Type = OutputImage; push {
		t.Type = OutputPush
	}
	return nil
}

func (t *Target) archive(f map[string]string) error {
	t.Name = f["name"]
	delete(f, "name")
	if v, ok := f["tar"]; ok {
		tar, err := strconv.ParseBool(v)
		if err != nil {
			return fmt.Errorf("tar=%s is neither true nor false", v)
		}
		t.Dir = !tar
		delete(f, "tar")
	}
	if t.Type == OutputOCI && !t.Dir && t.Dest == "" {
		t.Dest = "-"
	}
	switch {
	case t.Type == OutputOCI && t.Dest == "":
		return errors.New("dest is missing")
	case t.Dir && (t.Type == OutputDocker || t.Dest == "-"):
		return errors.New("tar=false needs type=oci and a folder in dest")
	case f["context"] != "":
		return errors.New("context= is not to be had; DOCKER_HOST says which Docker loads the image")
	}
	delete(f, "context")
	return nil
}

// merge takes attributes of one output over. The image is built and scanned
// once, so two outputs can not want different ones.
func merge(into *map[string]string, f map[string]string) error {
	if *into == nil {
		*into = map[string]string{}
	}
	for name, value := range f {
		if old, ok := (*into)[name]; ok && old != value {
			return fmt.Errorf("another output says %s=%s; there is one image for all of them", name, old)
		}
	}
	maps.Copy(*into, f)
	return nil
}
