package rules

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestName(t *testing.T) {
	for _, tt := range []struct {
		path string
		mode int64
		dir  bool
		want []string
	}{
		{"app/.env", 0o644, false, []string{"dotenv-file"}},
		{"./app/.env.production", 0o600, false, []string{"dotenv-file"}},
		{"/srv/prod.env", 0o600, false, []string{"dotenv-file"}},
		{"usr/share/app/.env", 0o600, false, []string{"dotenv-file"}},
		{"app/.env.example", 0o644, false, nil},
		{"app/.env", 0o755, true, nil},
		{"app/environment", 0o644, false, nil},
		{"root/.npmrc", 0o600, false, []string{"npmrc-file"}},
		{"usr/lib/node_modules/npm/.npmrc", 0o644, false, nil},
		{"root/.netrc", 0o644, false, []string{"netrc-file", "world-readable-key"}},
		{"root/.ssh/id_rsa", 0o600, false, []string{"ssh-key-file"}},
		{"home/u/.ssh/id_ed25519", 0o644, false, []string{"ssh-key-file", "world-readable-key"}},
		{"home/u/.ssh/id_ed25519.pub", 0o644, false, nil},
		{"etc/nginx/tls.key", 0o640, false, []string{"key-file"}},
		{"etc/nginx/tls.pem", 0o644, false, []string{"pem-file"}},
		{"etc/ssl/certs/ISRG_Root_X1.pem", 0o644, false, nil},
		{"usr/share/ca-certificates/mozilla/x.pem", 0o644, false, nil},
		{"opt/venv/lib/python3/site-packages/certifi/cacert.pem", 0o644, false, nil},
		{"app/fullchain.pem", 0o644, false, nil},
		{"src/.git", 0o755, true, []string{"git-folder"}},
		{"src/.git", 0o644, false, nil},
		{"src/.git/", 0o755, true, []string{"git-folder"}},
		{".git/HEAD", 0o644, false, []string{"git-folder"}},
		{"./src/.git/objects/", 0o755, true, []string{"git-folder"}},
		{"src/app.git/x.git/config", 0o644, false, nil},
		{"src/app.git/.git/config", 0o644, false, []string{"git-folder"}},
		{"src/.git/id_rsa", 0o600, false, []string{"git-folder", "ssh-key-file"}},
		{"src/.github/workflows/ci.yaml", 0o644, false, nil},
		{"root/.ssh/id_foo", 0o600, false, []string{"ssh-key-file"}},
		{"root/.ssh/id_foo.pub", 0o644, false, nil},
		{"root/.ssh/known_hosts", 0o644, false, nil},
		{"home/u/id_rsa_deploy", 0o644, false, []string{"ssh-key-file", "world-readable-key"}},
		{"home/u/id_ed25519.bak", 0o600, false, []string{"ssh-key-file"}},
		{"home/u/id_ed25519-cert.pub", 0o644, false, nil},
		{"app/id_token", 0o644, false, nil},
		{"app/id_rsa_test.go", 0o644, false, nil},
		{"app/kubeconfig.yaml", 0o600, false, []string{"kubeconfig-file"}},
		{"app/prod-kubeconfig.yml", 0o644, false, []string{"kubeconfig-file", "world-readable-key"}},
		{"app/kubeconfig.go", 0o644, false, nil},
		{"src/.gitignore", 0o644, false, nil},
		{"root/.aws/credentials", 0o600, false, []string{"aws-credentials-file"}},
		{"app/aws/credentials", 0o600, false, []string{"secret-file"}},
		{".aws/credentials", 0o600, false, []string{"aws-credentials-file"}},
		{"root/.kube/config", 0o600, false, []string{"kubeconfig-file"}},
		{"root/.config/git/config", 0o600, false, nil},
		{"infra/terraform.tfstate", 0o644, false, []string{"terraform-state-file"}},
		{"root/.docker/config.json", 0o600, false, []string{"docker-config-file"}},
		{"app/config.json", 0o600, false, nil},
		{"app/client_secret.json", 0o600, false, []string{"secret-file"}},
		{"app/Secrets.yaml", 0o600, false, []string{"secret-file"}},
		{"usr/lib/python3.12/secrets.py", 0o644, false, nil},
		{"app/lib/secrets.py", 0o644, false, nil},
		{"usr/lib/x86_64-linux-gnu/libsecret-1.so.0", 0o644, false, nil},
		{"app/store.p12", 0o644, false, []string{"pkcs12-file", "world-readable-key"}},
		{"app/store.pfx", 0o600, false, []string{"pkcs12-file"}},
		{"usr/share/app/store.pfx", 0o600, false, nil},
		{"app/store.pfx", 0o700, true, nil},
		{"", 0, true, nil},
	} {
		var got []string
		for _, h := range Name(tt.path, tt.mode, tt.dir) {
			got = append(got, h.Rule)
			if h.Severity != "warning" || h.Description == "" {
				t.Errorf("%s: %+v", tt.path, h)
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", tt.path, diff)
		}
	}
}

// TestGitFolder: whatever names the folder, the warning is of the same one.
func TestGitFolder(t *testing.T) {
	for _, tt := range []struct {
		path  string
		isDir bool
		want  string
	}{
		{"src/.git", true, "src/.git/"},
		{"src/.git/", true, "src/.git/"},
		{"src/.git/config", false, "src/.git/"},
		{"./src/.git/modules/a/.git/config", false, "./src/.git/"},
		{".git/refs/heads", true, ".git/"},
	} {
		if got := Name(tt.path, 0, tt.isDir); len(got) != 1 || got[0].Folder != tt.want {
			t.Errorf("%s: got %+v, want %s", tt.path, got, tt.want)
		}
	}
}

// TestOpen: a key that everyone may read is one by its contents, unless its name
// has said so.
func TestOpen(t *testing.T) {
	for _, tt := range []struct {
		rule, path string
		mode       int64
		want       bool
	}{
		{"private-key", "srv/server.pem", 0o644, true},
		{"private-key", "srv/tls", 0o604, true},
		{"private-key", "srv/server.pem", 0o640, false},
		{"private-key", "srv/x.key", 0o644, false}, // its name has
		{"github-pat", "srv/tls", 0o644, false},
	} {
		h, got := Open(Hit{Rule: tt.rule, Description: "A key", Offset: 7}, tt.path, tt.mode)
		if got != tt.want || got && (h.Rule != "world-readable-key" || h.Severity != "warning" || h.Offset != 7) {
			t.Errorf("%s in %s: got %v, %+v, want %v", tt.rule, tt.path, got, h, tt.want)
		}
	}
}

func TestEnv(t *testing.T) {
	for _, tt := range []struct {
		name, value string
		want        bool
	}{
		{"NPM_TOKEN", "abc123def456", true},
		{"DB_PASSWORD", "hunter2", true},
		{"POSTGRES_PASSWORD", "postgres", true},
		{"MYSQL_ROOT_PASSWORD", `"p w"`, true},
		{"API_KEY", "k1", true},
		{"APIKEY", "k1", true},
		{"AWS_SECRET_ACCESS_KEY", "wJalr", true},
		{"aws_session_token", "x1y2", true},
		{"GITHUB_AUTH", "abc", true},
		{"DATABASE_URL", "postgres://app:hunter2@db/x", true},
		{"DATABASE_URL", "postgres://app:$PW@db/x", false},
		{"DATABASE_URL", "postgres://app@db/x", false},
		{"DB_PASSWORD", "", false},
		{"DB_PASSWORD", "/run/secrets/db", false},
		{"DB_PASSWORD_FILE", "x", false},
		{"DB_PASSWORD", "${DB_PASSWORD}", false},
		{"DB_PASSWORD", "$DB_PASSWORD", false},
		{"DB_PASSWORD", "<password>", false},
		{"DB_PASSWORD", "changeme", false},
		{"API_KEY", "xxxxxxxx", false},
		{"USE_TOKEN", "true", false},
		{"GPG_KEY", "A035C8C19219BA821ECEA86B64E628F8D684696D", false},
		{"PGP_KEYS", "A035C8C19219BA821ECEA86B64E628F8D684696D", false},
		{"PUBLIC_KEY", "abc", false},
		{"PWD", "x", false},
		{"KEYBOARD", "us", false},
		{"MONKEY", "banana", false},
		{"AUTHOR", "me", false},
		{"BYPASS", "me", false},
		{"PATH", "/usr/bin", false},
	} {
		if _, got := Env(tt.name, tt.value); got != tt.want {
			t.Errorf("%s=%s: got %v, want %v", tt.name, tt.value, got, tt.want)
		}
	}
}
