package buildkit

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/docker/cli/cli/config/configfile"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	gateway "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/identity"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/auth/authprovider"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	spb "github.com/moby/buildkit/sourcepolicy/pb"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/hint"
	"github.com/tonistiigi/fsutil"
	"golang.org/x/sync/errgroup"
)

// Request is one build, in the words of docker buildx build.
type Request struct {
	Context    string            // folder, or the address of a git repository or an archive
	Dockerfile string            // path; "" is Dockerfile in the context
	Inline     string            // the Dockerfile itself, where it is no file
	InlineName string            // what messages call it; "" is Dockerfile
	Contexts   map[string]string // more of them, by name
	Target     string
	BuildArgs  map[string]string
	Labels     map[string]string
	Platforms  []string // linux/amd64, …; none is the daemon's own
	Tags       []string // references; the image is only named by them here
	NoCache    bool
	NoCacheFor []string // stages
	Pull       bool     // ask the registry for newer base images

	Annotations map[string]string // attributes of the exporter, from ParseAnnotations
	Attests     map[string]string // from ParseAttests
	SSH         []SSH
	Network     string // default, none or host, of RUN
	Hosts       string // from ParseHosts
	ShmSize     int64  // bytes
	Ulimits     string // from ParseUlimits
	Cgroup      string
	Resources   map[string]string // from ParseResources
	Allow       []string          // entitlements
	Policy      *spb.Policy       // which sources may be used, from ReadPolicy; nil for all
	Outputs     Outputs
	Commit      map[string]string // which commit the context is of, from Commit

	// Secret returns the value of a mounted secret. An error that wraps
	// os.ErrNotExist says that there is none of this id.
	Secret func(id string) ([]byte, error)
	// Given has the ids that may be missing or empty, and those that Secret
	// knows, to suggest one of. The build ends with an Unfit if another lacks.
	Given Given
	// FailOn says what a mistake in a Dockerfile that is fetched comes to. (Others
	// are known before: Check.)
	FailOn finding.FailOn
	// Rotate returns a keyed digest of a secret's value, which makes the steps
	// that mount it run again when it has changed, and "" for an id that it does
	// not know. It is nil for steps that stay cached.
	Rotate func(id string) string
	// CacheFrom is what to import; one that is not there is a warning.
	CacheFrom []Cache
	// CacheTo is what to export. Only what is inline leaves with the build; the
	// others are staged and published after a verdict.
	CacheTo []Cache
	// service is the type of a cache service that the daemon writes to; "" for none.
	service string
	// Credentials for pulling base images, and the folder of buildx that has some
	// for one repository or purpose (CredentialDir).
	Docker *configfile.ConfigFile
	Scoped string
	// Login comes before both, for the registries that it is for.
	Login Login
	// Store receives the image's blobs. Take, if there is one, puts a blob into it
	// that was read from the daemon, and which then need not be sent.
	Store content.Store
	Take  func(context.Context, ocispecs.Descriptor, io.Reader) error
	// Record, if there is one, is told what a metadata file says beyond the Result.
	Record *Record
	// Files receives the image's files as a tar archive, if an output wants them.
	Files func() (io.WriteCloser, error)
}

// Result is what was built.
type Result struct {
	Root     ocispecs.Descriptor // of the image or index that a tag will point at
	Metadata map[string]string   // the exporter's response, as in buildx's metadata file
	Base     []string            // diff IDs of the layers that come from base images
	Warnings []finding.Problem   // of a Dockerfile that was fetched; with errors they are in an Unfit
	Packing  time.Duration       // of it, how long the daemon was packing layers; of several, the longest
}

// Solve builds and exports into req.Store. Everything that BuildKit says on
// the way goes to out.
func (e *Engine) Solve(ctx context.Context, req Request, out Output) (Result, error) {
	if len(e.others) > 0 {
		return e.together(ctx, req, out)
	}
	var err error
	if e.trace, err = e.begin(ctx); err != nil {
		return Result{}, err
	}
	if len(req.CacheFrom) > 0 {
		e.trace.note(imported, false)
	}
	rotation, lacking := newRotation(req.Rotate, e.trace), newLacking(req)
	asked := req // with the store that reads nothing from the daemon
	req.Record = req.Record.fresh()
	req.Secret, req.Store = rotation.secrets(lacking.secret), e.asks(req)
	opt, err := e.options(req)
	if err != nil {
		return Result{}, err
	}
	opt.CacheExports = entries(slices.DeleteFunc(slices.Clone(req.CacheTo), func(c Cache) bool { return c.Type != "inline" }))
	out.packs = &packing{map[string]time.Duration{}}
	resp, base, err := e.run(ctx, req, opt, beforehand{lacking, rotation}, out)
	if err != nil {
		return Result{}, cmp.Or(lacking.unfit(), err)
	}
	root, err := rootOf(resp.ExporterResponse)
	if err != nil {
		return Result{}, err
	}
	resp.ExporterResponse["buildx.build.ref"] = e.label() + "/" + opt.Ref
	res := Result{Root: root, Metadata: resp.ExporterResponse, Base: base, Warnings: lacking.warnings, Packing: out.packs.took()}
	if err := e.complete(ctx, asked, rotation, req.Record, &res); err != nil {
		return Result{}, err
	}
	return res, nil
}

// beforehand is what is done with the build graphs that the frontend has made,
// before anything of them runs.
type beforehand struct {
	*lacking
	*rotation
}

// run solves with the daemon's frontend, and shows what BuildKit says. base is
// the diff IDs of the base images' layers.
func (e *Engine) run(ctx context.Context, req Request, opt client.SolveOpt, before beforehand, out Output) (resp *client.SolveResponse, base []string, err error) {
	serve(req, opt.FrontendAttrs)
	if err := attach(&opt); err != nil {
		return nil, nil, err
	}
	out.trace = e.trace
	opt.CacheImports = entries(out.there(req.CacheFrom))
	display, err := out.display()
	if err != nil {
		return nil, nil, err
	}
	raw, clean := make(chan *client.SolveStatus), make(chan *client.SolveStatus)
	eg, ctx := errgroup.WithContext(ctx)
	eg.Go(func() (err error) {
		// The daemon's Dockerfile frontend is asked by way of the gateway, as
		// buildctl does it, since only that tells of the base images.
		return e.alive(ctx, func(ctx context.Context) error {
			resp, err = e.client.Build(ctx, opt, "secure-build", func(ctx context.Context, c gateway.Client) (*gateway.Result, error) {
				res, err := c.Solve(ctx, gateway.SolveRequest{Frontend: "dockerfile.v0", FrontendOpt: opt.FrontendAttrs})
				if err != nil {
					return nil, err
				}
				base = baseLayers(res.Metadata)
				if err := before.hold(ctx, res); err != nil {
					return nil, err
				}
				if res, err = before.result(ctx, c, res); err != nil {
					return nil, err
				}
				return res, out.fence.stand(ctx, c, res)
			}, raw)
			return err
		})
	})
	eg.Go(func() error { out.redact(raw, clean); return nil })
	eg.Go(func() error {
		// Not ctx: what the daemon says about a failed or cancelled build is shown too.
		_, err := display.UpdateFrom(context.WithoutCancel(ctx), clean)
		return err
	})
	if err := eg.Wait(); errors.Is(err, errHangs) {
		return nil, nil, fmt.Errorf("building: %w", err) // there is nobody to ask why
	} else if err != nil {
		return nil, nil, e.explain(ctx, req, unpulled(req, explain(err)))
	}
	return resp, base, nil
}

// options translates a request for the Dockerfile frontend.
func (e *Engine) options(req Request) (client.SolveOpt, error) {
	opt := client.SolveOpt{
		Ref:           identity.NewID(),
		FrontendAttrs: req.attributes(),
		LocalMounts:   map[string]fsutil.FS{},
		OCIStores:     map[string]content.Store{},
		Exports:       req.exports(),
		Session: []session.Attachable{
			secretsprovider.NewSecretProvider(store{req.Secret}),
			authprovider.NewDockerAuthProvider(authprovider.DockerAuthProviderConfig{AuthConfigProvider: req.credentials()}),
		},
		AllowedEntitlements: req.Entitlements(),
		SourcePolicy:        req.Policy,
		// Keeps this build's log, in which a step may have printed a secret,
		// out of the daemon's build history (I1).
		Internal: true,
	}
	if err := req.inputs(&opt); err != nil {
		return client.SolveOpt{}, err
	}
	if len(req.SSH) > 0 {
		agents, err := req.agents()
		if err != nil {
			return client.SolveOpt{}, err
		}
		opt.Session = append(opt.Session, agents)
	}
	return opt, nil
}

// store answers BuildKit's questions for secrets, as Request.Secret does.
type store struct {
	get func(string) ([]byte, error)
}

func (s store) GetSecret(_ context.Context, id string) ([]byte, error) { return s.get(id) }

// asksItself says whether BuildKit asks for an id when it fetches something,
// without any step that mounts it.
func asksItself(id string) bool {
	return slices.ContainsFunc([]string{"GIT_AUTH_HEADER", "GIT_AUTH_TOKEN", "HTTP_AUTH_HEADER_", "HTTP_AUTH_TOKEN_"},
		func(own string) bool { return strings.HasPrefix(id, own) })
}

// rootOf reads the descriptor of the image from the exporter's response.
func rootOf(resp map[string]string) (ocispecs.Descriptor, error) {
	var desc ocispecs.Descriptor
	b, err := base64.StdEncoding.DecodeString(resp[exptypes.ExporterImageDescriptorKey])
	if err == nil {
		err = json.Unmarshal(b, &desc)
	}
	if err == nil && desc.Digest == "" {
		err = errors.New("it names no image")
	}
	if err != nil {
		return desc, fmt.Errorf("reading BuildKit's answer: %w", err)
	}
	return desc, nil
}

// MetadataJSON is the metadata file as buildx writes it: values that are JSON
// are shown as that, most of them in base64.
func MetadataJSON(resp map[string]string) ([]byte, error) {
	out := map[string]any{}
	for k, v := range maps.All(resp) {
		out[k] = v
		dt, err := base64.StdEncoding.DecodeString(v)
		if k == "result.json" {
			dt, err = []byte(v), nil
		}
		var raw map[string]any
		var list []map[string]any
		if err == nil && (json.Unmarshal(dt, &raw) == nil && len(raw) > 0 || json.Unmarshal(dt, &list) == nil && len(list) > 0) {
			out[k] = json.RawMessage(dt)
		}
	}
	return json.MarshalIndent(out, "", "  ")
}

// explain adds what is known about BuildKit's most common errors.
func explain(err error) error {
	msg := err.Error()
	err = fmt.Errorf("building: %w", err)
	switch {
	case strings.Contains(msg, "did not complete successfully"):
		return hint.Wrap(err, "the step's own output is above; a secret is there only in the RUN that mounts it")
	case strings.Contains(msg, "failed to read dockerfile") && !strings.Contains(msg, "failed to fetch remote"):
		return hint.Wrap(err, "name the Dockerfile with --file")
	}
	return err
}
