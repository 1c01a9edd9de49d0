package buildkit

import (
	"cmp"
	"slices"
	"strings"

	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
)

// A graph is a definition with its steps by digest.
type graph struct {
	def   *pb.Definition
	order []string // digests, inputs first
	ops   map[string]*pb.Op
	final map[string]bool // the steps whose files the image has, unless a later one removes them
}

func newGraph(def *pb.Definition) graph {
	g := graph{def: def, ops: map[string]*pb.Op{}, final: map[string]bool{}}
	for _, dt := range def.GetDef() {
		var op pb.Op
		if op.UnmarshalVT(dt) != nil {
			continue
		}
		d := digest.FromBytes(dt).String()
		g.order, g.ops[d] = append(g.order, d), &op
	}
	if len(g.order) > 0 {
		g.follow(g.order[len(g.order)-1])
	}
	return g
}

// follow marks the chain of root file systems that ends in a step.
func (g graph) follow(last string) {
	for todo := []string{last}; len(todo) > 0; {
		d := todo[0]
		todo = todo[1:]
		op := g.ops[d]
		if op == nil || g.final[d] {
			continue
		}
		g.final[d] = true
		switch {
		case op.GetExec() != nil:
			for _, m := range op.GetExec().Mounts {
				if m.Dest == "/" {
					todo = append(todo, g.input(op, m.Input))
				}
			}
		case op.GetFile() != nil:
			for _, a := range op.GetFile().Actions {
				todo = append(todo, g.input(op, a.Input))
			}
		default: // a merge, or the last vertex, which only names the result
			for i := range op.Inputs {
				todo = append(todo, g.input(op, int64(i)))
			}
		}
	}
}

// input is the step that gives an op its i-th input; "" for none, as scratch has.
func (g graph) input(op *pb.Op, i int64) string {
	if i < 0 || i >= int64(len(op.Inputs)) {
		return ""
	}
	return op.Inputs[i].Digest
}

// line is the first line of the instruction that made a step; 0 for none.
func (g graph) line(d string) int {
	for _, l := range g.def.GetSource().GetLocations()[d].GetLocations() {
		for _, r := range l.Ranges {
			return int(r.GetStart().GetLine())
		}
	}
	return 0
}

// mounts lists the secrets that the steps ask for, in the order of their lines.
func mounts(graphs []graph) []Mount {
	var all []Mount
	for _, g := range graphs {
		for _, d := range g.order {
			exec := g.ops[d].GetExec()
			for _, m := range exec.GetMounts() {
				if m.MountType == pb.MountType_SECRET {
					all = append(all, Mount{ID: m.GetSecretOpt().GetID(), Line: g.line(d), Required: !m.GetSecretOpt().GetOptional()})
				}
			}
			for _, s := range exec.GetSecretenv() {
				all = append(all, Mount{ID: s.ID, Line: g.line(d), Env: true, Required: !s.Optional})
			}
		}
	}
	slices.SortFunc(all, func(a, b Mount) int { return cmp.Or(cmp.Compare(a.Line, b.Line), strings.Compare(a.ID, b.ID)) })
	return slices.Compact(all)
}
