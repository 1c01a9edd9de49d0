package source

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/secret"
)

const (
	testRole     = "arn:aws:iam::123456789012:role/build"
	testProvider = "projects/42/locations/global/workloadIdentityPools/ci/providers/github"
	testAccount  = "build@p.iam.gserviceaccount.com"
)

// awsIdentity is AWS as a job sees it that has no key: STS exchanges a token
// for credentials, and KMS takes those and no others.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
func awsIdentity(t *testing.T, i *issuer, audience string) *standIn {
	return newStandIn(t, func(s *standIn, r *http.Request, body map[string]any) (any, error) {
		if r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
			if r.Header.Get("X-Amz-Security-Token") != "session-canary" {
				t.Errorf("KMS is asked without the session's token: %v", r.Header)
			}
			s.user = "WEB"
			return serveKMS(s, r, body)
		}
		var policy struct {
			Statement []struct{ Action []string }
		}
		switch err := json.Unmarshal([]byte(r.FormValue("Policy")), &policy); {
		case r.Method != http.MethodPost || r.Header.Get("Authorization") != "" || r.FormValue("Action") != "AssumeRoleWithWebIdentity" || r.FormValue("Version") != "2011-06-15":
			t.Errorf("unexpected request: %s %s %v %v", r.Method, r.URL, r.Form, r.Header)
		case !regexp.MustCompile(`^[\w+=,.@-]{2,64}$`).MatchString(r.FormValue("RoleSessionName")) || r.FormValue("DurationSeconds") != "900":
			t.Errorf("not what STS takes: %v", r.Form)
		case err != nil || len(r.FormValue("Policy")) > 2048 || len(policy.Statement) != 1 || !slices.Equal(policy.Statement[0].Action, []string{"kms:Decrypt", "sts:AssumeRole"}):
			t.Errorf("unexpected policy %q (%v)", r.FormValue("Policy"), err)
		}
		s.log("AssumeRoleWithWebIdentity %s", r.FormValue("RoleArn"))
		if err := i.verify(r.FormValue("WebIdentityToken"), audience); err != nil {
			return nil, fmt.Errorf("InvalidIdentityToken: %w", err)
		}
		if r.FormValue("RoleArn") != testRole {
			return nil, fmt.Errorf("not authorized to perform sts:AssumeRoleWithWebIdentity")
		}
		return `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>` +
			`<Credentials><AccessKeyId>AKIAWEB</AccessKeyId><SecretAccessKey>secret-canary</SecretAccessKey><SessionToken>session-canary</SessionToken></Credentials>` +
			`</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`, nil
	})
}

// gcpIdentity is Google's STS and the IAM credentials API.
func gcpIdentity(t *testing.T, i *issuer) *standIn {
	return newStandIn(t, func(s *standIn, r *http.Request, body map[string]any) (any, error) {
		s.log("%s", r.URL.Path)
		if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("unexpected request: %s %s %v", r.Method, r.URL, r.Header)
		}
		switch r.URL.Path {
		case "/v1/token":
			token, _ := body["subjectToken"].(string)
			delete(body, "subjectToken")
			want := map[string]any{
				"audience": "//iam.googleapis.com/" + testProvider, "grantType": "urn:ietf:params:oauth:grant-type:token-exchange",
				"requestedTokenType": "urn:ietf:params:oauth:token-type:access_token", "subjectTokenType": "urn:ietf:params:oauth:token-type:jwt",
				"scope": "https://www.googleapis.com/auth/cloud-platform",
			}
			if diff := cmp.Diff(want, body); diff != "" || r.Header.Get("Authorization") != "" {
				t.Errorf("unexpected exchange (-want +got):\n%s", diff)
			}
			if err := i.verify(token, "https://iam.googleapis.com/"+testProvider); err != nil {
				return nil, fmt.Errorf("invalid_grant: %w", err)
			}
			return map[string]any{"access_token": "federated-canary", "issued_token_type": "urn:ietf:params:oauth:token-type:access_token", "token_type": "Bearer", "expires_in": 3599}, nil
		case "/v1/projects/-/serviceAccounts/" + testAccount + ":generateAccessToken":
			if r.Header.Get("Authorization") != "Bearer federated-canary" || body["lifetime"] != "900s" || fmt.Sprint(body["scope"]) != "[https://www.googleapis.com/auth/cloudkms]" {
				t.Errorf("unexpected impersonation: %v %v", r.Header, body)
			}
			return map[string]any{"accessToken": "test-token", "expireTime": "2099-01-01T00:00:00Z"}, nil
		}
		t.Errorf("unexpected request: %s", r.URL)
		return nil, fmt.Errorf("no such method")
	})
}

// vaultIdentity is a Vault with the JWT method, bound to the organization.
func vaultIdentity(t *testing.T, i *issuer, path, audience string) *standIn {
	return newStandIn(t, func(s *standIn, r *http.Request, body map[string]any) (any, error) {
		if !strings.HasPrefix(r.URL.Path, "/v1/auth/") {
			return serveTransit(s, r, body)
		}
		s.log("%s %s %v", r.Method, r.URL.Path, body["role"])
		if r.URL.Path != "/v1/auth/"+path+"/login" || r.Header.Get("X-Vault-Token") != "" || len(body) != 2 {
			t.Errorf("unexpected login: %s %v %v", r.URL, r.Header, body)
		}
		token, _ := body["jwt"].(string)
		if err := i.verify(token, audience); err != nil || body["role"] != "build" {
			return nil, fmt.Errorf("error validating token: %w", err)
		}
		return map[string]any{"auth": map[string]any{"client_token": "test-token", "lease_duration": 600}}, nil
	})
}

// hiddenValues are the values that are masked and cannot be mounted, but for the
// world's own identity.
func hiddenValues(set secret.Set) map[string]string {
	all := map[string]string{}
	for _, s := range set.Searched() {
		if _, mounted := set.Get(s.ID()); !mounted && s.ID() != "SOPS_AGE_KEY" {
			all[s.Origin()] = string(s.Reveal())
		}
	}
	return all
}

// noKeys takes the keys away by which the files were encrypted.
func (w *world) noKeys(t *testing.T) {
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "GOOGLE_OAUTH_ACCESS_TOKEN", "VAULT_TOKEN"} {
		t.Setenv(name, "")
		delete(w.env, name)
	}
}

func TestKeylessAWS(t *testing.T) {
	i, w := newIssuer(t), newWorld(t)
	w.setAll(t, awsEnv(awsKMS(t), w.dir))
	w.encrypt("s.yaml", testPlain, "--kms", testARN)
	w.encrypt("other.json", `{"a": "CANARY"}`, "--kms", testARN)
	w.noKeys(t)
	s := awsIdentity(t, i, "sts.amazonaws.com")
	w.setAll(t, i.env())
	w.setAll(t, map[string]string{"AWS_ENDPOINT_URL": s.server.URL})
	opts := w.options()
	opts.AllowKeySource, opts.Keyless.AWSRole = []string{testARN}, testRole
	before := os.Environ()
	set, err := loadLines(opts, "s.yaml#db.password", "other.json")
	if err != nil {
		t.Fatalf("%v (hints %q)", err, hint.Of(err))
	}
	if diff := cmp.Diff(map[string]string{"db_password": "CANARY-password", "a": "CANARY"}, values(set)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	want := []string{"AssumeRoleWithWebIdentity " + testRole, "TrentService.Decrypt " + testARN + " null", "TrentService.Decrypt " + testARN + " null"}
	if got := s.calls(); len(got) != 3 || got[0] != want[0] {
		t.Errorf("asked %q, want one exchange for two files", got)
	}
	if diff := cmp.Diff([]string{"sts.amazonaws.com"}, i.audiences()); diff != "" {
		t.Errorf("audiences (-want +got):\n%s", diff)
	}
	hidden := map[string]string{"OIDC request token": requestToken, "OIDC token of aws": i.given[0], "AWS secret access key": "secret-canary", "AWS session token": "session-canary"}
	if diff := cmp.Diff(hidden, hiddenValues(set)); diff != "" {
		t.Errorf("masked (-want +got):\n%s", diff)
	}
	if !slices.Equal(before, os.Environ()) {
		t.Error("the environment, which children get, has changed")
	}

	// I10: a stranger's key is not worth a token.
	opts.AllowKeySource = nil
	checkRefusal(t, opts, s, testARN)
	if asked := i.audiences(); asked != nil {
		t.Errorf("a token was made for %q", asked)
	}
}

func TestKeylessGCP(t *testing.T) {
	for _, account := range []string{testAccount, ""} {
		i, w := newIssuer(t), newWorld(t)
		s, cloud := gcpKMS(t), gcpIdentity(t, i)
		w.setAll(t, map[string]string{
			"SOPS_GCP_KMS_ENDPOINT": s.server.URL, "SOPS_GCP_KMS_CLIENT_TYPE": "rest", "GOOGLE_OAUTH_ACCESS_TOKEN": "test-token", "SOPS_GCP_KMS_IDS": testGCP,
		})
		w.encrypt("s.yaml", testPlain, "--gcp-kms", testGCP)
		w.noKeys(t)
		w.setAll(t, i.env())
		opts := w.options()
		opts.gcpSTS, opts.gcpIAM = cloud.server.URL, cloud.server.URL
		opts.Keyless.GCPProvider, opts.Keyless.GCPServiceAccount = testProvider, account
		wantHidden := map[string]string{"OIDC request token": requestToken, "GCP federated token": "federated-canary", "GCP access token": "test-token"}
		wantCalls := []string{"/v1/token", "/v1/projects/-/serviceAccounts/" + testAccount + ":generateAccessToken"}
		if account == "" {
			s.token = "federated-canary"
			delete(wantHidden, "GCP access token")
			wantCalls = wantCalls[:1]
		}
		set, err := loadLines(opts, "s.yaml#db.password")
		if err != nil {
			t.Fatalf("%v (hints %q)", err, hint.Of(err))
		}
		if got := values(set)["db_password"]; got != "CANARY-password" {
			t.Errorf("got %q", got)
		}
		wantHidden["OIDC token of gcp"] = i.given[0]
		if diff := cmp.Diff(wantHidden, hiddenValues(set)); diff != "" {
			t.Errorf("masked (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(wantCalls, cloud.calls()); diff != "" {
			t.Errorf("asked (-want +got):\n%s", diff)
		}
	}
}

func TestKeylessVault(t *testing.T) {
	i, w := newIssuer(t), newWorld(t)
	encrypting := vaultTransit(t)
	w.setAll(t, map[string]string{"VAULT_ADDR": encrypting.server.URL, "VAULT_TOKEN": "test-token", "HOME": w.dir})
	s := vaultIdentity(t, i, "ci/jwt", "https://github.com/org")
	w.encrypt("s.yaml", testPlain, "--hc-vault-transit", encrypting.server.URL+"/v1/transit/keys/build")
	w.write("s.yaml", strings.ReplaceAll(w.read("s.yaml"), encrypting.server.URL, s.server.URL))
	w.noKeys(t)
	w.setAll(t, i.env())
	w.setAll(t, map[string]string{"VAULT_ADDR": s.server.URL})
	opts := w.options()
	opts.Keyless.VaultRole, opts.Keyless.VaultAuthPath = "build", "ci/jwt"
	set, err := loadLines(opts, "s.yaml#db.password")
	if err != nil {
		t.Fatalf("%v (hints %q)", err, hint.Of(err))
	}
	if got := values(set)["db_password"]; got != "CANARY-password" {
		t.Errorf("got %q", got)
	}
	if diff := cmp.Diff([]string{"PUT /v1/auth/ci/jwt/login build", "PUT /v1/transit/decrypt/build"}, s.calls()); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{""}, i.audiences()); diff != "" {
		t.Errorf("audiences (-want +got):\n%s", diff)
	}
	if got := hiddenValues(set)["Vault token"]; got != "test-token" {
		t.Errorf("the Vault's token is not masked: %q", got)
	}

	// Another Vault, also one that is allowed, gets neither token nor login.
	stranger := vaultTransit(t)
	w.write("s.yaml", strings.ReplaceAll(w.read("s.yaml"), s.server.URL, stranger.server.URL))
	checkRefusal(t, opts, stranger, stranger.server.URL)
	if asked := i.audiences(); asked != nil {
		t.Errorf("a token was made for %q", asked)
	}
}

// TestKeylessGitLab takes the token from the variable that id_tokens make, one
// for each audience.
func TestKeylessGitLab(t *testing.T) {
	i, w := newIssuer(t), newWorld(t)
	w.setAll(t, awsEnv(awsKMS(t), w.dir))
	w.encrypt("s.yaml", testPlain, "--kms", testARN)
	w.noKeys(t)
	s := awsIdentity(t, i, "https://gitlab.example.com")
	w.setAll(t, map[string]string{"AWS_ENDPOINT_URL": s.server.URL, "SOPS_KMS_ARN": testARN})
	w.env["OTHER_TOKEN"] = i.sign(map[string]any{"aud": "https://vault.example.com"})
	w.env["AWS_TOKEN"] = i.sign(map[string]any{"aud": "https://gitlab.example.com"})
	for _, tc := range []struct {
		tokens []string
		ok     bool
	}{
		{[]string{"AWS_TOKEN"}, true},
		{[]string{"OTHER_TOKEN", "aws=AWS_TOKEN"}, true},
		{[]string{"vault=OTHER_TOKEN", "AWS_TOKEN"}, true},
		{[]string{"OTHER_TOKEN"}, false},
		{[]string{"vault=AWS_TOKEN"}, false},
		{[]string{"aws=MISSING"}, false},
	} {
		opts := w.options()
		opts.Keyless = Keyless{AWSRole: testRole, Tokens: tc.tokens}
		set, err := loadLines(opts, "s.yaml#db.password")
		if ok := err == nil && hiddenValues(set)["OIDC token of aws"] == w.env["AWS_TOKEN"]; ok != tc.ok {
			t.Errorf("%q: got %v, want ok=%v", tc.tokens, err, tc.ok)
		}
	}
	if asked := i.audiences(); asked != nil {
		t.Errorf("GitHub was asked: %q", asked)
	}
}

// TestKeylessRefused holds what is said when a cloud says no, and that no token
// is quoted, though this cloud quotes it.
func TestKeylessRefused(t *testing.T) {
	i, w := newIssuer(t), newWorld(t)
	w.setAll(t, awsEnv(awsKMS(t), w.dir))
	w.encrypt("s.yaml", testPlain, "--kms", testARN)
	w.noKeys(t)
	s := awsIdentity(t, i, "sts.amazonaws.com")
	w.setAll(t, map[string]string{"AWS_ENDPOINT_URL": s.server.URL, "SOPS_KMS_ARN": testARN})
	tests := []struct {
		name       string
		env        map[string]string
		keyless    Keyless
		want, hint string
	}{
		{"no permission", nil, Keyless{AWSRole: testRole}, "exchanging this job's identity: there is no OIDC token in this job", "permissions: id-token: write"},
		{"other audience", i.env(), Keyless{AWSRole: testRole, Audience: "me"}, "assuming " + testRole + ": 403 Forbidden: ", "trust policy"},
		{"other role", i.env(), Keyless{AWSRole: testRole + "2"}, "not authorized to perform sts:AssumeRoleWithWebIdentity", "trust policy"},
		{"no issuer", map[string]string{"ACTIONS_ID_TOKEN_REQUEST_URL": "http://127.0.0.1:1/", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": requestToken}, Keyless{AWSRole: testRole}, "asking GitHub for a token: ", "key service was asked"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			for name := range i.env() {
				w.env[name] = tc.env[name]
			}
			opts := w.options()
			opts.Keyless = tc.keyless
			i.given = nil
			_, err := loadLines(opts, "s.yaml")
			if err == nil {
				t.Fatal("no error")
			}
			hints := strings.Join(hint.Of(err), "\n")
			if !strings.Contains(err.Error(), tc.want) || !strings.Contains(hints, tc.hint) {
				t.Errorf("got %q (hint %q), want %q (hint %q)", err, hints, tc.want, tc.hint)
			}
			for _, token := range append(i.given, requestToken) {
				if strings.Contains(err.Error()+hints, token) || strings.Contains(err.Error(), token[:20]) {
					t.Errorf("the error holds a token: %q", err)
				}
			}
		})
	}
}

func TestKeylessOptions(t *testing.T) {
	good := Keyless{
		Tokens: []string{"TOKEN", "vault=VAULT_ID_TOKEN"}, AWSRole: testRole, AWSRegion: "eu-central-1",
		GCPProvider: testProvider, GCPServiceAccount: testAccount, VaultRole: "build", VaultAuthPath: "ci/jwt",
	}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for name, bad := range map[string]Keyless{
		"--aws-role":                       {AWSRole: "build"},
		"--aws-region":                     {AWSRegion: "evil.example.com/"},
		"--gcp-workload-identity-provider": {GCPProvider: "projects/p/../x"},
		"--gcp-service-account":            {GCPProvider: testProvider, GCPServiceAccount: "x/../y"},
		"--gcp-service-account goes with":  {GCPServiceAccount: testAccount},
		"--vault-role":                     {VaultRole: "a b"},
		"--vault-auth-path":                {VaultAuthPath: "../sys"},
		"--oidc-token-env":                 {Tokens: []string{"eyJhbGciOi.CANARY"}},
		"--oidc-token-env: it is no name":  {Tokens: []string{"azure=TOKEN"}},
	} {
		err := bad.Check()
		if err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: got %v", name, err)
		}
		if _, lerr := Load(t.Context(), nil, Options{Keyless: bad}); lerr == nil {
			t.Errorf("%s: Load takes it", name)
		}
	}
}

// TestSTSEndpoint holds where a token for AWS may go.
func TestSTSEndpoint(t *testing.T) {
	for _, tc := range []struct {
		region string
		env    map[string]string
		want   string
	}{
		{"", nil, "https://sts.amazonaws.com/"},
		{"eu-central-1", map[string]string{"AWS_REGION": "us-east-2"}, "https://sts.eu-central-1.amazonaws.com/"},
		{"", map[string]string{"AWS_REGION": "us-east-2"}, "https://sts.us-east-2.amazonaws.com/"},
		{"", map[string]string{"AWS_DEFAULT_REGION": "us-east-2"}, "https://sts.us-east-2.amazonaws.com/"},
		{"cn-north-1", nil, "https://sts.cn-north-1.amazonaws.com.cn/"},
		{"", map[string]string{"AWS_REGION": "evil.example.com/x?"}, "https://sts.amazonaws.com/"},
		{"eu-central-1", map[string]string{"AWS_ENDPOINT_URL": "http://localhost:4566"}, "http://localhost:4566"},
		{"eu-central-1", map[string]string{"AWS_ENDPOINT_URL": "http://a", "AWS_ENDPOINT_URL_STS": "http://b"}, "http://b"},
	} {
		w := &world{t: t, env: tc.env}
		opts := w.options()
		opts.Keyless.AWSRegion = tc.region
		if got := (&exchanger{opts: opts}).stsURL(); got != tc.want {
			t.Errorf("%q %v: got %s, want %s", tc.region, tc.env, got, tc.want)
		}
	}
}
