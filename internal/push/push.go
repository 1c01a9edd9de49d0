// Package push sends an image from its layout to a registry: the digest that
// was scanned, blobs first, tags last.
package push

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/org/secure-build/internal/authfile"
	"github.com/org/secure-build/internal/held"
	"github.com/org/secure-build/internal/hint"
)

// Options say how to reach the registry.
type Options struct {
	Username, Password string // "" uses Docker's credential files
	Registry           string // whom they are for; "" is every registry of the tags
	UserAgent          string // sent with each request
	ByDigest           bool   // leaves the tags where they are
	Scoped             string // folder of credentials that are for one repository or purpose
	// Insecure are the registries that may be without TLS, or with any certificate:
	// whoever is in between reads the image and the login.
	Insecure []string
}

// A Tag is a parsed reference that a push can move.
type Tag = name.Tag

// ParseTags checks references before anything is built. A tag that is not
// fully written gets Docker's defaults (docker.io, latest). Naming the same
// one twice is harmless.
func ParseTags(refs []string) ([]Tag, error) {
	var tags []Tag
	for _, ref := range refs {
		t, err := name.NewTag(ref)
		if err == nil && slices.Contains(strings.Split(t.RepositoryStr(), "/"), "") { // BuildKit says so when it has built
			err = errors.New("a part of the name is empty")
		}
		if err != nil {
			return nil, hint.Wrap(fmt.Errorf("reading the tag %q: %w", ref, err), "a tag looks like registry.example.com/team/app:1.2")
		}
		if !slices.Contains(tags, t) {
			tags = append(tags, t)
		}
	}
	return tags, nil
}

// Push sends the image with this digest from the layout in dir, and then
// points every tag at it. On an error some tags may have moved; none points at
// anything but this image.
func Push(ctx context.Context, dir, digest string, tags []Tag, opts Options) error {
	if len(tags) == 0 {
		return errors.New("pushing: no tag says where to")
	}
	image, err := open(dir, digest)
	if err != nil {
		return fmt.Errorf("pushing: %w", err)
	}
	if tags, err = opts.named(tags); err != nil {
		return fmt.Errorf("pushing: %w", err)
	}
	var repos []name.Repository
	for _, t := range tags {
		if !slices.Contains(repos, t.Repository) {
			repos = append(repos, t.Repository)
		}
	}
	pusher, err := opts.pushers()
	if err != nil {
		return fmt.Errorf("pushing: %w", err)
	}
	for _, repo := range repos {
		if err := pusher(repo.Registry).Push(ctx, repo.Digest(digest), image); err != nil {
			return explain(fmt.Errorf("pushing to %s: %w", repo, err), repo)
		}
	}
	if opts.ByDigest {
		return nil
	}
	for _, t := range tags {
		if err := pusher(t.Registry).Push(ctx, t, image); err != nil {
			return explain(fmt.Errorf("tagging %s: %w", t, err), t.Repository)
		}
	}
	return nil
}

// takes says whether a registry may be without TLS.
func (o Options) takes(registry name.Registry) bool {
	return slices.Contains(o.Insecure, registry.RegistryStr())
}

// named are the tags as the registry's client wants them, which asks by HTTP where
// their names let it.
func (o Options) named(tags []Tag) ([]Tag, error) {
	var all []Tag
	for _, t := range tags {
		if o.takes(t.Registry) {
			var err error
			if t, err = name.NewTag(t.Name(), name.Insecure); err != nil {
				return nil, err
			}
		}
		all = append(all, t)
	}
	return all, nil
}

// pushers are one for registries that have to have TLS, and one for the others.
func (o Options) pushers() (func(name.Registry) *remote.Pusher, error) {
	strict, err := remote.NewPusher(o.remote(false)...)
	if err != nil {
		return nil, err
	}
	lax, err := remote.NewPusher(o.remote(true)...)
	return func(r name.Registry) *remote.Pusher {
		if o.takes(r) {
			return lax
		}
		return strict
	}, err
}

// open finds the digest in the layout: an index (several platforms, or
// attestations) or a single image.
func open(dir, digest string) (remote.Taggable, error) {
	h, err := v1.NewHash(digest)
	if err != nil {
		return nil, err
	}
	root, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, fmt.Errorf("reading the layout: %w", err)
	}
	var found remote.Taggable
	if idx, err := root.ImageIndex(h); err == nil {
		found = heldIndex{idx, h}
	} else if img, err := root.Image(h); err != nil {
		return nil, fmt.Errorf("finding %s in the layout: %w", digest, err)
	} else if found, err = holdImage(img, h); err != nil {
		return nil, err
	}
	_, err = found.RawManifest() // nobody is asked for anything if it has changed
	return found, err
}

func (o Options) remote(insecure bool) []remote.Option {
	opts := []remote.Option{remote.WithAuthFromKeychain(pushing(o.Scoped))}
	if o.Username != "" || o.Password != "" {
		opts = []remote.Option{remote.WithAuthFromKeychain(login(o))}
	}
	if o.UserAgent != "" {
		opts = append(opts, remote.WithUserAgent(o.UserAgent))
	}
	if usual, ok := remote.DefaultTransport.(*http.Transport); ok && insecure {
		usual = usual.Clone()
		usual.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} // it was asked for
		opts = append(opts, remote.WithTransport(usual))
	}
	return opts
}

// login is a keychain that has one login, for one registry or for all. Others
// get what Docker's credential files have: a password goes to nobody else.
type login Options

func (l login) Resolve(r authn.Resource) (authn.Authenticator, error) {
	if l.Registry != "" {
		reg, err := name.NewRegistry(l.Registry) // docker.io has two names
		if err != nil {
			return nil, fmt.Errorf("reading the registry %q: %w", l.Registry, err)
		}
		if reg.RegistryStr() != r.RegistryStr() {
			return pushing(l.Scoped).Resolve(r)
		}
	}
	return &authn.Basic{Username: l.Username, Password: l.Password}, nil
}

// Hosts are the registries that the login is for, by the names that they are
// reached at.
func (o Options) Hosts(tags []Tag) (hosts []string, err error) {
	registries := []name.Registry{}
	if o.Registry != "" {
		reg, err := name.NewRegistry(o.Registry) // docker.io has two names
		if err != nil {
			return nil, fmt.Errorf("reading the registry %q: %w", o.Registry, err)
		}
		registries = append(registries, reg)
	} else {
		for _, t := range tags {
			registries = append(registries, t.Registry)
		}
	}
	for _, r := range registries {
		host := r.RegistryStr()
		if host == name.DefaultRegistry {
			host = authfile.DockerHub
		}
		if !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	return hosts, nil
}

// explain adds a hint to the errors that people meet.
func explain(err error, repo name.Repository) error {
	var terr *transport.Error
	var nerr net.Error
	switch {
	case errors.Is(err, held.ErrChanged):
		return err
	case errors.As(err, &terr) && terr.StatusCode == http.StatusUnauthorized:
		return hint.Wrap(err, "docker login %s, or --registry-username with --registry-password-stdin", repo.RegistryStr())
	case errors.As(err, &terr) && terr.StatusCode == http.StatusForbidden:
		return hint.Wrap(err, "this login may not push to %s", repo)
	case errors.As(err, &terr) && terr.StatusCode == http.StatusNotFound:
		return hint.Wrap(err, "does the repository %s exist, and may this login see it?", repo)
	case errors.As(err, &nerr) || strings.Contains(err.Error(), "connect"):
		return hint.Wrap(err, "is %s reachable from here?", repo.RegistryStr())
	}
	return err
}

// Login says as whom the registry of a tag knows us, and whether it lets us in
// at all. Nothing is written: it asks for the API's version, and for a token
// where the registry wants one.
func Login(ctx context.Context, tag Tag, scoped string) (user string, err error) {
	auth, err := pushing(scoped).Resolve(tag.Repository)
	if err != nil {
		return "", fmt.Errorf("reading Docker's credentials for %s: %w", tag.RegistryStr(), err)
	}
	user = "nobody (no login)"
	if cfg, err := auth.Authorization(); err == nil && auth != authn.Anonymous {
		user = cmp.Or(cfg.Username, "a token")
	}
	scope := tag.Repository.Scope(transport.PushScope)
	if err := ping(ctx, tag, auth, scope); err != nil {
		return user, explain(fmt.Errorf("asking %s: %w", tag.RegistryStr(), err), tag.Repository)
	}
	return user, nil
}

// ping asks for the version of the API as whom auth says. (Making the transport
// fetches a token, but does not try a password.)
func ping(ctx context.Context, tag Tag, auth authn.Authenticator, scope string) error {
	rt, err := transport.NewWithContext(ctx, tag.Registry, auth, remote.DefaultTransport, []string{scope})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, tag.Scheme()+"://"+tag.RegistryStr()+"/v2/", nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: rt}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return transport.CheckError(resp, http.StatusOK)
}
