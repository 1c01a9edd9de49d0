package source

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/getsops/sops/v3/gcpkms"
	"github.com/getsops/sops/v3/hcvault"
	"github.com/getsops/sops/v3/kms"
	vault "github.com/hashicorp/vault/api"
	"golang.org/x/oauth2"

	"github.com/org/secure-build/internal/hint"
)

// applyKMS gives a key of AWS KMS the credentials of the role. Nothing is
// asked where no role is named.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
func (x *exchanger) applyKMS(ctx context.Context, key *kms.MasterKey) error {
	k := x.opts.Keyless
	if k.AWSRole == "" {
		return nil
	}
	got, err := x.once("aws", func() ([]string, error) {
		token, err := x.token(ctx, "aws", "sts.amazonaws.com")
		if err != nil {
			return nil, err
		}
		var answer struct {
			Credentials struct {
				AccessKeyID     string `xml:"AccessKeyId"`
				SecretAccessKey string
				SessionToken    string
			} `xml:"AssumeRoleWithWebIdentityResult>Credentials"`
		}
		err = x.ask(ctx, request{url: x.stsURL(), form: url.Values{
			"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"}, "DurationSeconds": {"900"},
			"RoleArn": {k.AWSRole}, "RoleSessionName": {"secure-build"}, "WebIdentityToken": {token},
			// Whatever the role may do: this session decrypts, by itself or by the role
			// that a file names.
			"Policy": {`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["kms:Decrypt","sts:AssumeRole"],"Resource":"*"}]}`},
		}}, &answer)
		c := answer.Credentials
		if err != nil {
			return nil, hint.Wrap(fmt.Errorf("assuming %s: %w", k.AWSRole, err), "does the role's trust policy name this CI's provider, this repository, and the audience of the token?")
		}
		if c.AccessKeyID == "" || c.SecretAccessKey == "" || c.SessionToken == "" {
			return nil, fmt.Errorf("assuming %s: STS gave no credentials", k.AWSRole)
		}
		x.hide("AWS secret access key", c.SecretAccessKey)
		x.hide("AWS session token", c.SessionToken)
		return []string{c.AccessKeyID, c.SecretAccessKey, c.SessionToken}, nil
	})
	if err != nil {
		return err
	}
	kms.NewCredentialsProvider(aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: got[0], SecretAccessKey: got[1], SessionToken: got[2], Source: "secure-build"}, nil
	})).ApplyToMasterKey(key)
	return nil
}

// stsURL is the endpoint as the AWS SDK finds it.
func (x *exchanger) stsURL() string {
	if own := cmp.Or(x.opts.env("AWS_ENDPOINT_URL_STS"), x.opts.env("AWS_ENDPOINT_URL")); own != "" {
		return own
	}
	region := cmp.Or(x.opts.Keyless.AWSRegion, x.opts.env("AWS_REGION"), x.opts.env("AWS_DEFAULT_REGION"))
	switch {
	case !regionName.MatchString(region):
		return "https://sts.amazonaws.com/"
	case strings.HasPrefix(region, "cn-"):
		return "https://sts." + region + ".amazonaws.com.cn/"
	}
	return "https://sts." + region + ".amazonaws.com/"
}

// applyGCP gives a key of Cloud KMS the access token of the identity, or of
// the service account that it may impersonate.
// https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token
func (x *exchanger) applyGCP(ctx context.Context, key *gcpkms.MasterKey) error {
	k := x.opts.Keyless
	if k.GCPProvider == "" {
		return nil
	}
	got, err := x.once("gcp", func() ([]string, error) {
		token, err := x.token(ctx, "gcp", "https://iam.googleapis.com/"+k.GCPProvider)
		if err != nil {
			return nil, err
		}
		var federated struct {
			AccessToken string `json:"access_token"`
		}
		err = x.ask(ctx, request{url: cmp.Or(x.opts.gcpSTS, "https://sts.googleapis.com") + "/v1/token", json: map[string]any{
			"audience": "//iam.googleapis.com/" + k.GCPProvider, "grantType": "urn:ietf:params:oauth:grant-type:token-exchange",
			"requestedTokenType": "urn:ietf:params:oauth:token-type:access_token", "scope": "https://www.googleapis.com/auth/cloud-platform",
			"subjectTokenType": "urn:ietf:params:oauth:token-type:jwt", "subjectToken": token,
		}}, &federated)
		if err == nil && federated.AccessToken == "" {
			err = errors.New("it gave no token")
		}
		if err != nil {
			return nil, hint.Wrap(fmt.Errorf("asking Google's STS for %s: %w", k.GCPProvider, err), "does the provider's condition allow this repository, and the audience of the token?")
		}
		x.hide("GCP federated token", federated.AccessToken)
		if k.GCPServiceAccount == "" {
			return []string{federated.AccessToken}, nil
		}
		return x.impersonate(ctx, federated.AccessToken)
	})
	if err != nil {
		return err
	}
	gcpkms.NewTokenSource(oauth2.StaticTokenSource(&oauth2.Token{AccessToken: got[0]})).ApplyToMasterKey(key)
	return nil
}

// impersonate asks for a token that is good for Cloud KMS and a quarter of an
// hour.
// https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken
func (x *exchanger) impersonate(ctx context.Context, federated string) ([]string, error) {
	account := x.opts.Keyless.GCPServiceAccount
	var answer struct {
		AccessToken string `json:"accessToken"`
	}
	err := x.ask(ctx, request{
		url:    cmp.Or(x.opts.gcpIAM, "https://iamcredentials.googleapis.com") + "/v1/projects/-/serviceAccounts/" + account + ":generateAccessToken",
		bearer: federated, json: map[string]any{"scope": []string{"https://www.googleapis.com/auth/cloudkms"}, "lifetime": "900s"},
	}, &answer)
	if err == nil && answer.AccessToken == "" {
		err = errors.New("it gave no token")
	}
	if err != nil {
		return nil, hint.Wrap(fmt.Errorf("impersonating %s: %w", account, err), "has the identity the role roles/iam.workloadIdentityUser on it?")
	}
	x.hide("GCP access token", answer.AccessToken)
	return []string{answer.AccessToken}, nil
}

// applyVault gives a key of Vault's transit engine the token of a login, which
// goes to the Vault that the environment names and to no other.
// https://developer.hashicorp.com/vault/api-docs/auth/jwt#jwt-login
func (x *exchanger) applyVault(ctx context.Context, key *hcvault.MasterKey) error {
	k := x.opts.Keyless
	if k.VaultRole == "" {
		return nil
	}
	own, err := parseURL(x.opts.env("VAULT_ADDR"))
	if err != nil {
		return hint.Wrap(errors.New("--vault-role needs VAULT_ADDR, the Vault to log in to"), "set VAULT_ADDR in the job")
	}
	if named, err := parseURL(key.VaultAddress); err != nil || named.String() != own.String() {
		return nil // another Vault, which gets what it got without a role
	}
	got, err := x.once("vault", func() ([]string, error) {
		token, err := x.token(ctx, "vault", "")
		if err != nil {
			return nil, err
		}
		client, err := vault.NewClient(vault.DefaultConfig()) // VAULT_CACERT, VAULT_NAMESPACE and so on
		if err != nil {
			return nil, errors.New("reading Vault's variables: they do not fit")
		}
		client.ClearToken()
		if err := client.SetAddress(own.String()); err != nil {
			return nil, errors.New("reading VAULT_ADDR: it is no address")
		}
		path := "auth/" + cmp.Or(k.VaultAuthPath, "jwt") + "/login"
		answer, err := client.Logical().WriteWithContext(ctx, path, map[string]any{"role": k.VaultRole, "jwt": token})
		if err != nil {
			return nil, hint.Wrap(fmt.Errorf("logging in to Vault as %s: %s", k.VaultRole, x.scrub(err.Error())), "do the role's bound claims and audience fit this job's token?")
		}
		if answer == nil || answer.Auth == nil || answer.Auth.ClientToken == "" {
			return nil, fmt.Errorf("logging in to Vault as %s: it gave no token", k.VaultRole)
		}
		x.hide("Vault token", answer.Auth.ClientToken)
		return []string{answer.Auth.ClientToken}, nil
	})
	if err != nil {
		return err
	}
	hcvault.Token(got[0]).ApplyToMasterKey(key)
	return nil
}

// A request is one question to a token service.
type request struct {
	url, bearer string
	form        url.Values
	json        any
}

// tokenClient follows no redirect: a token goes where it was sent.
var tokenClient = &http.Client{
	Timeout:       30 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// ask sends a request, again where the service is out of order, and reads the
// answer as JSON, or as XML for a form.
func (x *exchanger) ask(ctx context.Context, r request, answer any) error {
	var err error
	for try := range 3 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(try) * 500 * time.Millisecond):
		}
		var again bool
		if again, err = x.askOnce(ctx, r, answer); err == nil || !again {
			return err
		}
	}
	return err
}

func (x *exchanger) askOnce(ctx context.Context, r request, answer any) (again bool, err error) {
	req, err := r.build(ctx)
	if err != nil {
		return false, errors.New("its address is none")
	}
	resp, err := tokenClient.Do(req)
	if err != nil {
		return true, errors.New(x.scrub(err.Error()))
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	switch {
	case err != nil:
		return true, errors.New("the answer was cut off")
	case resp.StatusCode != http.StatusOK:
		return resp.StatusCode >= 500, fmt.Errorf("%s: %s", resp.Status, x.scrub(string(data)))
	case r.form != nil:
		err = xml.Unmarshal(data, answer)
	default:
		err = json.Unmarshal(data, answer)
	}
	if err != nil {
		return false, errors.New("the answer is not what was asked for")
	}
	return false, nil
}

func (r request) build(ctx context.Context) (*http.Request, error) {
	method, body, kind := http.MethodGet, []byte(nil), ""
	switch {
	case r.form != nil:
		method, body, kind = http.MethodPost, []byte(r.form.Encode()), "application/x-www-form-urlencoded"
	case r.json != nil:
		data, err := json.Marshal(r.json)
		if err != nil {
			return nil, err
		}
		method, body, kind = http.MethodPost, data, "application/json"
	}
	req, err := http.NewRequestWithContext(ctx, method, r.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	if r.form != nil {
		req.Header.Set("Accept", "text/xml")
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	if r.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+r.bearer)
	}
	return req, nil
}

// scrub makes a service's words fit to be shown: one line without the tokens.
func (x *exchanger) scrub(text string) string {
	for _, h := range x.hidden.list {
		text = strings.ReplaceAll(text, string(h.Reveal()), h.Mask())
	}
	return printable(text)
}
