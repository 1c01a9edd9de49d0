package push

import (
	"fmt"
	"strings"

	"github.com/docker/cli/cli/config"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/org/secure-build/internal/authfile"
)

// docker is the keychain of Docker's credential files. Those that are for one
// repository or purpose, in the folder scoped, are looked at first, as buildx
// does.
type docker struct {
	scoped  string
	actions []string
}

// pushing is what a registry lets one who pushes do.
func pushing(scoped string) docker { return docker{scoped, []string{"pull", "push"}} }

// Readers is the keychain for who only reads.
func Readers(scoped string) authn.Keychain { return docker{scoped, []string{"pull"}} }

func (d docker) Resolve(r authn.Resource) (authn.Authenticator, error) {
	host, key := r.RegistryStr(), r.RegistryStr()
	if host == name.DefaultRegistry {
		host, key = authfile.DockerHub, authn.DefaultAuthKey
	}
	repo, _ := strings.CutPrefix(r.String(), r.RegistryStr()+"/")
	dir := authfile.Dir(d.scoped, host, []string{authfile.Scope(repo, d.actions...)})
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
