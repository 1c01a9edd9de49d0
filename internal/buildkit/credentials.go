package buildkit

import (
	"context"
	"fmt"

	dockerconfig "github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/configfile"
	"github.com/docker/cli/cli/config/types"
	"github.com/moby/buildkit/session/auth/authprovider"
	"github.com/org/secure-build/internal/authfile"
)

// credentials looks up a registry's login in Docker's configuration, and before
// that in what is for this repository alone. A configuration is read when it is
// asked for: a helper of it may take seconds.
func credentials(cf *configfile.ConfigFile, scoped string) authprovider.AuthConfigProvider {
	usual := func(context.Context, string, []string, authprovider.ExpireCachedAuthCheck) (types.AuthConfig, error) {
		return types.AuthConfig{}, nil
	}
	if cf != nil {
		usual = authprovider.LoadAuthConfig(cf)
	}
	find := func(ctx context.Context, host string, scopes []string, expired authprovider.ExpireCachedAuthCheck) (types.AuthConfig, error) {
		dir := authfile.Dir(scoped, host, scopes)
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
