package buildkit

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	contentlocal "github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/distribution/reference"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/ociindex"
	"github.com/moby/buildkit/frontend/dockerfile/dfgitutil"
	"github.com/moby/buildkit/util/gitutil"
	"github.com/moby/buildkit/util/staticfs"
	"github.com/opencontainers/go-digest"
	"github.com/org/secure-build/internal/hint"
	"github.com/tonistiigi/fsutil"
	fstypes "github.com/tonistiigi/fsutil/types"
)

// Remote says whether the daemon fetches the context, from git or by HTTP. A
// folder of that name comes first, as in buildx.
func (r Request) Remote() bool { return remote(r.Context) }

func remote(where string) bool {
	if fi, err := os.Stat(where); err == nil && fi.IsDir() {
		return false
	}
	if strings.HasPrefix(where, "http://") || strings.HasPrefix(where, "https://") {
		return true
	}
	_, ok, err := dfgitutil.ParseGitRef(where)
	return ok && err == nil
}

// GitHost is the host that the context is fetched from, "" for a folder.
func (r Request) GitHost() string {
	if !r.Remote() {
		return ""
	}
	if u, err := url.Parse(r.Context); err == nil {
		return u.Host
	}
	return ""
}

// OverSSH says whether the daemon fetches the context from git by SSH, for which
// it needs an agent.
func (r Request) OverSSH() bool {
	if !r.Remote() {
		return false
	}
	u, err := gitutil.ParseURL(r.Context)
	return err == nil && u.Scheme == gitutil.SSHProtocol
}

// CheckContext says what is wrong with the name of a context, before anything
// is decrypted.
func CheckContext(where string) error {
	switch {
	case where == "-":
		return hint.Wrap(errors.New("reading the build context: standard input is none here"),
			"unpack it first: mkdir context && tar -x -C context && secure-build build context; a Dockerfile alone goes with --file - and an empty folder")
	case remote(where):
		if u, err := url.Parse(where); err == nil && u.User != nil {
			if _, ok := u.User.Password(); ok {
				return hint.Wrap(errors.New("reading the build context: its address has a password in it, which every process of this machine can read"),
					"give it as a secret with the id GIT_AUTH_TOKEN or HTTP_AUTH_TOKEN_<host>")
			}
		}
	}
	return nil
}

// ParseContexts reads --build-context, NAME=WHERE. Names are those of images:
// "alpine" and "docker.io/library/alpine:latest" are one.
func ParseContexts(items []string) (map[string]string, error) {
	all := map[string]string{}
	for _, item := range items {
		name, where, ok := strings.Cut(item, "=")
		if !ok || where == "" {
			return nil, fmt.Errorf("reading --build-context %q: want NAME=WHERE", item)
		}
		named, err := reference.ParseNormalizedNamed(name)
		if err != nil {
			return nil, fmt.Errorf("reading --build-context %q: %w", item, err)
		}
		if err := CheckContext(where); err != nil {
			return nil, fmt.Errorf("reading --build-context %s: %w", name, err)
		}
		all[strings.TrimSuffix(reference.FamiliarString(named), ":latest")] = where
	}
	return all, nil
}

// inputs says where the context, the Dockerfile and the named contexts come
// from, by buildx' rules (build/opt.go, loadInputs).
func (r Request) inputs(opt *client.SolveOpt) error {
	dockerfile := r.dockerfile()
	opt.FrontendAttrs["filename"] = filepath.Base(dockerfile)
	local := func(name, dir, what string) error {
		fs, err := fsutil.NewFS(dir)
		if err != nil {
			return fmt.Errorf("reading %s: %w", what, err)
		}
		opt.LocalMounts[name] = pieces{fs}
		return nil
	}
	switch {
	case r.Inline != "":
		if err := r.inline(opt, local); err != nil {
			return err
		}
	case !r.Remote():
		abs, err := filepath.Abs(r.Context)
		if err != nil {
			return err
		}
		opt.SharedKey = sharedKey(abs)
		if err := errors.Join(local("context", r.Context, "the build context"),
			local("dockerfile", filepath.Dir(dockerfile), "the Dockerfile's folder")); err != nil {
			return err
		}
	case filepath.IsAbs(r.Dockerfile):
		opt.FrontendAttrs["context"], opt.FrontendAttrs["dockerfilekey"] = r.Context, "dockerfile"
		if err := local("dockerfile", filepath.Dir(dockerfile), "the Dockerfile's folder"); err != nil {
			return err
		}
	default:
		opt.FrontendAttrs["context"] = r.Context
		if opt.FrontendAttrs["filename"] = r.Dockerfile; r.Dockerfile == "" {
			opt.FrontendAttrs["filename"] = "Dockerfile"
		}
	}
	for name, where := range r.Contexts {
		if err := r.named(opt, local, name, where); err != nil {
			return err
		}
	}
	return nil
}

// inline serves a Dockerfile that is no file, from memory: what its variables
// have put into it must not be on a disk.
func (r Request) inline(opt *client.SolveOpt, local func(name, dir, what string) error) error {
	dockerfile := staticfs.NewFS()
	dockerfile.Add("Dockerfile", &fstypes.Stat{Path: "Dockerfile", Mode: 0o600, Size: int64(len(r.Inline))}, []byte(r.Inline))
	opt.LocalMounts["dockerfile"], opt.FrontendAttrs["filename"] = dockerfile, "Dockerfile"
	if r.Remote() {
		opt.FrontendAttrs["context"], opt.FrontendAttrs["dockerfilekey"] = r.Context, "dockerfile"
		return nil
	}
	abs, err := filepath.Abs(r.Context)
	if err != nil {
		return err
	}
	opt.SharedKey = sharedKey(abs)
	return local("context", r.Context, "the build context")
}

// mountOf is the name by which the daemon asks for a folder that is a named context.
func mountOf(name string) string {
	if name == "context" || name == "dockerfile" {
		return "_" + name
	}
	return name
}

func (r Request) named(opt *client.SolveOpt, local func(name, dir, what string) error, name, where string) error {
	attr := "context:" + name
	opt.FrontendAttrs["frontend.caps"] = "moby.buildkit.frontend.contexts+forward"
	if dir, ok := strings.CutPrefix(where, "oci-layout://"); ok {
		store, ref, err := layoutOf(dir)
		if err != nil {
			return fmt.Errorf("reading the context %s: %w", name, err)
		}
		key := sharedKey(ref)
		opt.OCIStores[key], opt.FrontendAttrs[attr] = store, "oci-layout://"+key+"@"+ref[strings.LastIndex(ref, "@")+1:]
		return nil
	}
	if remote(where) || strings.HasPrefix(where, "docker-image://") || strings.HasPrefix(where, "target:") {
		opt.FrontendAttrs[attr] = where
		return nil
	}
	fi, err := os.Stat(where)
	if err == nil && !fi.IsDir() {
		err = fmt.Errorf("%s is not a folder", where)
	}
	if err != nil {
		return hint.Wrap(fmt.Errorf("reading the context %s: %w", name, err), "a context is a folder, oci-layout://DIR, docker-image://REF, or a git or https address")
	}
	mount := mountOf(name)
	if err := local(mount, where, "the context "+name); err != nil {
		return err
	}
	abs, err := filepath.Abs(where)
	if err != nil {
		return err
	}
	opt.FrontendAttrs[attr], opt.FrontendAttrs["sharedkey:localdir:"+name] = "local:"+mount, sharedKey(abs)
	return nil
}

// layoutOf opens DIR[:TAG] or DIR[@DIGEST]. The ref that it returns is the
// folder and the digest of the image.
func layoutOf(where string) (content.Store, string, error) {
	dir, dgst, ok := strings.Cut(where, "@")
	if ok {
		if _, err := digest.Parse(dgst); err != nil {
			return nil, "", fmt.Errorf("%q is no digest: %w", dgst, err)
		}
	}
	tag := ""
	if _, err := os.Stat(dir); err != nil {
		if at := strings.LastIndex(dir, ":"); at > strings.LastIndex(dir, "/") {
			dir, tag = dir[:at], dir[at+1:]
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "index.json")); err != nil {
		return nil, "", hint.Wrap(fmt.Errorf("opening the OCI layout %s: %w", dir, err), "an OCI layout has an index.json and a folder blobs")
	}
	if dgst == "" {
		index := ociindex.NewStoreIndex(dir)
		desc, err := index.Get(tag)
		if err == nil && desc == nil && tag == "" {
			desc, err = index.GetSingle()
		}
		if err == nil && desc == nil {
			err = errors.New("there is no such image in it, or more than one")
		}
		if err != nil {
			return nil, "", fmt.Errorf("opening the OCI layout %s: %w", where, err)
		}
		dgst = desc.Digest.String()
	}
	store, err := contentlocal.NewStore(dir)
	if err != nil {
		return nil, "", fmt.Errorf("opening the OCI layout %s: %w", dir, err)
	}
	abs, err := filepath.Abs(dir)
	return store, abs + "@" + dgst, err
}

// sharedKey lets the daemon fetch only what has changed in a folder since the
// last build, without telling it the folder's name.
func sharedKey(of string) string {
	sum := sha256.Sum256([]byte(of))
	return hex.EncodeToString(sum[:16])
}
