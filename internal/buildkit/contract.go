package buildkit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/buildkit/frontend/subrequests/outline"
	"github.com/opencontainers/go-digest"
	"github.com/org/secure-build/internal/hint"
)

// ErrContract says that the Dockerfile and the sources do not fit together.
// Nothing was built.
var ErrContract = errors.New("the Dockerfile and the secrets do not fit")

// maxDockerfile bounds what is read of a Dockerfile, in bytes. BuildKit's own
// parser takes no line over 1 MiB.
const maxDockerfile = 4 << 20

// Contract holds the secrets that the target's stages mount against the ids
// that there are, without a daemon and without a key (I7). Every mount counts,
// whether it says required=true or not: without that, BuildKit mounts nothing
// for an unknown id and the build passes. The result is the ids that are
// mounted; errors wrap ErrContract and name line and nearest id.
func Contract(ctx context.Context, req Request, ids []string) (mounted []string, err error) {
	o, err := outlineOf(ctx, req)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, s := range o.Secrets {
		mounted = append(mounted, s.Name)
		if slices.Contains(ids, s.Name) {
			continue
		}
		where := filepath.Base(req.dockerfile())
		if s.Location != nil && len(s.Location.Ranges) > 0 && s.Location.Ranges[0].Start != nil {
			where = fmt.Sprintf("%s:%d", where, s.Location.Ranges[0].Start.Line)
		}
		err := fmt.Errorf("%w: %s: no source gives the secret %q", ErrContract, where, s.Name)
		errs = append(errs, hint.Wrap(err, "%s", missing(s.Name, ids)))
	}
	return mounted, errors.Join(errs...)
}

// missing says what to do about an id that no source gives.
func missing(id string, ids []string) string {
	if near := hint.Nearest(id, ids); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	if len(ids) == 0 {
		return fmt.Sprintf("no secrets were given: name them with --sops FILE or --secret id=%s,src=FILE", id)
	}
	return fmt.Sprintf("there are %s; add one with --sops or --secret id=%s,src=FILE", strings.Join(ids, ", "), id)
}

// outlineOf asks the Dockerfile frontend, in our own process, what the target
// needs: it knows stages, heredocs and ids with build args in them.
func outlineOf(ctx context.Context, req Request) (*outline.Outline, error) {
	dt, err := readDockerfile(req)
	if err != nil {
		return nil, err
	}
	o, err := dockerfile2llb.Dockerfile2Outline(ctx, dt, dockerfile2llb.ConvertOpt{
		Config:       dockerui.Config{BuildArgs: req.BuildArgs, Target: req.Target},
		MetaResolver: noBase{},
	})
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", filepath.Base(req.dockerfile()), err)
	}
	return o, nil
}

func readDockerfile(req Request) ([]byte, error) {
	fi, err := os.Stat(req.Context)
	if err != nil {
		return nil, hint.Wrap(fmt.Errorf("reading the build context: %w", err), "CONTEXT is the folder that COPY reads from, often .")
	}
	if !fi.IsDir() {
		return nil, hint.Wrap(fmt.Errorf("reading the build context: %s is not a folder", req.Context), "CONTEXT is the folder that COPY reads from; name the Dockerfile with --file")
	}
	name := req.dockerfile()
	f, err := os.Open(name)
	if err != nil {
		return nil, hint.Wrap(fmt.Errorf("reading the Dockerfile: %w", err), "it is CONTEXT/Dockerfile unless --file names another")
	}
	defer f.Close()
	if fi, err := f.Stat(); err == nil && fi.IsDir() {
		return nil, hint.Wrap(fmt.Errorf("reading the Dockerfile: %s is a folder", name), "--file names the Dockerfile itself")
	}
	dt, err := io.ReadAll(io.LimitReader(f, maxDockerfile+1))
	if err != nil {
		return nil, fmt.Errorf("reading the Dockerfile: %w", err)
	}
	if len(dt) > maxDockerfile {
		return nil, fmt.Errorf("reading the Dockerfile: %s is larger than %d bytes", name, maxDockerfile)
	}
	return dt, nil
}

// noBase answers for every base image that nothing is known of it: the check
// must not need a network. (ONBUILD instructions of a base image are seen by
// the build itself, where an unknown id is an error too.)
type noBase struct{}

func (noBase) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	return ref, "", []byte(`{"os":"linux","architecture":"amd64"}`), nil
}
