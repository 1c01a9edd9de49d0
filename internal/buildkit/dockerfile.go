package buildkit

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/util/staticfs"
	"github.com/org/secure-build/internal/hint"
)

// here says whether the Dockerfile is on this machine, as it can be though the
// context is not (see inputs).
func (r Request) here() bool {
	return !r.Remote() || r.Inline != "" || filepath.IsAbs(r.Dockerfile)
}

// errFetched says that a Dockerfile is not on this machine.
var errFetched = errors.New("reading the Dockerfile: BuildKit fetches it")

// readDockerfile reads one that is on this machine.
func readDockerfile(req Request) ([]byte, error) {
	if !req.here() {
		return nil, errFetched
	}
	if !req.Remote() {
		if err := req.folder(); err != nil {
			return nil, err
		}
	}
	if req.Inline != "" {
		if len(req.Inline) > maxDockerfile {
			return nil, fmt.Errorf("reading the Dockerfile: it is larger than %d bytes", maxDockerfile)
		}
		return []byte(req.Inline), nil
	}
	name := req.dockerfile()
	f, err := os.Open(name)
	if err != nil {
		return nil, hint.Wrap(fmt.Errorf("reading the Dockerfile: %w", err), "%s", elsewhere(name))
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

// elsewhere says where a Dockerfile may be that is not there.
func elsewhere(name string) string {
	if strings.HasPrefix(name, "http://") || strings.HasPrefix(name, "https://") {
		return "a Dockerfile is not fetched here: curl -fsSL ADDRESS | secure-build build --file - CONTEXT"
	}
	return "it is CONTEXT/Dockerfile unless --file names another"
}

// ReadInline reads a Dockerfile that is no file, from standard input say. One of
// no bytes is an error: it would not be told from a Dockerfile in the context.
func ReadInline(r io.Reader, from string) (string, error) {
	dt, err := io.ReadAll(io.LimitReader(r, maxDockerfile+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("reading the Dockerfile from %s: %w", from, err)
	case len(dt) == 0:
		return "", fmt.Errorf("reading the Dockerfile from %s: it is empty", from)
	case len(dt) > maxDockerfile:
		return "", fmt.Errorf("reading the Dockerfile from %s: it is larger than %d bytes", from, maxDockerfile)
	}
	return string(dt), nil
}

// folder says what is wrong with a build context that is a folder of this machine.
func (r Request) folder() error {
	fi, err := os.Stat(r.Context)
	if err != nil {
		err = fmt.Errorf("reading the build context: %w", err)
		if strings.Contains(r.Context, "defaultContext") { // a template of docker/build-push-action
			return hint.Wrap(err, "name the folder in the checkout, such as . or ./app: the repository is not fetched again")
		}
		return hint.Wrap(err, "CONTEXT is the folder that COPY reads from, often .")
	}
	if !fi.IsDir() {
		return hint.Wrap(fmt.Errorf("reading the build context: %s is not a folder", r.Context), "CONTEXT is the folder that COPY reads from; name the Dockerfile with --file")
	}
	return nil
}

// unfetched puts an empty folder in the place of a context that is fetched, in
// the options of a build.
func unfetched(opt *client.SolveOpt) {
	delete(opt.FrontendAttrs, "context")
	delete(opt.FrontendAttrs, "dockerfilekey")
	opt.LocalMounts["context"] = staticfs.NewFS()
}
