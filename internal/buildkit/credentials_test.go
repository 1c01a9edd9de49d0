package buildkit

import (
	"os"
	"path/filepath"
	"testing"

	dockerconfig "github.com/docker/cli/cli/config"
	"github.com/org/secure-build/internal/authfile"
)

// TestCredentialsForOneRepository: the ones that docker/login-action keeps apart
// are asked for first, and those of Docker's usual file otherwise.
func TestCredentialsForOneRepository(t *testing.T) {
	dir := t.TempDir()
	scoped := CredentialDir(func(name string) string { return map[string]string{"DOCKER_CONFIG": dir}[name] })
	for name, user := range map[string]string{
		dir: "anybody", filepath.Join(scoped, "r.example.com", "team", "app@pull"): "puller", filepath.Join(scoped, "r.example.com@pull,push"): "pusher",
	} {
		if err := os.MkdirAll(name, 0o755); err != nil {
			t.Fatal(err)
		}
		text := `{"auths": {"https://index.docker.io/v1/": {"username": "hub", "password": "x"}, "r.example.com": {"username": "` + user + `", "password": "x"}, "s.example.com": {"username": "` + user + `", "password": "x"}}}`
		if err := os.WriteFile(filepath.Join(name, "config.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	usual, err := dockerconfig.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	provider := Request{Docker: usual, Scoped: scoped}.credentials()
	for _, tt := range []struct {
		host, scope, want string
	}{
		{"r.example.com", authfile.Scope("team/app", "pull"), "puller"},
		{"r.example.com", authfile.Scope("team/other", "pull", "push"), "pusher"},
		{"r.example.com", authfile.Scope("team/other", "pull"), "anybody"},
		{"s.example.com", authfile.Scope("team/app", "pull"), "anybody"},
		{"t.example.com", authfile.Scope("team/app", "pull"), ""},
		{authfile.DockerHub, authfile.Scope("library/app", "pull"), "hub"},
		{"dhi.io", authfile.Scope("python", "pull"), "hub"}, // Docker's own, with the same accounts
		{"dhi.io.example.com", authfile.Scope("python", "pull"), ""},
		{"r.example.com", "", "anybody"}, // without a token there is no scope
	} {
		got, err := provider(t.Context(), tt.host, []string{tt.scope}, nil)
		if err != nil || got.Username != tt.want {
			t.Errorf("%s %s: got the login of %q, %v, want %q's", tt.host, tt.scope, got.Username, err, tt.want)
		}
	}
	if got, err := (Request{Scoped: scoped}).credentials()(t.Context(), "s.example.com", nil, nil); err != nil || got.Username != "" {
		t.Errorf("without Docker's file: got %q, %v", got.Username, err)
	}
	// The one that was given comes first, for its registries and for no other, and
	// whatever keeps Docker's own.
	usual.CredentialsStore = "nowhere"
	given := Request{Docker: usual, Scoped: scoped, Login: Login{"given", "x", []string{"r.example.com", authfile.DockerHub}}}.credentials()
	for _, host := range []string{"r.example.com", authfile.DockerHub} {
		if got, err := given(t.Context(), host, []string{authfile.Scope("team/app", "pull")}, nil); err != nil || got.Username != "given" {
			t.Errorf("%s: got the login of %q, %v, want the one that was given", host, got.Username, err)
		}
	}
	if got, err := given(t.Context(), "s.example.com", nil, nil); got.Username == "given" {
		t.Errorf("s.example.com: got the login that is for others, %v", err)
	}
}
