package push

import (
	"fmt"
	"strings"

	"github.com/docker/cli/cli/config"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/org/secure-build/internal/authfile"
)

// docker is the keychain of Docker's credential files. Its value is the folder
// of those that are for one repository or purpose, which are looked at first,
// as buildx does.
type docker string

func (d docker) Resolve(r authn.Resource) (authn.Authenticator, error) {
	host, key := r.RegistryStr(), r.RegistryStr()
	if host == name.DefaultRegistry {
		host, key = authfile.DockerHub, authn.DefaultAuthKey
	}
	repo, _ := strings.CutPrefix(r.String(), r.RegistryStr()+"/")
	dir := authfile.Dir(string(d), host, []string{authfile.Scope(repo, "pull", "push")})
	if dir == "" {
		return authn.DefaultKeychain.Resolve(r)
	}
	file, err := config.Load(dir)
	if err != nil {
		return nil, fmt.Errorf("reading the credentials for %s: %w", r, err)
	}
	found, err := file.GetAuthConfig(key)
	if err != nil {
		return nil, fmt.Errorf("reading the credentials for %s: %w", r, err)
	}
	return authn.FromConfig(authn.AuthConfig{
		Username: found.Username, Password: found.Password, Auth: found.Auth, IdentityToken: found.IdentityToken, RegistryToken: found.RegistryToken,
	}), nil
}
