//go:build linux

package securebuild_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/org/secure-build/internal/canary"
	"github.com/org/secure-build/internal/dockertest"
	"go.yaml.in/yaml/v3"
)

// A gitlabRunner is gitlab-ci-local with a Docker engine of its own.
type gitlabRunner struct {
	engine   *dockertest.Engine
	client   []string // node and gitlab-ci-local
	dir      string
	registry string
	values   map[string][]byte // of the secrets
}

// newGitLabRunner starts the engine. It has the images that the component names, and
// a registry.
func newGitLabRunner(t *testing.T) *gitlabRunner {
	t.Helper()
	tools, err := filepath.Abs("bin/tools")
	if err != nil {
		t.Fatal(err)
	}
	engine, err := dockertest.StartApart()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Stop(); err != nil {
			t.Error(err)
		}
	})
	r := &gitlabRunner{
		engine: engine, dir: t.TempDir(), registry: dockertest.Gateway + ":5000",
		values: map[string][]byte{},
	}
	modules := filepath.Join(tools, "node", "node_modules")
	if r.client, _ = filepath.Glob(filepath.Join(modules, "node-linux-*", "bin", "node")); len(r.client) != 1 {
		t.Fatalf("no node in %s (make test installs it)", modules)
	}
	r.client = append(r.client, filepath.Join(modules, "gitlab-ci-local", "dist", "index.js"))
	job, err := name.NewTag(componentDefault(t, "image"))
	if err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(r.dir, "image.tar")
	if err := tarball.WriteToFile(archive, job, ourImage(t, tools)); err != nil {
		t.Fatal(err)
	}
	r.docker(t, "load", "--quiet", "--input", archive)
	if err := dockertest.LoadBuildKit(engine, tools); err != nil {
		t.Fatal(err)
	}
	r.docker(t, "tag", dockertest.BuildKitImage, componentDefault(t, "service-image"))
	// What gitlab-ci-local moves files with.
	helper := map[string]string{"bin/bash": "bash", "bin/rsync": "rsync"}
	for _, applet := range []string{"sh", "chown", "chmod", "mkdir", "mktemp", "rm"} {
		helper["bin/"+applet] = "/bin/busybox"
	}
	err = errors.Join(dockertest.LoadPrograms(engine, "helper:1", helper),
		dockertest.LoadPrograms(engine, "registry:1", map[string]string{"bin/crane": filepath.Join(tools, "crane")}))
	if err != nil {
		t.Fatal(err)
	}
	r.docker(t, "run", "--detach", "--name", "registry", "--network", "host", "registry:1", "/bin/crane", "registry", "serve", "--address", r.registry)
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if _, err := r.engine.Docker("exec", "registry", "/bin/crane", "catalog", r.registry); err == nil {
			return r
		} else if time.Now().After(end) {
			t.Fatalf("the registry does not answer: %v", err)
		}
	}
}

func (r *gitlabRunner) docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := r.engine.Docker(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// componentDefault is the default of an input.
func componentDefault(t *testing.T, input string) string {
	t.Helper()
	text, err := os.ReadFile("gitlab-component.yml")
	if err != nil {
		t.Fatal(err)
	}
	var head struct {
		Spec struct {
			Inputs map[string]struct{ Default any }
		}
	}
	if err := yaml.NewDecoder(bytes.NewReader(text)).Decode(&head); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(head.Spec.Inputs[input].Default)
}

const pipeline = `
include:
  - local: component.yml
    inputs: {job: private, report-dir: private-report, dotenv: private.env, sops: [secrets.yaml], variables: [NPM_TOKEN, kubeconfig=KUBECONFIG],
      tags: ["$CI_REGISTRY_IMAGE:private"], push: true}
  - local: component.yml
    inputs: {job: leak, file: leaky, report-dir: leak-report, dotenv: leak.env, sops: [secrets.yaml], variables: [NPM_TOKEN, kubeconfig=KUBECONFIG],
      tags: ["$CI_REGISTRY_IMAGE/leak:1"], push: true}
  - local: component.yml
    inputs: {job: service-leak, engine: service, file: leaky, report-dir: service-leak-report, dotenv: service-leak.env, sops: [secrets.yaml],
      variables: [NPM_TOKEN, kubeconfig=KUBECONFIG], tags: ["$CI_REGISTRY_IMAGE/leak:1"], push: true}
`

const dockerfile = `FROM scratch AS base
COPY busybox /bin/sh
RUN ["/bin/sh", "--install", "-s", "/bin"]

FROM base
RUN --mount=type=secret,id=npm_token,required=true \
    --mount=type=secret,id=NPM_TOKEN,env=NPM_TOKEN,required=true \
    --mount=type=secret,id=kubeconfig,required=true \
    cat /run/secrets/kubeconfig && echo "the tokens are $(cat /run/secrets/npm_token) and $NPM_TOKEN" && date > /built
`

// example is a file of examples/gitlab, with more inputs, and with the copy of
// the component that lies in the project.
func example(t *testing.T, name, inputs string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("examples", "gitlab", name))
	if err != nil {
		t.Fatal(err)
	}
	const include, head = "  - component: $CI_SERVER_FQDN/org/secure-build/secure-build@1\n", "    inputs:\n"
	if !strings.Contains(string(text), include+head) {
		t.Fatalf("%s does not include the component", name)
	}
	return strings.Replace(string(text), include+head, "  - local: component.yml\n"+head+inputs, 1)
}

// project makes the checkout, with secrets in a SOPS file, in a variable and in
// a File variable.
func (r *gitlabRunner) project(t *testing.T) {
	t.Helper()
	dir := filepath.Join(r.dir, "app")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"token", "NPM_TOKEN", "KUBECONFIG", "npmrc"} {
		random := canary.Token
		if name == "KUBECONFIG" {
			random = canary.Document
		}
		value, err := random(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		r.values[name] = value
	}
	variables, err := yaml.Marshal(map[string]any{
		"CI_REGISTRY_IMAGE": r.registry + "/team/app", "NPM_TOKEN": string(r.values["NPM_TOKEN"]),
		"KUBECONFIG":   map[string]any{"type": "file", "values": map[string]string{"*": string(r.values["KUBECONFIG"])}},
		"SOPS_AGE_KEY": r.key(t, dir),
	})
	if err != nil {
		t.Fatal(err)
	}
	component, cerr := os.ReadFile("templates/secure-build.yml")
	busybox, berr := os.ReadFile("/bin/busybox")
	if err := errors.Join(cerr, berr); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{
		"../variables.yml": string(variables), "component.yml": string(component), ".gitlab-ci.yml": pipeline, "busybox": string(busybox),
		".gitignore": ".gitlab-ci-local\n", "Dockerfile": dockerfile,
		"dind.yml":       example(t, "dind.yml", "      variables: [NPM_TOKEN, kubeconfig=KUBECONFIG]\n"),
		"kubernetes.yml": example(t, "kubernetes.yml", "      file: cluster\n"), ".npmrc": string(r.values["npmrc"]),
		"cluster": "FROM scratch AS base\nCOPY busybox /bin/sh\nFROM base\nRUN --mount=type=secret,id=npmrc,required=true read -r line </run/secrets/npmrc; echo \"the file is $line\" >&2; echo >/built\n",
		"leaky":   dockerfile + "RUN --mount=type=secret,id=NPM_TOKEN,env=NPM_TOKEN --mount=type=secret,id=kubeconfig echo $NPM_TOKEN | base64 -w0 > /token && cp /run/secrets/kubeconfig /config\n",
		// docker, with what the runner's configuration has for jobs
		"../docker": "#!/bin/sh\ncase $1 in create) shift; set -- create $RUNNER_OPTIONS \"$@\" ;; esac\nexec docker \"$@\"\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"init", "-q", "-b", "main"}, {"remote", "add", "origin", "http://gitlab.example.com/team/app.git"}, {"add", "."},
		{"-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false", "commit", "-q", "-m", "A project"},
	} {
		if out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
}

// key makes a key, and the SOPS file that it opens.
func (r *gitlabRunner) key(t *testing.T, dir string) string {
	t.Helper()
	keys, err := exec.Command("bin/tools/age-keygen").Output()
	if err != nil {
		t.Fatal(err)
	}
	plain, err := yaml.Marshal(map[string]any{"npm": map[string]string{"token": string(r.values["token"])}})
	if err != nil {
		t.Fatal(err)
	}
	recipient := string(regexp.MustCompile(`age1\S+`).Find(keys))
	sops := exec.Command("bin/tools/sops", "encrypt", "--age", recipient, "--filename-override", "secrets.yaml", "/dev/stdin")
	sops.Stdin, sops.Env = bytes.NewReader(plain), append(withoutBuilder(os.Environ()), "HOME="+t.TempDir())
	secrets, err := sops.Output()
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "secrets.yaml"), secrets, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	key := regexp.MustCompile(`AGE-SECRET-KEY-\S+`).Find(keys)
	r.values["SOPS_AGE_KEY"] = key
	return string(key)
}

// run runs jobs, and returns what they say, which has no secret in it. As with
// a real runner, a job is the image's user if nothing else is said.
func (r *gitlabRunner) run(t *testing.T, want int, options []string, args ...string) string {
	t.Helper()
	user := "--no-umask"
	if slices.Contains(args, "--umask") {
		user = "--umask"
	}
	args = append([]string{
		r.client[1], "--color=false", "--home", filepath.Join(r.dir, "home"), "--variables-file", "../variables.yml", "--container-executable", "../docker",
		"--helper-image", "helper:1", "--json-schema-validation=false", user,
	}, args...)
	cmd := exec.Command(r.client[0], args...)
	cmd.Dir = filepath.Join(r.dir, "app")
	cmd.Env = append(withoutBuilder(os.Environ()), "DOCKER_HOST="+r.engine.Host, "DOCKER_CONTEXT=", "GIT_CONFIG_NOSYSTEM=1", "FORCE_COLOR=0", "RUNNER_OPTIONS=")
	for _, o := range options {
		cmd.Env[len(cmd.Env)-1] += " --security-opt " + o
	}
	out, err := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != want {
		t.Errorf("exit code: got %d (%v), want %d\n%s", got, err, want, out)
	}
	r.hunt(t, "the log", out)
	return string(out)
}
