package source

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/secret"
)

// Keyless says how this job proves to a cloud who it is, so that it needs no
// stored key: by a token that its CI signs (OpenID Connect), which is exchanged
// for credentials that live some minutes, in this process' memory alone. No
// child, no file and no later step gets them.
type Keyless struct {
	// Tokens names the variables that hold the token, for a CI that puts it into
	// one (id_tokens of GitLab): NAME, or aws=NAME, gcp=NAME and vault=NAME where
	// each has an audience of its own. GitHub is asked for it.
	Tokens []string
	// Audience is whom GitHub makes the token for; "" is what each service's own
	// action asks for.
	Audience string

	AWSRole   string // ARN
	AWSRegion string // of STS; "" is AWS_REGION's, or else the global endpoint

	GCPProvider       string // projects/N/locations/global/workloadIdentityPools/POOL/providers/ID
	GCPServiceAccount string // to impersonate; "" if the identity itself may decrypt

	VaultRole     string // of the JWT method; the Vault is VAULT_ADDR's
	VaultAuthPath string // "" is jwt
}

var (
	gcpProviderName = regexp.MustCompile(`^projects/[0-9]+/locations/global/workloadIdentityPools/[a-z0-9-]+/providers/[a-z0-9-]+$`)
	gcpAccountName  = regexp.MustCompile(`^[A-Za-z0-9.-]+@[A-Za-z0-9.-]+$`)
	regionName      = regexp.MustCompile(`^[a-z]+(-[a-z0-9]+)+$`)
	vaultRoleName   = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)
)

// Check says what cannot be right before anybody is asked.
func (k Keyless) Check() error {
	for _, c := range []struct {
		flag, value, want string
		shape             *regexp.Regexp
	}{
		{"aws-role", k.AWSRole, "arn:aws:iam::ACCOUNT:role/NAME", roleName},
		{"aws-region", k.AWSRegion, "eu-central-1", regionName},
		{"gcp-workload-identity-provider", k.GCPProvider, "projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/ID", gcpProviderName},
		{"gcp-service-account", k.GCPServiceAccount, "NAME@PROJECT.iam.gserviceaccount.com", gcpAccountName},
		{"vault-role", k.VaultRole, "a role of the JWT method", vaultRoleName},
		{"vault-auth-path", k.VaultAuthPath, "the path of the JWT method, such as jwt", pathName},
	} {
		if c.value != "" && !c.shape.MatchString(c.value) {
			return hint.Wrap(fmt.Errorf("reading --%s %q: it is none", c.flag, printable(c.value)), "want %s", c.want)
		}
	}
	for _, t := range k.Tokens {
		service, name, ok := strings.Cut(t, "=")
		if !ok {
			service, name = "aws", t
		}
		if !variableName.MatchString(name) || service != "aws" && service != "gcp" && service != "vault" {
			return hint.Wrap(errors.New("reading --oidc-token-env: it is no name of a variable"), "write NAME, aws=NAME, gcp=NAME or vault=NAME, with the variable's name and not its value")
		}
	}
	if k.GCPServiceAccount != "" && k.GCPProvider == "" {
		return errors.New("--gcp-service-account goes with --gcp-workload-identity-provider")
	}
	return nil
}

// An exchanger exchanges tokens, each once in a run.
type exchanger struct {
	opts   Options
	hidden *hiddenKeys // whatever it got that is nobody else's business
	done   map[string]exchanged
}

type exchanged struct {
	values []string
	err    error
}

// once returns what the first call for a service came to.
func (x *exchanger) once(service string, exchange func() ([]string, error)) ([]string, error) {
	if e, ok := x.done[service]; ok {
		return e.values, e.err
	}
	values, err := exchange()
	if err != nil {
		err = fmt.Errorf("exchanging this job's identity: %w", err)
	}
	if x.done == nil {
		x.done = map[string]exchanged{}
	}
	x.done[service] = exchanged{values, err}
	return values, err
}

// hide takes what a service has given for this job's identity, just now. When
// the service says that it was made does not matter.
func (x *exchanger) hide(what, value string) {
	at := time.Now().Add(-askedLife)
	x.hidden.add(secret.New(secret.ID(what), what, []byte(value)).MintedSince(at), value)
}

// variables names the variables that hold tokens.
func (k Keyless) variables() []string {
	var names []string
	for _, t := range k.Tokens { // [SERVICE=]NAME
		names = append(names, t[strings.LastIndex(t, "=")+1:])
	}
	return names
}

// token is what this job's CI signs for a service.
func (x *exchanger) token(ctx context.Context, service, audience string) (string, error) {
	if name := x.tokenVariable(service); name != "" {
		token := x.opts.env(name)
		if token == "" {
			return "", hint.Wrap(fmt.Errorf("the variable %s, which should hold the token, is not set", name), "in GitLab the job's id_tokens make it: id_tokens: {%s: {aud: …}}", name)
		}
		what := "OIDC token of " + service
		x.hidden.add(x.opts.Hidden(what, what, token), token)
		return token, nil
	}
	address, bearer := x.opts.env("ACTIONS_ID_TOKEN_REQUEST_URL"), x.opts.env("ACTIONS_ID_TOKEN_REQUEST_TOKEN")
	u, err := url.Parse(address)
	if address == "" || bearer == "" || err != nil {
		return "", hint.Wrap(errors.New("there is no OIDC token in this job"),
			"on GitHub the job needs permissions: id-token: write; on GitLab id_tokens, and the variable's name in --oidc-token-env")
	}
	x.hidden.add(x.opts.Hidden("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "OIDC request token", bearer), bearer)
	if x.opts.Keyless.Audience != "" {
		audience = x.opts.Keyless.Audience
	}
	if audience != "" {
		query := u.Query()
		query.Set("audience", audience)
		u.RawQuery = query.Encode()
	}
	var answer struct{ Value string }
	if err := x.ask(ctx, request{url: u.String(), bearer: bearer}, &answer); err != nil {
		return "", fmt.Errorf("asking GitHub for a token: %w", err)
	}
	if answer.Value == "" {
		return "", errors.New("asking GitHub for a token: it gave none")
	}
	x.hide("OIDC token of "+service, answer.Value)
	return answer.Value, nil
}

func (x *exchanger) tokenVariable(service string) (name string) {
	for _, t := range x.opts.Keyless.Tokens {
		who, variable, ok := strings.Cut(t, "=")
		switch {
		case !ok && name == "":
			name = t
		case ok && who == service:
			return variable
		}
	}
	return name
}
