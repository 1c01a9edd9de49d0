package buildkit

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	provenance "github.com/moby/buildkit/solver/llbsolver/provenance/types"
	"github.com/moby/buildkit/util/urlutil"
)

// A place is where in a statement something is, key by key.
type place []string

// A form says where a version of the predicate has what (ConvertToSLSA02 in
// solver/llbsolver/provenance/types of BuildKit has both).
type form struct {
	materials place
	graph     place // of the whole build, with mode=max only
	uri       place // of the context
	digest    place
	path      place // of the Dockerfile
	request   place
	complete  place // whether the request is
	vcs       place
	version   place // of the Dockerfile frontend
}

// forms are by predicate type.
var forms = map[string]form{
	"https://slsa.dev/provenance/v1": {
		materials: place{"predicate", "buildDefinition", "resolvedDependencies"},
		graph:     place{"predicate", "buildDefinition", "internalParameters", "buildConfig"},
		uri:       place{"predicate", "buildDefinition", "externalParameters", "configSource", "uri"},
		digest:    place{"predicate", "buildDefinition", "externalParameters", "configSource", "digest"},
		path:      place{"predicate", "buildDefinition", "externalParameters", "configSource", "path"},
		request:   place{"predicate", "buildDefinition", "externalParameters", "request"},
		complete:  place{"predicate", "runDetails", "metadata", "buildkit_completeness", "request"},
		vcs:       place{"predicate", "runDetails", "metadata", "buildkit_metadata", "vcs"},
		version:   place{"predicate", "buildDefinition", "internalParameters", "dockerfileVersion"},
	},
	"https://slsa.dev/provenance/v0.2": {
		materials: place{"predicate", "materials"},
		graph:     place{"predicate", "buildConfig"},
		uri:       place{"predicate", "invocation", "configSource", "uri"},
		digest:    place{"predicate", "invocation", "configSource", "digest"},
		path:      place{"predicate", "invocation", "configSource", "entryPoint"},
		request:   place{"predicate", "invocation", "parameters"},
		complete:  place{"predicate", "metadata", "completeness", "parameters"},
		vcs:       place{"predicate", "metadata", "https://mobyproject.org/buildkit@v1#metadata", "vcs"},
		version:   place{"predicate", "invocation", "environment", "dockerfileVersion"},
	},
}

// fill puts into a provenance statement what BuildKit records of a frontend's
// request, by its rules (NewPredicate and NewProvenanceCreator of BuildKit
// v0.33.1). All else stays as it is, what we do not know included. It returns nil
// for a statement that has the request, or of which we know none.
func (a sent) fill(text []byte, typ string) ([]byte, error) {
	at, known := forms[typ]
	if !known || a.frontend == "" {
		return nil, nil
	}
	st := statement{}
	if err := json.Unmarshal(text, &st.object); err != nil {
		return nil, err
	}
	var named string
	var has provenance.Parameters
	var materials []material
	var graph map[string]json.RawMessage
	st.get(&named, place{"predicateType"})
	st.get(&has, at.request)
	st.get(&materials, at.materials)
	st.get(&graph, at.graph)
	if st.err == nil && named != typ {
		st.err = fmt.Errorf("its type is %q, and not %q", named, typ)
	}
	if st.err != nil || has.Frontend != "" { // its frontend has solved it
		return nil, st.err
	}
	r := requestOf(a.frontend, filterArgs(a.args), materials)
	r.Request.Root = a.rootRequest(materials)
	r.Request.Secrets = a.originals(has.Secrets)
	// The mode is not read from what was asked for, where a build argument may
	// say something else (BUILDKIT_ATTEST_PROVENANCE).
	a.put(&st, at, r, graph == nil)
	if st.err != nil {
		return nil, st.err
	}
	return json.Marshal(st.object)
}

// put writes the request into a statement; least is for one of mode=min.
func (a sent) put(st *statement, at form, r *provenance.RequestProvenance, least bool) {
	st.set(vcs(r.Request.Args), at.vcs)
	incomplete := least && scrub(r.Request)
	st.set(!incomplete, at.complete)
	st.set(r.ConfigSource.URI, at.uri)
	st.set(r.ConfigSource.Digest, at.digest)
	st.set(r.ConfigSource.Path, at.path)
	st.set(r.Request.Frontend, append(slices.Clip(at.request), "frontend"))
	st.set(r.Request.Args, append(slices.Clip(at.request), "args"))
	st.set(r.Request.Secrets, append(slices.Clip(at.request), "secrets"))
	st.set(r.Request.Root, append(slices.Clip(at.request), "root"))
	// ProvenanceCustomEnv of the daemon's configuration comes before its version.
	var custom json.RawMessage
	if st.get(&custom, at.version); custom == nil && a.frontend == builtin {
		st.set(a.version, at.version)
	}
}

// vcs takes what buildx says of a checkout out of the arguments.
func vcs(args map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range args {
		name, ok := strings.CutPrefix(k, "vcs:")
		if !ok {
			continue
		}
		delete(args, k)
		if name == "source" {
			v = urlutil.RedactCredentials(v)
		}
		if v != "" {
			out[name] = v
		}
	}
	return out
}

// originals are the secrets with their ids as the Dockerfile has them, in
// BuildKit's order.
func (a sent) originals(rotated []*provenance.Secret) (all []*provenance.Secret) {
	for _, s := range rotated {
		if s != nil {
			all = append(all, &provenance.Secret{ID: a.original(s.ID), Optional: s.Optional})
		}
	}
	slices.SortFunc(all, func(x, y *provenance.Secret) int { return cmp.Compare(x.ID, y.ID) })
	return all
}

// An object is JSON that was read only where somebody has looked: a value is an
// object, or the text that it was.
type object map[string]any

func (o *object) UnmarshalJSON(text []byte) error {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil {
		return err
	}
	*o = object{}
	for k, v := range raw {
		(*o)[k] = v
	}
	return nil
}

// A statement is edited until the first error.
type statement struct {
	object
	err error
}

// parent is the object that a place is in, made if it is not there.
func (st *statement) parent(at place) object {
	o := st.object
	for _, key := range at[:len(at)-1] {
		in, _ := o[key].(object)
		if raw, ok := o[key].(json.RawMessage); ok && st.err == nil {
			if err := json.Unmarshal(raw, &in); err != nil {
				st.err = fmt.Errorf("%s: %w", strings.Join(at, "."), err)
			}
		}
		if in == nil {
			in = object{}
		}
		o[key], o = in, in
	}
	return o
}

// get reads what is at a place, if something is.
func (st *statement) get(into any, at place) {
	if raw, ok := st.parent(at)[at[len(at)-1]].(json.RawMessage); ok && st.err == nil {
		if err := json.Unmarshal(raw, into); err != nil {
			st.err = fmt.Errorf("%s: %w", strings.Join(at, "."), err)
		}
	}
}

// set puts a value there, or nothing where it is an empty one, as BuildKit's
// types have it (omitempty).
func (st *statement) set(value any, at place) {
	text, err := json.Marshal(value)
	if err != nil && st.err == nil {
		st.err = err
	}
	in, key := st.parent(at), at[len(at)-1]
	if slices.Contains([]string{"null", `""`, "{}", "[]"}, string(text)) {
		delete(in, key)
		return
	}
	in[key] = json.RawMessage(text)
}
