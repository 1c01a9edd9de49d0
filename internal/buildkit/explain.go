package buildkit

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/containerd/platforms"
	"github.com/org/secure-build/internal/hint"
)

var (
	// refusals are how registries, and BuildKit for them, say that a login is missing.
	refusals = []string{"401 Unauthorized", "403 Forbidden", "pull access denied", "authorization failed", "insufficient_scope", "failed to authorize"}
	// host is where a message has an address or a reference.
	host = regexp.MustCompile(`(?:https?://|failed to resolve source metadata for |pulling from host )([^/\s:]+(?::\d+)?)`)
)

// explain adds what the daemon knows: which platforms it can run, and which
// registry has refused us.
func (e *Engine) explain(ctx context.Context, req Request, err error) error {
	msg := err.Error()
	if strings.Contains(msg, "could not read Username") || strings.Contains(msg, "Authentication failed for") {
		return hint.Wrap(err, "give the token for it as the secret GIT_AUTH_TOKEN, or for GitHub in SECURE_BUILD_GITHUB_TOKEN")
	}
	if slices.ContainsFunc(refusals, func(s string) bool { return strings.Contains(msg, s) }) {
		if req.service != "" { // its login is none of a registry
			return hint.Wrap(err, "do the credentials of the cache type=%s let it write? they are attributes of --cache-to, or in the environment", req.service)
		}
		where := "the registry"
		if m := host.FindStringSubmatch(msg); m != nil {
			where = m[1]
		}
		return hint.Wrap(err, "docker login %s: its answer was that this login, or none, may not read the image", where)
	}
	// A program of another platform fails like any other: what is wrong with it
	// is in the step's output only.
	if len(req.Platforms) == 0 || !strings.Contains(msg, "did not complete successfully") && !strings.Contains(msg, "no match for platform") {
		return err
	}
	// Not ctx alone: it ended with the build.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	workers, werr := e.client.ListWorkers(ctx)
	if werr != nil || len(workers) == 0 {
		return err
	}
	var has []string
	for _, p := range workers[0].Platforms {
		has = append(has, platforms.FormatAll(platforms.Normalize(p)))
	}
	lacks := slices.DeleteFunc(slices.Clone(req.Platforms), func(p string) bool { return slices.Contains(has, p) })
	if len(lacks) == 0 {
		return err
	}
	return hint.Wrap(err, "the daemon runs %s and not %s: name a builder that does, --builder %s=ADDRESS, or install emulation (binfmt) where it runs",
		strings.Join(has, ", "), strings.Join(lacks, ", "), lacks[0])
}
