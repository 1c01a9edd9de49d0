package buildkit

import (
	"context"
	"fmt"
	"slices"

	dockerconfig "github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/types"
	"github.com/moby/buildkit/session/auth/authprovider"
	"github.com/org/secure-build/internal/authfile"
)

// A Login is one that the user gave, for registries by the names that they are
// reached at (registry-1.docker.io).
type Login struct {
	Username, Password string
	Hosts              []string
}

// credentials looks up a registry's login: the one that was given, what is for
// this repository alone, Docker's configuration. That is read when it is asked
// for: a helper of it may take seconds.
func (r Request) credentials() authprovider.AuthConfigProvider {
	usual := func(context.Context, string, []string, authprovider.ExpireCachedAuthCheck) (types.AuthConfig, error) {
		return types.AuthConfig{}, nil
	}
	if r.Docker != nil {
		usual = authprovider.LoadAuthConfig(r.Docker)
	}
	find := func(ctx context.Context, host string, scopes []string, expired authprovider.ExpireCachedAuthCheck) (types.AuthConfig, error) {
		if slices.Contains(r.Login.Hosts, host) {
			return types.AuthConfig{Username: r.Login.Username, Password: r.Login.Password, ServerAddress: host}, nil
		}
		dir := authfile.Dir(r.Scoped, host, scopes)
		if dir == "" {
			return usual(ctx, host, scopes, expired)
		}
		own, err := dockerconfig.Load(dir)
		if err != nil {
			return types.AuthConfig{}, fmt.Errorf("reading the credentials for %s: %w", host, err)
		}
		return authprovider.LoadAuthConfig(own)(ctx, host, scopes, expired)
	}
	return func(ctx context.Context, host string, scopes []string, expired authprovider.ExpireCachedAuthCheck) (types.AuthConfig, error) {
		found, err := find(ctx, host, scopes, expired)
		if none := (types.AuthConfig{ServerAddress: found.ServerAddress}); err != nil || found != none || !ofDockerHub[host] {
			return found, err
		}
		return find(ctx, authfile.DockerHub, scopes, expired)
	}
}

// ofDockerHub are Docker's other registries, which take a login for its hub; as
// in buildx (util/dockerutil/dockerconfig).
var ofDockerHub = map[string]bool{"dhi.io": true, "registry.scout.docker.com": true}
