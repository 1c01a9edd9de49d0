package source

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"
)

func composeFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "compose.yaml")
}

// TestEveryFieldOfBuild: a field that compose-go learns of has to be decided
// on here, since what is not translated would be dropped in silence.
func TestEveryFieldOfBuild(t *testing.T) {
	known := strings.Fields(`Context Dockerfile DockerfileInline Entitlements Args Provenance SBOM SSH Labels CacheFrom CacheTo NoCache
		NoCacheFilter AdditionalContexts Pull ExtraHosts Isolation Network Target Secrets ShmSize Tags Ulimits Platforms Privileged Extensions`)
	for _, f := range reflect.VisibleFields(reflect.TypeFor[types.BuildConfig]()) {
		if !slices.Contains(known, f.Name) {
			t.Errorf("nothing is decided on build.%s", f.Name)
		}
	}
}

func TestComposeTranslates(t *testing.T) {
	file := composeFiles(t, map[string]string{".env": "COLOR=blue\n", "compose.yaml": `
services:
  app:
    image: r.example.com/app:1
    platform: linux/arm64
    build:
      context: .
      dockerfile: Other
      target: final
      args: {COLOR: "${COLOR}", EMPTY: ""}
      tags: [r.example.com/app:2]
      labels: {a: "b=c"}
      cache_from: ["type=gha"]
      cache_to: ["type=inline"]
      no_cache: true
      no_cache_filter: [final]
      pull: true
      network: none
      shm_size: 1m
      ssh: ["default", "key=/tmp/key"]
      extra_hosts: ["h:10.0.0.1"]
      ulimits: {nproc: 5, nofile: {soft: 1, hard: 2}}
      privileged: true
      entitlements: [network.host]
      provenance: mode=max
      sbom: true
      additional_contexts: {base: docker-image://alpine}
      x-ours: 1
`})
	all, err := Compose(t.Context(), []string{file}, nil, Options{Environ: func() []string { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	got := all[0]
	dir := filepath.Dir(file)
	if want := dir; got.Context != want {
		t.Errorf("context: got %s, want %s", got.Context, want)
	}
	wantTexts := map[string]string{"target": "final", "network": "none", "provenance": "mode=max", "sbom": "true", "file": filepath.Join(dir, "Other"), "shm-size": "1048576"}
	if diff := cmp.Diff(wantTexts, got.Texts); diff != "" {
		t.Errorf("texts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]bool{"no-cache": true, "pull": true}, got.Bools); diff != "" {
		t.Errorf("bools (-want +got):\n%s", diff)
	}
	wantLists := map[string][]string{
		"platform": {"linux/arm64"}, "cache-from": {"type=gha"}, "cache-to": {"type=inline"}, "no-cache-filter": {"final"}, "label": {"a=b=c"},
		"build-context": {"base=docker-image://alpine"}, "allow": {"network.host", "security.insecure"}, "build-arg": {"COLOR=blue", "EMPTY="},
		"tag": {"r.example.com/app:1", "r.example.com/app:2"}, "ssh": {"default", "key=/tmp/key"}, "add-host": {"h=10.0.0.1"},
		"ulimit": {"nofile=1:2", "nproc=5"},
	}
	if diff := cmp.Diff(wantLists, got.Lists); diff != "" {
		t.Errorf("lists (-want +got):\n%s", diff)
	}
	if want := []string{"build.x-ours is not read"}; !slices.Equal(got.Warnings, want) {
		t.Errorf("warnings: got %q, want %q", got.Warnings, want)
	}
}

// TestDotenvSetsNoIdentity holds I10: .env gives the secrets that the Compose
// file names and nothing that decides where keys go.
func TestDotenvSetsNoIdentity(t *testing.T) {
	file := composeFiles(t, map[string]string{".env": "VAULT_ADDR=https://evil.example.com\nTOKEN=from the file\n", "compose.yaml": `
services:
  app: {build: {context: ., secrets: [a, b]}}
secrets:
  a: {environment: VAULT_ADDR}
  b: {environment: TOKEN}
`})
	all, err := Compose(t.Context(), []string{file}, nil, Options{Environ: func() []string { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	opts := all[0].Options(Options{LookupEnv: func(string) (string, bool) { return "", false }})
	if opts.hasEnv("VAULT_ADDR") || opts.env("VAULT_ADDR") != "" {
		t.Error("a key service is named by .env")
	}
	set, err := Load(t.Context(), all[0].Refs, opts)
	if err != nil {
		t.Fatal(err)
	}
	if sec, ok := set.Get("b"); !ok || string(sec.Reveal()) != "from the file" {
		t.Errorf("got %v, want the value in .env", ok)
	}
}

func TestComposeProfiles(t *testing.T) {
	file := composeFiles(t, map[string]string{"compose.yaml": `
services:
  a: {build: .}
  b: {build: ., profiles: [dev]}
  c: {image: x}
`})
	for _, tt := range []struct {
		profiles string
		names    []string
		want     string
	}{{"", nil, "a"}, {"dev", nil, "a b"}, {"", []string{"b"}, "b"}, {"", []string{"b", "a", "b"}, "a b"}, {"*", nil, "a b"}} {
		all, err := Compose(t.Context(), []string{file}, tt.names, Options{Environ: func() []string { return nil },
			LookupEnv: func(name string) (string, bool) { return tt.profiles, name == "COMPOSE_PROFILES" }})
		if err != nil {
			t.Fatal(err)
		}
		if got := namesOf(all); got != tt.want {
			t.Errorf("profiles %q, names %q: got %s, want %s", tt.profiles, tt.names, got, tt.want)
		}
	}
}

func namesOf(services []Service) string {
	var all []string
	for _, s := range services {
		all = append(all, s.Name)
	}
	return strings.Join(all, " ")
}

// TestComposeProfilesOfDotenv: .env switches profiles on as it does for docker
// compose, unless the environment says which.
func TestComposeProfilesOfDotenv(t *testing.T) {
	file := composeFiles(t, map[string]string{".env": "COMPOSE_PROFILES=dev,test\n", "compose.yaml": `
services:
  a: {build: .}
  b: {build: ., profiles: [dev]}
  c: {build: ., profiles: [other]}
`})
	for _, tt := range []struct {
		set  bool
		want string
	}{{false, "a b"}, {true, "a c"}} {
		all, err := Compose(t.Context(), []string{file}, nil, Options{Environ: func() []string { return nil },
			LookupEnv: func(name string) (string, bool) { return "other", tt.set && name == "COMPOSE_PROFILES" }})
		if err != nil {
			t.Fatal(err)
		}
		if got := namesOf(all); got != tt.want {
			t.Errorf("set in the environment %v: got %s, want %s", tt.set, got, tt.want)
		}
	}
}

// TestBlankVariables: a variable that is set nowhere is blank, and said to be.
func TestBlankVariables(t *testing.T) {
	file := composeFiles(t, map[string]string{".env": "SET=1\n", "compose.yaml": `
services:
  app:
    image: "r.example.com/app:1${B_SUFFIX}"
    build: {context: ., args: {A: "$A_PLAIN$SET", B: "${WITH:-default}${ALSO+x}", C: "$$ESCAPED", D: "${EMPTY}", E: "${OR:-$NESTED}"}}
`})
	all, err := Compose(t.Context(), []string{file}, nil, Options{Environ: func() []string { return []string{"EMPTY="} }})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"variables that the Compose file names are not set, and blank: A_PLAIN, B_SUFFIX"}; !slices.Equal(all[0].Warnings, want) {
		t.Errorf("got %q, want %q", all[0].Warnings, want)
	}
	if want := []string{"A=1", "B=default", "C=$ESCAPED", "D=", "E="}; !slices.Equal(all[0].Lists["build-arg"], want) {
		t.Errorf("got %q, want %q", all[0].Lists["build-arg"], want)
	}
}

// TestDamagedSOPSFileIsNotMounted holds I1: what SOPS wrote and cannot be read
// is an error, and no plain file.
func TestDamagedSOPSFileIsNotMounted(t *testing.T) {
	file := composeFiles(t, map[string]string{"s.yaml": "token: ENC[AES256_GCM,data:AAAA\n", "compose.yaml": `
services:
  app: {build: {context: ., secrets: [s]}}
secrets:
  s: {file: s.yaml}
`})
	all, err := Compose(t.Context(), []string{file}, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Load(t.Context(), all[0].Refs, all[0].Options(Options{LookupEnv: func(string) (string, bool) { return "", false }})); err == nil {
		t.Error("got no error")
	}
}

// TestServiceNameIsAFolder: the reports of a service go into a folder of its name,
// below the one that the job says.
func TestServiceNameIsAFolder(t *testing.T) {
	for name, want := range map[string]string{".": "is no name for a folder", "..": "is no name for a folder", "...": "", "a..b": "", ".a": ""} {
		file := composeFiles(t, map[string]string{"compose.yaml": "services: {'" + name + "': {build: .}}"})
		_, err := Compose(t.Context(), []string{file}, nil, Options{Environ: func() []string { return nil }})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
}
