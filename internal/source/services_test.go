package source

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/org/secure-build/internal/hint"
)

const (
	testARN = "arn:aws:kms:eu-west-1:123456789012:key/612d5f0d-01ab-45e6-aca6-a5b005693a48"
	testGCP = "projects/p/locations/global/keyRings/r/cryptoKeys/k"
)

// setAll sets variables for the SDKs, which read the process' own, and for us.
func (w *world) setAll(t *testing.T, env map[string]string) {
	for name, value := range env {
		t.Setenv(name, value)
		w.env[name] = value
	}
	delete(w.env, "SOPS_AGE_KEY")
}

// loadWith loads with opts, for checkExtracts.
func (w *world) loadWith(opts Options) func(lines ...string) map[string]string {
	return func(lines ...string) map[string]string {
		w.t.Helper()
		set, err := loadLines(opts, lines...)
		if err != nil {
			w.t.Fatalf("%v; hints: %q", err, hint.Of(err))
		}
		return values(set)
	}
}

// awsEnv is what makes the AWS SDK ask the stand-in and nobody else.
func awsEnv(s *standIn, dir string) map[string]string {
	return map[string]string{
		"AWS_ENDPOINT_URL": s.server.URL, "AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "x",
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": dir + "/none", "AWS_SHARED_CREDENTIALS_FILE": dir + "/none",
	}
}

func TestAWSKMS(t *testing.T) {
	s, w := awsKMS(t), newWorld(t)
	w.setAll(t, awsEnv(s, w.dir))
	opts := w.options()
	opts.AllowKeySource = []string{"arn:aws:kms:eu-west-1:123456789012:*"}
	w.checkExtracts(w.loadWith(opts), "--kms", testARN, "--encryption-context", "env:prod,team:a")

	w.encrypt("s.yaml", testPlain, "--kms", testARN, "--encryption-context", "env:prod,team:a")
	s.calls()
	want := []string{"TrentService.Decrypt " + testARN + ` {"env":"prod","team":"a"}`}
	if _, err := loadLines(opts, "x=s.yaml", "y=s.yaml#db.user", "s.yaml"); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(want, s.calls()); diff != "" {
		t.Errorf("a file that three refs name is decrypted once (-want +got):\n%s", diff)
	}

	// The same file without a permission: nobody is asked.
	opts.AllowKeySource = []string{"arn:aws:kms:eu-west-1:999999999999:*"}
	checkRefusal(t, opts, s, testARN)

	// A role to assume is the file's wish too.
	const role = "arn:aws:iam::123456789012:role/ci"
	opts.AllowKeySource = []string{testARN, role}
	w.encrypt("s.yaml", testPlain, "--kms", testARN+"+"+role)
	s.calls()
	if _, err := loadLines(opts, "s.yaml"); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"AssumeRole " + role, "TrentService.Decrypt " + testARN + " {}"}, s.calls()); diff != "" {
		t.Errorf("with a role (-want +got):\n%s", diff)
	}
	opts.AllowKeySource = []string{testARN}
	checkRefusal(t, opts, s, role)

	// A context that was changed is not the key's.
	w.encrypt("s.yaml", testPlain, "--kms", testARN, "--encryption-context", "env:prod,team:a")
	w.write("s.yaml", strings.Replace(w.read("s.yaml"), "team: a", "team: b", 1))
	opts.AllowKeySource = []string{testARN}
	_, err := loadLines(opts, "s.yaml")
	if err == nil || !strings.Contains(err.Error(), "no key fits: it is encrypted for "+testARN) || !strings.Contains(err.Error(), "AccessDeniedException") {
		t.Errorf("got %v", err)
	}
}

// checkRefusal holds that s.yaml is refused with the flag in the hint, before
// anyone was asked.
func checkRefusal(t *testing.T, opts Options, s *standIn, source string) {
	t.Helper()
	s.calls()
	_, err := loadLines(opts, "s.yaml")
	if err == nil {
		t.Fatal("no error")
	}
	want := "decrypting s.yaml: refusing to ask a key source that only the file names: " + source
	hints := strings.Join(hint.Of(err), "\n")
	if err.Error() != want || !strings.Contains(hints, "--allow-key-source "+source) {
		t.Errorf("got %q (hint %q), want %q", err, hints, want)
	}
	if asked := s.calls(); asked != nil {
		t.Errorf("it was asked all the same: %q", asked)
	}
}

func TestVault(t *testing.T) {
	s, w := vaultTransit(t), newWorld(t)
	w.setAll(t, map[string]string{"VAULT_ADDR": s.server.URL, "VAULT_TOKEN": "test-token", "HOME": w.dir})
	w.checkExtracts(w.loadWith(w.options()), "--hc-vault-transit", s.server.URL+"/v1/transit/keys/build")

	// VAULT_ADDR is another server: this one is a stranger.
	w.env["VAULT_ADDR"] = "https://vault.example.com"
	checkRefusal(t, w.options(), s, s.server.URL)

	opts := w.options()
	opts.AllowKeySource = []string{s.server.URL + "/"}
	if _, err := loadLines(opts, "s.yaml"); err != nil {
		t.Error(err)
	}
}

func TestGCPKMS(t *testing.T) {
	s, w := gcpKMS(t), newWorld(t)
	w.setAll(t, map[string]string{
		"SOPS_GCP_KMS_ENDPOINT": s.server.URL, "SOPS_GCP_KMS_CLIENT_TYPE": "rest", "GOOGLE_OAUTH_ACCESS_TOKEN": "test-token",
	})
	opts := w.options()
	opts.AllowKeySource = []string{"projects/p/*"}
	w.checkExtracts(w.loadWith(opts), "--gcp-kms", testGCP)

	checkRefusal(t, w.options(), s, testGCP)
	w.env["SOPS_GCP_KMS_IDS"] = "projects/a/b," + testGCP
	if _, err := loadLines(w.options(), "s.yaml"); err != nil {
		t.Error(err)
	}
}

// A file that an age key opens as well is read without asking the stranger.
func TestI10AgeBesideStranger(t *testing.T) {
	s, w := vaultTransit(t), newWorld(t)
	t.Setenv("VAULT_TOKEN", "test-token")
	w.env["VAULT_TOKEN"] = "test-token"
	w.encrypt("s.yaml", testPlain, "--hc-vault-transit", s.server.URL+"/v1/transit/keys/build", "--age", w.id.Recipient().String())
	s.calls()
	w.mustLoad("s.yaml")
	if asked := s.calls(); asked != nil {
		t.Errorf("the stranger was asked: %q", asked)
	}

	// Nor is one asked that is allowed: what needs nobody comes first.
	w.env["VAULT_ADDR"] = s.server.URL
	w.mustLoad("s.yaml")
	if asked := s.calls(); asked != nil {
		t.Errorf("the Vault was asked without need: %q", asked)
	}
	delete(w.env, "VAULT_ADDR")

	// Without the age key both are named, and still nobody is asked.
	delete(w.env, "SOPS_AGE_KEY")
	_, err := w.load("s.yaml")
	hints := strings.Join(hint.Of(err), "\n")
	if err == nil || !strings.Contains(err.Error(), "no key fits") || !strings.Contains(hints, "--allow-key-source "+s.server.URL) || !strings.Contains(hints, "SOPS_AGE_KEY") {
		t.Errorf("got %v (hints %q)", err, hints)
	}
	if asked := s.calls(); asked != nil {
		t.Errorf("the stranger was asked: %q", asked)
	}
}
