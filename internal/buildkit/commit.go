package buildkit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/buildkit/util/urlutil"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxGitTime bounds the questions about one build context.
const maxGitTime = 10 * time.Second

// gitVariables are what git is given of our environment: where its own settings
// are, and nothing that a secret is in.
var gitVariables = []string{"PATH", "HOME", "XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_CEILING_DIRECTORIES"}

// labelDockerfile is the label of Docker's that names the Dockerfile.
const labelDockerfile = "com.docker.image.source.entrypoint"

// Commit says which commit the build context is of, as attributes of the frontend,
// by buildx's rules (build/git.go): the provenance has it unless BUILDX_GIT_INFO is
// false, and with BUILDX_GIT_LABELS the image's labels. It is nil for a context
// that is in no working tree of git, or where there is no git to ask. An address
// loses its name and password.
func Commit(ctx context.Context, req Request, getenv func(string) string) (map[string]string, error) {
	info, err := strconv.ParseBool(getenv("BUILDX_GIT_INFO"))
	info = info || err != nil
	labels, _ := strconv.ParseBool(getenv("BUILDX_GIT_LABELS"))
	labels = labels || getenv("BUILDX_GIT_LABELS") == "full"
	if req.Remote() || !info && !labels {
		return nil, nil
	}
	dir, err := filepath.Abs(req.Context)
	if err != nil {
		return nil, err
	}
	if _, err := exec.LookPath("git"); err != nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, maxGitTime)
	defer cancel()
	g := git{ctx, dir}
	root, err := g.ask("rev-parse", "--show-toplevel")
	if err != nil {
		if !exists(filepath.Join(dir, ".git")) {
			return nil, nil // most folders are in no working tree
		}
		return nil, fmt.Errorf("asking git for the commit of %s: %w", req.Context, err)
	}
	attrs := map[string]string{}
	set := func(name, label, value string) {
		if info && name != "" && value != "" {
			attrs[name] = value
		}
		if labels && label != "" && value != "" {
			attrs["label:"+label] = value
		}
	}
	dirty, _ := strconv.ParseBool(getenv("BUILDX_GIT_CHECK_DIRTY"))
	set("vcs:revision", ocispecs.AnnotationRevision, g.revision(dirty))
	set("vcs:source", ocispecs.AnnotationSource, g.source())
	if req.Inline == "" {
		set("", labelDockerfile, inside(root, req.dockerfile()))
	}
	if info {
		maps.Copy(attrs, req.places(root))
	}
	return attrs, nil
}

// places say where in a working tree the folders are that the build reads.
func (r Request) places(root string) map[string]string {
	dirs := map[string]string{"context": r.Context}
	if r.Inline == "" {
		dirs["dockerfile"] = filepath.Dir(r.dockerfile())
	}
	for name, where := range r.Contexts {
		if fi, err := os.Stat(where); err == nil && fi.IsDir() {
			dirs[mountOf(name)] = where
		}
	}
	attrs := map[string]string{}
	for name, dir := range dirs {
		if dir, err := filepath.EvalSymlinks(dir); err == nil {
			if rel := inside(root, dir); rel != "" {
				attrs["vcs:localdir:"+name] = rel
			}
		}
	}
	return attrs
}

// inside is a file's path from a folder on, with slashes; "" if it is not in it.
func inside(dir, name string) string {
	abs, err := filepath.Abs(name)
	if err != nil {
		return ""
	}
	rel, err := filepath.Rel(dir, abs)
	if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		return ""
	}
	return filepath.ToSlash(rel)
}

// git asks about the working tree that a folder is in.
type git struct {
	ctx context.Context
	dir string
}

// ask runs git without the settings by which a working tree makes it run
// something else. A folder of it that looks like a repository is none: its
// settings would be those of who wrote what was checked out.
func (g git) ask(args ...string) (string, error) {
	cmd := exec.CommandContext(g.ctx, "git", append([]string{"-c", "safe.bareRepository=explicit", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"}, args...)...)
	cmd.Dir, cmd.WaitDelay = g.dir, time.Second
	cmd.Env = []string{"LC_ALL=C", "GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0"}
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); slices.Contains(gitVariables, name) {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	out, err := cmd.Output()
	if failed := new(exec.ExitError); errors.As(err, &failed) {
		err = errors.New(firstLine(strings.TrimSpace(string(failed.Stderr))))
	}
	return strings.TrimSpace(string(out)), err
}

// revision is the commit that is checked out, "" where there is none yet.
func (g git) revision(checkDirty bool) string {
	sha, err := g.ask("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
	if err != nil || sha == "" {
		return ""
	}
	if !checkDirty {
		return sha
	}
	if changes, err := g.ask("status", "--porcelain", "--ignored"); err != nil || changes != "" {
		sha += "-dirty"
	}
	return sha
}

// source is the address that the branch comes from, or that of origin, or of
// upstream; "" for none, and for one that cannot be shown.
func (g git) source() string {
	remotes := []string{"origin", "upstream"}
	if branch, err := g.ask("symbolic-ref", "-q", "HEAD"); err == nil {
		if remote, err := g.ask("for-each-ref", "--format=%(upstream:remotename)", branch); err == nil && remote != "" {
			remotes = slices.Insert(remotes, 0, remote)
		}
	}
	for _, remote := range remotes {
		if address, err := g.ask("remote", "get-url", remote); err == nil && address != "" {
			return showable(address)
		}
	}
	return ""
}

// showable takes out of an address what may be a password. One that cannot be read
// is not shown.
func showable(address string) string {
	if !strings.Contains(address, "://") {
		return address // a path, or HOST:PATH of ssh, which has no place for one
	}
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	u.RawQuery, u.Fragment = "", ""
	return urlutil.RedactCredentials(u.String())
}
