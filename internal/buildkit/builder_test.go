package buildkit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/org/secure-build/internal/hint"
)

// buildxFiles are what buildx keeps, as it wrote them (v0.37.0).
var buildxFiles = map[string]string{
	"instances/container": `{"Name":"container","Driver":"docker-container","Nodes":[{"Name":"container0","Endpoint":"unix:///var/run/docker.sock","Platforms":null,"DriverOpts":null,"Flags":["--allow-insecure-entitlement=network.host"],"Files":null}],"Dynamic":false}`,
	"instances/context":   `{"Name":"context","Driver":"docker-container","Nodes":[{"Name":"context0","Endpoint":"far","Platforms":null}]}`,
	"instances/far":       `{"Name":"far","Driver":"remote","Nodes":[{"Name":"far0","Endpoint":"tcp://far:1234","Platforms":[{"architecture":"arm64","os":"linux","variant":"v8"},{"architecture":"arm","os":"linux","variant":"v7"}],"DriverOpts":{"cacert":"/c/ca.pem","cert":"/c/cert.pem","key":"/c/key.pem","servername":"far.example"}},{"Name":"far1","Endpoint":"tcp://near:1234","Platforms":[{"architecture":"amd64","os":"linux"}]}]}`,
	"instances/pods":      `{"Name":"pods","Driver":"kubernetes","Nodes":[{"Name":"pods0","Endpoint":"kubernetes:///pods?deployment=buildkit-x&kubeconfig=","DriverOpts":{"namespace":"ci"}}]}`,
	"instances/moby":      `{"Name":"moby","Driver":"docker","Nodes":[{"Name":"moby","Endpoint":"default"}]}`,
	"instances/strange":   `{"Name":"strange","Driver":"steam","Nodes":[{"Name":"s"}]}`,
	"instances/empty":     `{"Name":"empty","Driver":"remote","Nodes":[]}`,
	"instances/broken":    `{`,
}

func buildxConfig(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range buildxFiles {
		write(t, filepath.Join(dir, name), text)
	}
	return dir
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestBuildxBuilders(t *testing.T) {
	dir := buildxConfig(t)
	bin := t.TempDir()
	write(t, filepath.Join(bin, "kubectl"), "#!/bin/sh\n"+`[ "$*" = "get pods --selector app=buildkit-x --field-selector status.phase=Running --output jsonpath={.items[0].metadata.name} --request-timeout 15s --namespace ci" ] && [ -z "$SOPS_AGE_KEY" ] && printf buildkit-x-7f`)
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	t.Setenv("SOPS_AGE_KEY", "not for kubectl")
	for _, tt := range []struct {
		name string
		want []node
		err  string
	}{
		{"container", []node{{
			name: "container/container0", address: "docker-container://buildx_buildkit_container0", container: "buildx_buildkit_container0",
			engine: []string{"--host", "unix:///var/run/docker.sock"},
		}}, ""},
		{"context", []node{{
			name: "context/context0", address: "docker-container://buildx_buildkit_context0", container: "buildx_buildkit_context0",
			engine: []string{"--context", "far"},
		}}, ""},
		{"far", []node{
			{name: "far/far0", address: "tcp://far:1234", platforms: []string{"linux/arm64", "linux/arm/v7"}, serverName: "far.example", ca: "/c/ca.pem", cert: "/c/cert.pem", key: "/c/key.pem"},
			{name: "far/far1", address: "tcp://near:1234", platforms: []string{"linux/amd64"}},
		}, ""},
		{"FAR", nil, ""}, // buildx knows names in lower case
		{"pods", []node{{name: "pods/pods0", address: "kube-pod://buildkit-x-7f?namespace=ci"}}, ""},
		{"moby", nil, "its driver is docker"},
		{"default", nil, "using the builder default: its driver is docker"},
		{"strange", nil, `its driver "steam" is not known`},
		{"empty", nil, "it has no nodes"},
		{"broken", nil, "reading the builder broken"},
		{"nobody", nil, `there is no "nobody"`},
		{"../instances/far", nil, "neither an address nor a name"},
	} {
		b, err := readInstance(dir, tt.name)
		var got []node
		if err == nil {
			got, err = b.nodes(t.Context())
		}
		if !says(err, tt.err) {
			t.Errorf("%s: got error %v, want %q", tt.name, err, tt.err)
		} else if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(node{})); diff != "" && tt.want != nil {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// TestSilentKubectl: a kubectl that does not answer, or leaves a child behind
// that holds its output, is an error in bounded time.
func TestSilentKubectl(t *testing.T) {
	for _, script := range []string{"exec sleep 200", "sleep 20 & exec sleep 200", "trap '' TERM; sleep 20; sleep 200"} {
		bin := t.TempDir()
		write(t, filepath.Join(bin, "kubectl"), "#!/bin/sh\n"+script+"\n")
		t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
		began := time.Now()
		_, err := podOf(t.Context(), 200*time.Millisecond, "pods0", "kubernetes:///pods?deployment=buildkit-x", "ci")
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%s: got an answer after %v", script, took)
		}
		if !says(err, "finding a pod of buildkit-x: kubectl has not answered in 200ms") || len(hint.Of(err)) == 0 {
			t.Errorf("%s: got %v", script, err)
		}
	}
}

func TestCurrentBuilder(t *testing.T) {
	for name, tt := range map[string]struct {
		files map[string]string
		env   map[string]string
		want  string
	}{
		"nothing":               {},
		"current":               {files: map[string]string{"current": `{"Key":"unix:///var/run/docker.sock","Name":"a","Global":false}`}, want: "a"},
		"of another engine":     {files: map[string]string{"current": `{"Key":"tcp://other:1","Name":"a","Global":false}`}},
		"global":                {files: map[string]string{"current": `{"Key":"tcp://other:1","Name":"a","Global":true}`}, want: "a"},
		"of DOCKER_HOST":        {files: map[string]string{"current": `{"Key":"tcp://h:1","Name":"a"}`}, env: map[string]string{"DOCKER_HOST": "tcp://h:1"}, want: "a"},
		"of a context":          {files: map[string]string{"current": `{"Key":"far","Name":"a"}`}, env: map[string]string{"DOCKER_CONTEXT": "far"}, want: "a"},
		"of the config's":       {files: map[string]string{"current": `{"Key":"far","Name":"a"}`, "docker/config.json": `{"currentContext":"far"}`}, want: "a"},
		"default of the engine": {files: map[string]string{"current": `{"Key":"unix:///var/run/docker.sock"}`, "defaults/13c4025c96f36e94b348": "b"}, want: "b"},
		"BUILDX_BUILDER":        {files: map[string]string{"current": `{"Key":"unix:///var/run/docker.sock","Name":"a"}`}, env: map[string]string{"BUILDX_BUILDER": "c"}, want: "c"},
		"broken":                {files: map[string]string{"current": "{"}},
		"removed":               {files: map[string]string{"current": `{"Key":"unix:///var/run/docker.sock","Name":"gone"}`}},
		"removed, but a default": {files: map[string]string{
			"current": `{"Key":"unix:///var/run/docker.sock","Name":"gone"}`, "defaults/13c4025c96f36e94b348": "b",
		}, want: "b"},
		"removed default": {files: map[string]string{"defaults/13c4025c96f36e94b348": "gone"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, name := range []string{"a", "b"} {
				write(t, filepath.Join(dir, "instances", name), "{}")
			}
			for file, text := range tt.files {
				write(t, filepath.Join(dir, file), text)
			}
			getenv := func(name string) string {
				if name == "DOCKER_CONFIG" {
					return filepath.Join(dir, "docker")
				}
				return tt.env[name]
			}
			if got := currentBuilder(dir, getenv); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestDealing: each platform goes to the builder that names it, or else to the
// one that names none.
func TestDealing(t *testing.T) {
	arm, any := &Engine{Address: "arm", platforms: []string{"linux/arm64"}, named: true}, &Engine{Address: "any"}
	// Nodes of buildx: what each can do was asked for.
	both := []string{"linux/amd64", "linux/386"}
	near := &Engine{Address: "near", can: both}
	far := &Engine{Address: "far", can: []string{"linux/arm64", "linux/arm/v7"}, platforms: []string{"linux/riscv64"}}
	for _, tt := range []struct {
		first  *Engine
		others []*Engine
		wanted string
		want   string
		err    string
	}{
		{arm, []*Engine{any}, "linux/amd64 linux/arm64", "arm:linux/arm64 any:linux/amd64", ""},
		{any, []*Engine{arm}, "linux/amd64 linux/s390x", "any:linux/amd64,linux/s390x", ""},
		{arm, []*Engine{any}, "", "arm:linux/arm64", ""},
		{arm, nil, "linux/amd64", "", "no builder was named for it"},
		{near, []*Engine{far}, "linux/arm64 linux/amd64 linux/riscv64", "near:linux/amd64 far:linux/arm64,linux/riscv64", ""},
		{far, []*Engine{near}, "linux/386", "near:linux/386", ""},
		{near, []*Engine{near, far}, "linux/amd64", "near:linux/amd64", ""},
		{near, []*Engine{far}, "linux/s390x", "near:linux/s390x", ""}, // which will say that it can not
		{near, []*Engine{far}, "", "near:", ""},
	} {
		e := *tt.first
		e.others = tt.others
		dealt, err := e.shares(strings.Fields(tt.wanted))
		var got []string
		for _, s := range dealt {
			got = append(got, s.engine.Address+":"+strings.Join(s.platforms, ","))
		}
		if !says(err, tt.err) || strings.Join(got, " ") != tt.want {
			t.Errorf("%s: got %v, %v; want %s, %q", tt.wanted, got, err, tt.want, tt.err)
		}
	}
}
