package buildkit

import (
	"maps"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/dfgitutil"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	provenance "github.com/moby/buildkit/solver/llbsolver/provenance/types"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/urlutil"
)

// builtin is the Dockerfile frontend that every BuildKit has built in.
const builtin = "dockerfile.v0"

// A replaced is a build graph that a frontend has made and whose rotated form was
// solved, of which BuildKit therefore does not record who has made it.
type replaced struct {
	text    []byte   // of the Dockerfile as the daemon has read it; nil if the graph does not tell
	sources []string // URLs of its git and HTTP sources, as provenance has them
}

func newReplaced(def *pb.Definition) replaced {
	g := replaced{sources: fetches(def)}
	if infos := def.GetSource().GetInfos(); len(infos) > 0 && infos[0].Language == "Dockerfile" {
		g.text = infos[0].Data
	}
	return g
}

// fetches lists the git and HTTP sources of a graph by the URLs that they have
// as materials (Capture in BuildKit's source/git and source/http).
func fetches(def *pb.Definition) (urls []string) {
	g := newGraph(def)
	for _, d := range g.order {
		src := g.ops[d].GetSource()
		url := src.GetIdentifier()
		if repo, ok := strings.CutPrefix(url, "git://"); ok {
			repo, fragment, _ := strings.Cut(repo, "#")
			url = "https://" + repo
			if full := src.Attrs[pb.AttrFullRemoteURL]; full != "" {
				url = full
			}
			if ref, _, _ := strings.Cut(fragment, ":"); ref != "" {
				url += "#" + ref
			}
		}
		if url != "" {
			urls = append(urls, urlutil.RedactCredentials(url))
		}
	}
	return urls
}

// sent is what BuildKit would have recorded of the request for a graph, if it
// had been solved for the frontend that has made it.
type sent struct {
	frontend string            // that was asked last; "" if that is not known
	args     map[string]string // of it
	root     map[string]string // the arguments of the whole build
	sources  []string          // as in replaced
	version  string            // of the daemon's own Dockerfile frontend, "" if it does not tell
	original func(id string) string
}

// frontend says which one has made a graph, and with what arguments: the one
// that we have asked, or the image that the Dockerfile, or the build argument,
// wants to be read by, to which that one hands everything on
// (frontend/dockerfile/builder). Whom such an image may have asked in turn, only
// BuildKit knows. If the Dockerfile cannot be read, nothing is known.
func (r Request) frontend(args map[string]string, text []byte) (string, map[string]string) {
	if _, ok := args["cmdline"]; ok {
		return builtin, args
	}
	cmdline, ok := args["build-arg:BUILDKIT_SYNTAX"]
	source, _, _ := strings.Cut(strings.TrimSpace(cmdline), " ")
	if !ok {
		if own, err := readDockerfile(r); err == nil {
			text = own
		} else if text == nil {
			return "", nil
		}
		if source, cmdline, _, ok = parser.DetectSyntax(text); !ok {
			return builtin, args
		}
	}
	handed := map[string]string{}
	maps.Copy(handed, args)
	handed["source"], handed["cmdline"] = source, cmdline
	return "gateway.v0", handed
}

// A material is what a build was made of, as provenance has it.
type material struct {
	URI    string            `json:"uri"`
	Digest map[string]string `json:"digest"`
}

// rootRequest is the request of the whole build as a part of that for one graph, nil
// if it tells no more. materials are those of the build
// (solver/llbsolver/provenance_store.go, rootRequestProvenance, and getRefProvenance
// in provenance.go, in BuildKit v0.33.1).
func (a sent) rootRequest(materials []material) *provenance.RequestProvenance {
	own := slices.DeleteFunc(slices.Clone(materials), func(m material) bool { return !slices.Contains(a.sources, m.URI) })
	root := requestOf("", filterArgs(a.root), own)
	if len(root.Request.Args) == 0 || root.Equal(requestOf(a.frontend, filterArgs(a.args), own)) {
		return nil
	}
	return root
}

// filterArgs leaves out what is of a machine only, and masks credentials. It is
// FilterArgs of solver/llbsolver/provenance/predicate.go in BuildKit v0.33.1, a
// package that has the whole solver behind it.
func filterArgs(m map[string]string) map[string]string {
	contextKey := "context"
	if v := m["contextkey"]; v != "" {
		contextKey = v
	}
	out := map[string]string{}
	for k, v := range m {
		if slices.Contains([]string{"cgroup-parent", "image-resolve-mode", "platform", "cache-imports"}, k) || strings.HasPrefix(k, "attest:") {
			continue
		}
		if k == contextKey || strings.HasPrefix(k, "context:") {
			v = urlutil.RedactCredentials(v)
		}
		out[k] = v
	}
	return out
}

// requestOf is a request as BuildKit records it: what names the Dockerfile stands
// beside the arguments. It is RequestProvenance of the same file, but for inputs,
// of which we send none.
func requestOf(frontend string, args map[string]string, materials []material) *provenance.RequestProvenance {
	args = maps.Clone(args)
	contextKey := "context"
	if v := args["contextkey"]; v != "" {
		contextKey = v
	} else if args["input:context"] != "" {
		contextKey = "input:context"
	}
	r := &provenance.RequestProvenance{Request: &provenance.Parameters{Frontend: frontend, Args: args}}
	if v := args[contextKey]; v != "" {
		m := findMaterial(materials, v)
		r.ConfigSource.URI, r.ConfigSource.Digest = urlutil.RedactCredentials(m.URI), m.Digest
		delete(args, contextKey)
	}
	if v := args["filename"]; v != "" {
		r.ConfigSource.Path = v
		delete(args, "filename")
	}
	if len(args) == 0 {
		r.Request.Args = nil
	}
	return r
}

// findMaterial is the material that a context was, with the folder of a git
// repository in its URI; just the URI if it is none of them. It is findMaterial
// of the same file.
func findMaterial(materials []material, uri string) material {
	whole := uri
	if formatted, ok := dfgitutil.FragmentFormat(uri, true); ok {
		whole = formatted
	}
	remote, _ := dfgitutil.FragmentFormat(uri, false)
	for _, m := range materials {
		if m.URI == remote {
			return material{whole, m.Digest}
		}
	}
	return material{URI: uri}
}

// scrub leaves out what mode=min has not, and says whether arguments were among
// it (scrubMinRequest in solver/llbsolver/provenance.go of BuildKit v0.33.1).
func scrub(p *provenance.Parameters) (incomplete bool) {
	if p == nil {
		return false
	}
	maps.DeleteFunc(p.Args, func(k, _ string) bool {
		hidden := strings.HasPrefix(k, "build-arg:") || strings.HasPrefix(k, "label:")
		incomplete = incomplete || hidden
		return hidden
	})
	p.Secrets, p.SSH = nil, nil
	if p.Root != nil && scrub(p.Root.Request) {
		incomplete = true
	}
	return incomplete
}
