package push

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/org/secure-build/internal/hint"
)

// requests is a registry's log, in memory.
type requests struct {
	mu   sync.Mutex
	log  []string
	deny func(*http.Request) int
}

// serve starts a real registry with a log in front.
func (r *requests) serve(t *testing.T) (host string) {
	t.Helper()
	reg := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		r.log = append(r.log, req.Method+" "+req.URL.RequestURI())
		r.mu.Unlock()
		if r.deny != nil {
			if code := r.deny(req); code != 0 {
				http.Error(w, `{"errors":[{"code":"DENIED"}]}`, code)
				return
			}
		}
		reg.ServeHTTP(w, req)
	}))
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://")
}

// lines is the log so far.
func (r *requests) lines() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.log)
}

// save writes an image or an index as the one root of a layout.
func save(t *testing.T, root mutate.Appendable) (dir string, digest string) {
	t.Helper()
	dir = t.TempDir()
	idx := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: root})
	if _, err := layout.Write(dir, idx); err != nil {
		t.Fatal(err)
	}
	h, err := root.(interface{ Digest() (v1.Hash, error) }).Digest()
	if err != nil {
		t.Fatal(err)
	}
	return dir, h.String()
}

func TestPush(t *testing.T) {
	img, err := random.Image(4096, 3)
	if err != nil {
		t.Fatal(err)
	}
	idx, err := random.Index(1024, 2, 2)
	if err != nil {
		t.Fatal(err)
	}
	for name, root := range map[string]mutate.Appendable{"image": img, "index": idx} {
		t.Run(name, func(t *testing.T) {
			var reqs requests
			host := reqs.serve(t)
			dir, digest := save(t, root)
			tags, err := ParseTags([]string{host + "/team/app:1", host + "/team/app:2", host + "/other:1", host + "/other:1"})
			if err != nil {
				t.Fatal(err)
			}
			if err := Push(t.Context(), dir, digest, tags, Options{}); err != nil {
				t.Fatal(err)
			}
			for _, tag := range tags {
				desc, err := remote.Get(tag)
				if err != nil {
					t.Fatal(err)
				}
				if got := desc.Digest.String(); got != digest {
					t.Errorf("%s: got %s, want %s", tag, got, digest)
				}
			}
			tagged := false
			for _, line := range reqs.log {
				byTag := strings.HasPrefix(line, "PUT") && !strings.Contains(line, "sha256:") && strings.Contains(line, "/manifests/")
				if tagged && strings.Contains(line, "/blobs/uploads/") {
					t.Errorf("a blob went out after a tag was moved: %s", line)
				}
				tagged = tagged || byTag
			}
		})
	}
}

// TestPushInsecure: a certificate that nobody knows, or none at all, has to be
// asked for.
func TestPushInsecure(t *testing.T) {
	server := httptest.NewTLSServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	img, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	dir, digest := save(t, img)
	tags, err := ParseTags([]string{strings.TrimPrefix(server.URL, "https://") + "/app:1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, opts := range []Options{{}, {Insecure: []string{"registry.example.com:5000"}}} { // of another one
		if err := Push(t.Context(), dir, digest, tags, opts); err == nil {
			t.Errorf("an unknown certificate was taken with %+v", opts)
		}
	}
	if err := Push(t.Context(), dir, digest, tags, Options{Insecure: []string{strings.TrimPrefix(server.URL, "https://")}}); err != nil {
		t.Error(err)
	}
	opts := Options{Insecure: []string{"registry.example.com:5000", "index.docker.io"}}
	for name, want := range map[string]string{"registry.example.com:5000/app:1": "http", "docker.io/team/app": "http", "registry.example.com/app:1": "https"} {
		before, err := ParseTags([]string{name})
		if err != nil {
			t.Fatal(err)
		}
		after, err := opts.named(before)
		if err != nil || before[0].Scheme() != "https" || after[0].Scheme() != want || after[0].Name() != before[0].Name() {
			t.Errorf("%s: got %v by %s, %v", name, after, after[0].Scheme(), err)
		}
	}
}

// TestPushIsOfTheScannedDigest: a digest that is not in the layout is not
// pushed, and the registry sees no write.
func TestPushIsOfTheScannedDigest(t *testing.T) {
	var reqs requests
	host := reqs.serve(t)
	img, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	dir, _ := save(t, img)
	tags, err := ParseTags([]string{host + "/app"})
	if err != nil {
		t.Fatal(err)
	}
	if err := Push(t.Context(), dir, "sha256:"+strings.Repeat("0", 64), tags, Options{}); err == nil {
		t.Error("an image was pushed that is not the one asked for")
	}
	if len(reqs.log) != 0 {
		t.Errorf("the registry was asked: %v", reqs.log)
	}
}

func TestPushRefused(t *testing.T) {
	tests := []struct {
		code int
		hint string
	}{
		{http.StatusUnauthorized, "docker login"},
		{http.StatusForbidden, "may not push"},
	}
	for _, tt := range tests {
		reqs := requests{deny: func(r *http.Request) int {
			if r.Method == http.MethodGet || r.Method == http.MethodHead {
				return 0
			}
			return tt.code
		}}
		host := reqs.serve(t)
		img, err := random.Image(64, 1)
		if err != nil {
			t.Fatal(err)
		}
		dir, digest := save(t, img)
		tags, err := ParseTags([]string{host + "/app"})
		if err != nil {
			t.Fatal(err)
		}
		err = Push(t.Context(), dir, digest, tags, Options{})
		if err == nil || !strings.Contains(strings.Join(hint.Of(err), " "), tt.hint) {
			t.Errorf("%d: got %v with hints %q, want one with %q", tt.code, err, hint.Of(err), tt.hint)
		}
	}
}

// TestPushCredentials: a name and password that were given are used.
func TestPushCredentials(t *testing.T) {
	reqs := requests{deny: func(r *http.Request) int {
		if user, pass, ok := r.BasicAuth(); !ok || user != "ci" || pass != "pw" {
			return http.StatusUnauthorized
		}
		return 0
	}}
	host := reqs.serve(t)
	img, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	dir, digest := save(t, img)
	tags, err := ParseTags([]string{host + "/app"})
	if err != nil {
		t.Fatal(err)
	}
	if err := Push(t.Context(), dir, digest, tags, Options{Username: "ci", Password: "pw"}); err != nil {
		t.Error(err)
	}
	if err := Push(t.Context(), dir, digest, tags, Options{Username: "ci", Password: "wrong"}); err == nil {
		t.Error("a wrong password was good enough")
	}
}

// TestLoginGoesToItsRegistryOnly: a password for one registry is not shown to
// another that a tag names.
func TestLoginGoesToItsRegistryOnly(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	for _, tt := range []struct {
		registry, asks string
		want           bool
	}{
		{"", "registry.example.com", true},
		{"registry.example.com", "registry.example.com", true},
		{"registry.example.com", "registry.example.com:5000", false},
		{"registry.example.com", "evil.example.com", false},
		{"docker.io", "index.docker.io", true},
		{"index.docker.io", "docker.io", true},
		{"docker.io", "registry.example.com", false},
	} {
		asks, err := name.NewRegistry(tt.asks)
		if err != nil {
			t.Fatal(err)
		}
		auth, err := login{Username: "robot", Password: "word", Registry: tt.registry}.Resolve(asks)
		if err != nil {
			t.Fatal(err)
		}
		cfg, err := auth.Authorization()
		if err != nil || (cfg.Password == "word") != tt.want {
			t.Errorf("for %q, %q asks: got password=%v, %v, want %v", tt.registry, tt.asks, cfg.Password != "", err, tt.want)
		}
	}
	if _, err := (login{Registry: "a b"}).Resolve(name.Registry{}); err == nil {
		t.Error("a registry with a blank in it is taken")
	}
}

// TestLoginForOneRepository: as docker/login-action leaves it, which is told by
// its input scope for what the login is.
func TestLoginForOneRepository(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	scoped := t.TempDir()
	for dir, text := range map[string]string{
		os.Getenv("DOCKER_CONFIG"):                                 `{"auths": {"r.example.com": {"auth": "YW55Ym9keTp4"}, "https://index.docker.io/v1/": {"auth": "YW55Ym9keTp4"}}}`,
		filepath.Join(scoped, "r.example.com", "team", "app@push"): `{"auths": {"r.example.com": {"auth": "dGVhbTp4"}}}`,
		filepath.Join(scoped, "registry-1.docker.io", "a", "b"):    `{"auths": {"https://index.docker.io/v1/": {"auth": "aHViOng="}}}`,
		filepath.Join(scoped, "r.example.com", "pulled@pull"):      `{"credsStore": "that-is-not-here"}`,
		filepath.Join(scoped, "r.example.com", "broken"):           `{`,
	} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ repo, want string }{
		{"r.example.com/team/app", "team"},
		{"r.example.com/team/other", "anybody"},
		{"s.example.com/team/app", ""},
		{"a/b", "hub"},
		{"a/c", "anybody"},
		{"r.example.com/pulled", "error"}, // no other login is tried in its place
		{"r.example.com/broken", "error"},
	} {
		repo, err := name.NewRepository(tt.repo)
		if err != nil {
			t.Fatal(err)
		}
		got := "error"
		if auth, err := pushing(scoped).Resolve(repo); err == nil {
			cfg, err := auth.Authorization()
			if err != nil {
				t.Fatal(err)
			}
			got = cfg.Username
		}
		if got != tt.want {
			t.Errorf("%s: got the login of %q, want %q's", tt.repo, got, tt.want)
		}
	}
}

func TestParseTags(t *testing.T) {
	for _, bad := range []string{"", "/app:1", "example.com//app", "UPPER/case", "a b", "app:tag:tag", "app@sha256:00"} {
		if _, err := ParseTags([]string{bad}); err == nil || len(hint.Of(err)) == 0 {
			t.Errorf("%q: got %v, want an error with a hint", bad, err)
		}
	}
}

// TestHosts: BuildKit is given a login for the registries that a push would give
// it to, and for no others.
func TestHosts(t *testing.T) {
	tags, err := ParseTags([]string{"r.example.com/team/app:1", "r.example.com/team/app:2", "app:1"})
	if err != nil {
		t.Fatal(err)
	}
	for registry, want := range map[string][]string{
		"":                {"r.example.com", "registry-1.docker.io"},
		"s.example.com":   {"s.example.com"},
		"docker.io":       {"registry-1.docker.io"},
		"index.docker.io": {"registry-1.docker.io"},
	} {
		got, err := Options{Registry: registry}.Hosts(tags)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: got %q, %v, want %q", registry, got, err, want)
		}
	}
	if _, err := (Options{Registry: "https://r.example.com"}).Hosts(tags); err == nil {
		t.Error("an address was taken for a registry")
	}
}
