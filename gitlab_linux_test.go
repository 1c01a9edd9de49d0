//go:build linux

package securebuild_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/org/secure-build/internal/canary"
	"github.com/org/secure-build/internal/dockertest"
	"go.yaml.in/yaml/v3"
)

// TestComponentInContainers runs the component's jobs as a GitLab runner with
// the docker executor does: in our own image, with BuildKit in the job, in a
// service container beside it (the example for docker:dind's runners) or
// elsewhere, with certificates (the example for Kubernetes).
func TestComponentInContainers(t *testing.T) {
	r := newGitLabRunner(t)
	r.project(t)
	options := securityOptions(t)

	t.Run("private", func(t *testing.T) {
		out := r.run(t, 1, options, "private", "leak")
		expect(t, out, "> pushed "+r.registry+"/team/app:private@sha256:", "the tokens are [masked:npm_token] and [masked:NPM_TOKEN]",
			"[masked:kubeconfig]", "PASS  private", "leaked: 2 secrets in the image", "FAIL 2")
		r.reports(t, "private", "clean")
		r.reports(t, "leak", "leaked")
	})
	t.Run("service", func(t *testing.T) {
		out := r.run(t, 0, nil, "--privileged", "--file", "dind.yml", "secure-build")
		expect(t, out, "> pushed "+r.registry+"/team/app:latest@sha256:", "started service image: docker.io/moby/buildkit:")
		r.reports(t, "secure-build", "clean")
		out = r.run(t, 1, nil, "--privileged", "service-leak")
		expect(t, out, "leaked: 2 secrets in the image", "FAIL 2")
		r.reports(t, "service-leak", "leaked")
	})
	t.Run("elsewhere", func(t *testing.T) {
		certificates := r.daemon(t, "buildkitd.ci.svc")
		out := r.run(t, 0, nil, "--file", "kubernetes.yml", "--extra-host", "buildkitd.ci.svc:"+dockertest.Gateway, "--volume", certificates+":/certs/client:ro", "secure-build")
		expect(t, out, "the file is [masked:npmrc]", "> pushed "+r.registry+"/team/app:")
		r.reports(t, "secure-build", "clean")
	})
	t.Run("as root", func(t *testing.T) {
		out := r.run(t, 0, options, "--umask", "private")
		expect(t, out, "> pushed "+r.registry+"/team/app:private@sha256:")
	})
	for name, tt := range map[string]struct {
		options []string
		ok      bool
	}{
		"as documented":     {options, true},
		"as Docker has it":  {nil, false},
		"no-new-privileges": {append(slices.Clone(options), "no-new-privileges"), false},
	} {
		t.Run(name, func(t *testing.T) { r.starts(t, tt.options, tt.ok) })
	}
	if got, want := r.written(t), []string{"team/app"}; !slices.Equal(got, want) {
		t.Errorf("repositories that were written to: got %q, want %q", got, want)
	}
}

// daemon starts a BuildKit that is not the job's, under a name, and returns a
// folder with what a client has to show.
func (r *gitlabRunner) daemon(t *testing.T, host string) (certificates string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	// One certificate is the authority, the daemon and its client.
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{host}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, cerr := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	key, kerr := x509.MarshalPKCS8PrivateKey(private)
	dir := filepath.Join(r.dir, "certificates")
	err = errors.Join(cerr, kerr, os.Mkdir(dir, 0o755))
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, data := range map[string][]byte{"ca.pem": certificate, "cert.pem": certificate, "key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})} {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), data, 0o644)) // the job is another user
	}
	if err != nil {
		t.Fatal(err)
	}
	r.docker(t, "run", "--detach", "--privileged", "--network", "host", "--volume", dir+":/certs:ro", dockertest.BuildKitImage,
		"--addr", "tcp://"+dockertest.Gateway+":1234", "--tlscacert", "/certs/ca.pem", "--tlscert", "/certs/cert.pem", "--tlskey", "/certs/key.pem")
	return dir
}

// securityOptions are those that docs/gitlab.md tells to put into the runner's
// configuration.
func securityOptions(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("docs/gitlab.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("`security_opt = (\\[.*?\\])`").FindSubmatch(text)
	if row == nil {
		t.Fatal("docs/gitlab.md does not say what a runner needs")
	}
	var options []string
	if err := yaml.Unmarshal(row[1], &options); err != nil {
		t.Fatal(err)
	}
	return options
}

// starts says that BuildKit starts in a job with these options, or what to do.
func (r *gitlabRunner) starts(t *testing.T, options []string, want bool) {
	t.Helper()
	args := []string{"run", "--rm"}
	for _, o := range options {
		args = append(args, "--security-opt", o)
	}
	args = append(args, componentDefault(t, "image"), "sh", "-c", `cd && printf 'FROM scratch\nCOPY Dockerfile /\n' >Dockerfile && secure-build build . 2>&1`)
	out, err := r.engine.Docker(args...)
	const advice = "secure-build: hint: this container may not make user namespaces: a runner needs security_opt"
	if want && err != nil || !want && (err == nil || !strings.Contains(err.Error(), advice)) {
		t.Errorf("got %v, want BuildKit to start: %v\n%s", err, want, out)
	}
}

// hunt looks for the secrets in all encodings.
func (r *gitlabRunner) hunt(t *testing.T, where string, text []byte) {
	t.Helper()
	for id, value := range r.values {
		for _, form := range canary.Forms(value) {
			if form.Shows(text) {
				t.Errorf("%s shows %s in %s", where, id, form.Name)
			}
		}
	}
}

// reports holds what a job leaves to GitLab to its verdict.
func (r *gitlabRunner) reports(t *testing.T, job, verdict string) {
	t.Helper()
	dir := filepath.Join(r.dir, "app", ".gitlab-ci-local", "artifacts", job)
	for file, want := range map[string]string{
		job + "-report/findings.json": `"verdict": "` + verdict + `"`, job + "-report/gl-secret-detection.json": `"vulnerabilities"`,
		job + "-report/gl-codequality.json": "[", ".gitlab-ci-reports/dotenv/" + job + ".env": "SECURE_BUILD_VERDICT=" + verdict + "\n",
	} {
		text, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %v, or it does not say %s:\n%s", file, err, want, text)
		}
		r.hunt(t, file, text)
	}
}

// written lists the repositories that the registry was sent something for.
func (r *gitlabRunner) written(t *testing.T) []string {
	t.Helper()
	log := r.docker(t, "logs", "registry")
	var repositories []string
	for _, request := range regexp.MustCompile(`(?:PUT|POST|PATCH) /v2/(\S+?)/(?:blobs|manifests)/`).FindAllStringSubmatch(log, -1) {
		repositories = append(repositories, request[1])
	}
	slices.Sort(repositories)
	return slices.Compact(repositories)
}

func expect(t *testing.T, out string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
}
