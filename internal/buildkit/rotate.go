package buildkit

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"sync"

	gateway "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/solver/result"
	"github.com/opencontainers/go-digest"
)

// BuildKit's cache knows a step by the ids of its secrets, not by their values:
// a step whose secret has changed stays cached. A rotation puts a keyed digest
// of the value behind each id, so that exactly the steps that mount what has
// changed run again, and the steps that build on them.
//
// It is done on the build graph that the frontend has made and that nothing has
// run of yet, so it holds for every frontend. Where a secret is mounted, and
// what a step is called, is in the graph already and stays as it is.
type rotation struct {
	digest func(id string) string // "" for an id that is not known
	trace  *trace                 // is told of the steps

	mu     sync.Mutex
	ids    map[string]string   // as BuildKit asks → as the Dockerfile has it
	args   map[string]string   // that the frontend was given
	graphs map[string]replaced // by platform, as BuildKit has them in a result
}

func newRotation(digest func(string) string, t *trace) *rotation {
	if digest == nil {
		digest = func(string) string { return "" }
	}
	return &rotation{digest: digest, trace: t, ids: map[string]string{}, graphs: map[string]replaced{}}
}

// secrets answers for rotated ids with what get has for the original ones.
func (r *rotation) secrets(get func(string) ([]byte, error)) func(string) ([]byte, error) {
	return func(id string) ([]byte, error) { return get(r.original(id)) }
}

// original is the id as the Dockerfile has it. Only what the rotation has made
// itself is turned back: an id of somebody else's making stays unknown.
func (r *rotation) original(id string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if was, ok := r.ids[id]; ok {
		return was
	}
	return id
}

func (r *rotation) rotate(id string) string {
	sum := r.digest(id)
	if sum == "" {
		return id
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	to := id + "@" + sum
	r.ids[to] = id
	return to
}

// result replaces what the frontend has returned by the same with rotated ids.
// A build without secrets is returned as it is.
func (r *rotation) result(ctx context.Context, c gateway.Client, res *gateway.Result) (*gateway.Result, error) {
	imports, err := cacheImports(c.BuildOpts().Opts["cache-imports"])
	if err != nil {
		return nil, err
	}
	platforms := map[gateway.Reference]string{}
	for platform, ref := range res.Refs {
		platforms[ref] = platform
	}
	return result.ConvertResult(res, func(ref gateway.Reference) (gateway.Reference, error) {
		st, err := ref.ToState()
		if err != nil { // scratch, which has no graph
			return ref, nil
		}
		def, err := st.Marshal(ctx)
		if err != nil {
			return nil, fmt.Errorf("reading the build graph: %w", err)
		}
		rotated, err := r.definition(def.ToPB())
		if err != nil || rotated == nil {
			return ref, err
		}
		r.replace(platforms[ref], rotated, c.BuildOpts().Opts)
		res, err := c.Solve(ctx, gateway.SolveRequest{Definition: rotated, CacheImports: imports})
		if err != nil {
			return nil, err
		}
		return res.SingleRef()
	})
}

// replace notes that a graph is solved in the place of the frontend's, and what
// that one was asked for.
func (r *rotation) replace(platform string, rotated *pb.Definition, args map[string]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.args, r.graphs[platform] = maps.Clone(args), newReplaced(rotated)
}

// cacheImports reads what BuildKit's client tells a frontend of --cache-from
// (frontend/dockerui has the same form).
func cacheImports(text string) (imports []gateway.CacheOptionsEntry, err error) {
	if text == "" {
		return nil, nil
	}
	if err := json.Unmarshal([]byte(text), &imports); err != nil {
		return nil, fmt.Errorf("reading the caches to import: %w", err)
	}
	return imports, nil
}

// definition returns a graph with every secret's id rotated, nil if there is
// none in it. The operations of a graph stand behind those that they need.
func (r *rotation) definition(def *pb.Definition) (*pb.Definition, error) {
	moved := map[string]string{} // digests of operations that have changed
	out := &pb.Definition{Def: make([][]byte, len(def.Def))}
	for i, dt := range def.Def {
		var op pb.Op
		if err := op.Unmarshal(dt); err != nil {
			return nil, fmt.Errorf("reading the build graph: %w", err)
		}
		r.trace.step(&op, def.Metadata[digest.FromBytes(dt).String()])
		changed := r.operation(&op)
		for _, in := range op.Inputs {
			if to, ok := moved[in.Digest]; ok {
				in.Digest, changed = to, true
			}
		}
		if out.Def[i] = dt; !changed {
			continue
		}
		dt2, err := op.Marshal()
		if err != nil {
			return nil, fmt.Errorf("writing the build graph: %w", err)
		}
		out.Def[i] = dt2
		moved[digest.FromBytes(dt).String()] = digest.FromBytes(dt2).String()
	}
	if len(moved) == 0 {
		return nil, nil
	}
	out.Metadata = renamed(def.Metadata, moved)
	if def.Source != nil {
		out.Source = &pb.Source{Infos: def.Source.Infos, Locations: renamed(def.Source.Locations, moved)}
	}
	return out, nil
}

// operation rotates the ids in a step, and says whether there were any.
func (r *rotation) operation(op *pb.Op) (changed bool) {
	exec := op.GetExec()
	if exec == nil {
		return false
	}
	for _, m := range exec.Mounts {
		if m.MountType != pb.MountType_SECRET || m.SecretOpt == nil {
			continue
		}
		to := r.rotate(m.SecretOpt.ID)
		m.SecretOpt.ID, changed = to, changed || to != m.SecretOpt.ID
	}
	for _, e := range exec.Secretenv {
		to := r.rotate(e.ID)
		e.ID, changed = to, changed || to != e.ID
	}
	return changed
}

// renamed gives a map by digest its new keys.
func renamed[V any](m map[string]V, moved map[string]string) map[string]V {
	out := make(map[string]V, len(m))
	for k, v := range m {
		if to, ok := moved[k]; ok {
			k = to
		}
		out[k] = v
	}
	return out
}
