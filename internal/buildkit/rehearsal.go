package buildkit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"strings"
	"sync"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerui"
	gateway "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/frontend/subrequests/lint"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/apicaps"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/tonistiigi/fsutil"
	fstypes "github.com/tonistiigi/fsutil/types"
)

// A rehearsal is BuildKit's own Dockerfile frontend, run in our process with the
// options of the real build, against a daemon that is played: it reads the build
// context, builds nothing, knows no network and asks for no secret. So stages,
// ARGs, ONBUILD, heredocs, named contexts and platforms mean here what they
// mean in the build.
type rehearsal struct {
	opt client.SolveOpt

	mu      sync.Mutex
	unknown bool // a base image was met of which nothing is known
}

var errNotHere = errors.New("it is not on this machine")

// frontend opens the build context. Attributes in extra go over the build's own.
func (r *rehearsal) frontend(ctx context.Context, extra map[string]string) (*dockerui.Client, dockerfile2llb.ConvertOpt, error) {
	opts := map[string]string{}
	maps.Copy(opts, r.opt.FrontendAttrs)
	maps.Copy(opts, extra)
	p := &player{r, opts}
	c, err := dockerui.NewClient(p)
	if err != nil {
		return nil, dockerfile2llb.ConvertOpt{}, err
	}
	src, err := c.ReadEntrypoint(ctx, "Dockerfile")
	if err != nil {
		return nil, dockerfile2llb.ConvertOpt{}, err
	}
	return c, dockerfile2llb.ConvertOpt{Config: c.Config, Client: c, SourceMap: src.SourceMap, MetaResolver: p}, nil
}

// parts is what would be built, for each platform, and what .dockerignore leaves
// out. The frontend's own checks are off: a "# check=error=true" must not hide
// what this is asked for.
func (r *rehearsal) parts(ctx context.Context) (defs []*pb.Definition, ignored []string, err error) {
	c, opt, err := r.frontend(ctx, map[string]string{"build-arg:BUILDKIT_DOCKERFILE_CHECK": "skip=all"})
	if err != nil {
		return nil, nil, err
	}
	targets := []*ocispecs.Platform{nil} // the daemon's own
	if len(c.TargetPlatforms) > 0 {
		targets = nil
		for _, p := range c.TargetPlatforms {
			targets = append(targets, &p)
		}
	}
	for _, p := range targets {
		one := opt
		one.BuildArgs, one.TargetPlatform = maps.Clone(opt.BuildArgs), p
		res, err := dockerfile2llb.Dockerfile2LLB(ctx, opt.SourceMap.Data, one)
		if err != nil {
			return nil, nil, err
		}
		def, err := res.State.Marshal(ctx)
		if err != nil {
			return nil, nil, err
		}
		defs = append(defs, def.ToPB())
	}
	ignored, err = c.DockerIgnorePatterns(ctx)
	return defs, ignored, err
}

// lint runs the frontend's own checks, all rules on all stages that there are
// unless the target is named, as "docker build --check" does.
func (r *rehearsal) lint(ctx context.Context) (*lint.LintResults, error) {
	_, opt, err := r.frontend(ctx, nil)
	if err != nil {
		return nil, err
	}
	return dockerfile2llb.DockerfileLint(ctx, opt.SourceMap.Data, opt)
}

// foreign is the frontend that "# syntax=" asks for, if it is none of Docker's.
// Docker's own is the one that is run here, in some version.
func foreign(dockerfile []byte, args map[string]string) string {
	ref, ok := args["BUILDKIT_SYNTAX"]
	if !ok {
		ref, _, _, _ = parser.DetectSyntax(dockerfile)
	}
	ref, _, _ = strings.Cut(strings.TrimSpace(ref), " ")
	name, _, _ := strings.Cut(strings.TrimPrefix(ref, "docker.io/"), "@")
	name, _, _ = strings.Cut(name, ":")
	if name == "" || name == "docker/dockerfile" || name == "docker/dockerfile-upstream" {
		return ""
	}
	return ref
}

// player is the daemon's part.
type player struct {
	*rehearsal
	opts map[string]string
}

func (p *player) BuildOpts() gateway.BuildOpts {
	return gateway.BuildOpts{
		Opts:      p.opts,
		SessionID: "rehearsal",
		Workers:   []gateway.WorkerInfo{{Platforms: []ocispecs.Platform{platforms.Normalize(platforms.DefaultSpec())}}},
		LLBCaps:   pb.Caps.CapSet(pb.Caps.All()),
		Caps:      (&apicaps.CapList{}).CapSet(nil), // of the gateway: no inputs from another frontend
	}
}

// Solve is asked for the folders that the frontend reads files from.
func (p *player) Solve(_ context.Context, req gateway.SolveRequest) (*gateway.Result, error) {
	res := gateway.NewResult()
	res.SetRef(&folder{p.opt.LocalMounts[localSource(req.Definition)]})
	return res, nil
}

// localSource names the folder of ours that a definition reads, or is "".
func localSource(def *pb.Definition) string {
	for _, dt := range def.GetDef() {
		var op pb.Op
		if op.UnmarshalVT(dt) != nil {
			continue
		}
		if name, ok := strings.CutPrefix(op.GetSource().GetIdentifier(), "local://"); ok {
			return name
		}
	}
	return ""
}

// ResolveImageConfig answers for OCI layouts that are given as contexts. Of any
// other base image nothing is known: it is taken to have the right platform and
// no ONBUILD. (Those of a real one are seen by the build, where an unknown id
// is an error too.)
func (p *player) ResolveImageConfig(ctx context.Context, ref string, opt sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	platform := platforms.DefaultSpec()
	if o := opt.OCILayoutOpt; o != nil {
		if o.Platform != nil {
			platform = *o.Platform
		}
		if store := p.opt.OCIStores[o.Store.StoreID]; store != nil {
			return layoutConfig(ctx, store, ref, platform)
		}
	} else if o := opt.ImageOpt; o != nil && o.Platform != nil {
		platform = *o.Platform
	}
	p.mu.Lock()
	p.unknown = true
	p.mu.Unlock()
	return ref, "", fmt.Appendf(nil, `{"os":%q,"architecture":%q,"variant":%q,"rootfs":{"type":"layers","diff_ids":[%q]}}`,
		platform.OS, platform.Architecture, platform.Variant, digest.FromString(ref)), nil
}

func (p *player) ResolveSourceMetadata(context.Context, *pb.SourceOp, sourceresolver.Opt) (*sourceresolver.MetaResponse, error) {
	return nil, errNotHere
}

func (p *player) NewContainer(context.Context, gateway.NewContainerRequest) (gateway.Container, error) {
	return nil, errNotHere
}

func (p *player) Inputs(context.Context) (map[string]llb.State, error)                { return nil, nil }
func (p *player) Warn(context.Context, digest.Digest, string, gateway.WarnOpts) error { return nil }

// folder is a folder that files are read from; without one there are none.
type folder struct{ fs fsutil.FS }

func (f *folder) ReadFile(_ context.Context, req gateway.ReadRequest) ([]byte, error) {
	if f.fs == nil {
		return nil, fmt.Errorf("reading %s: %w", req.Filename, errNotHere)
	}
	r, err := f.fs.Open(path.Clean(req.Filename))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, maxDockerfile+1))
}

func (f *folder) ToState() (llb.State, error)    { return llb.Scratch(), nil }
func (f *folder) Evaluate(context.Context) error { return nil }

func (f *folder) StatFile(context.Context, gateway.StatRequest) (*fstypes.Stat, error) {
	return nil, errNotHere
}

func (f *folder) ReadDir(context.Context, gateway.ReadDirRequest) ([]*fstypes.Stat, error) {
	return nil, errNotHere
}
