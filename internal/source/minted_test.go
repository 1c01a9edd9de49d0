package source

import (
	"encoding/base64"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/org/secure-build/internal/secret"
)

// TestMintedSince: only what can be no older is taken for new.
func TestMintedSince(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	jwt := func(claims string) string {
		return "eyJhbGciOiJSUzI1NiJ9." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2lnbmF0dXJl"
	}
	session := map[string]string{"AWS_ACCESS_KEY_ID": "ASIAIOSFODNN7EXAMPLE", "AWS_SESSION_TOKEN": "IQoJb3JpZ2luX2VjEHoaCXVzLWVhc3QtMSJ", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG"}
	user := map[string]string{"AWS_ACCESS_KEY_ID": "ASIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": session["AWS_SECRET_ACCESS_KEY"]}
	mixed := maps.Clone(session)
	mixed["AWS_ACCESS_KEY_ID"] = "AKIAIOSFODNN7EXAMPLE"
	pipeline := map[string]string{"CI_JOB_TOKEN": "glcbt-64_0123456789", "CI_PIPELINE_CREATED_AT": now.Add(-time.Hour).UTC().Format(time.RFC3339)}
	created := func(from time.Duration) map[string]string {
		return map[string]string{"CI_JOB_TOKEN": pipeline["CI_JOB_TOKEN"], "CI_PIPELINE_CREATED_AT": now.Add(from).UTC().Format(time.RFC3339)}
	}
	issuedAt := func(from time.Duration) string {
		return jwt(fmt.Sprintf(`{"iat": %d, "nbf": 1}`, now.Add(from).Unix()))
	}
	idToken := func(value string) map[string]string { return map[string]string{"MY_ID_TOKEN": value} }
	notBefore := fmt.Sprintf(`{"nbf": %d}`, now.Add(-time.Minute).Unix())
	for _, tc := range []struct {
		name, variable, value string
		env                   map[string]string
		want                  time.Duration // before now; -1 for what may be old
	}{
		{"age identity", "SOPS_AGE_KEY", newIdentity(t).String(), nil, -1},
		{"a user's AWS key", "AWS_SECRET_ACCESS_KEY", session["AWS_SECRET_ACCESS_KEY"], user, -1},
		{"a user's AWS key, and what is left of a session", "AWS_SECRET_ACCESS_KEY", session["AWS_SECRET_ACCESS_KEY"], mixed, -1},
		{"a session's AWS key", "AWS_SECRET_ACCESS_KEY", session["AWS_SECRET_ACCESS_KEY"], session, sessionLife},
		{"a session", "AWS_SESSION_TOKEN", session["AWS_SESSION_TOKEN"], session, sessionLife},
		{"something else beside a session", "VAULT_TOKEN", "hvs.CAESIJ0123456789abcdef", session, -1},
		{"GITHUB_TOKEN", "any", "ghs_0123456789abcdef", nil, githubLife},
		{"a person's token", "GITHUB_TOKEN", "ghp_0123456789abcdef", nil, -1},
		{"the job's password", "registry-password", pipeline["CI_JOB_TOKEN"], pipeline, time.Hour},
		{"a deploy token", "registry-password", "gldt-0123456789abcdef", pipeline, -1},
		{"a job that does not say of when it is", "registry-password", pipeline["CI_JOB_TOKEN"], map[string]string{"CI_JOB_TOKEN": pipeline["CI_JOB_TOKEN"]}, -1},
		{"Google's", "GOOGLE_OAUTH_ACCESS_TOKEN", "ya29.a0AfH6SMBx", nil, googleLife},
		{"request token", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "opaque", nil, jobLife},
		{"the job's password, of a clock that is ahead", "registry-password", pipeline["CI_JOB_TOKEN"], created(clockSkew / 2), 0},
		{"the job's password, of a pipeline that is to come", "registry-password", pipeline["CI_JOB_TOKEN"], created(time.Hour), -1},
		{"the job's password, of no time", "registry-password", pipeline["CI_JOB_TOKEN"], map[string]string{"CI_JOB_TOKEN": pipeline["CI_JOB_TOKEN"], "CI_PIPELINE_CREATED_AT": "tomorrow"}, -1},
		{"request token that says when", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", issuedAt(-time.Minute), nil, time.Minute},
		{"request token that is to come", "ACTIONS_RUNTIME_TOKEN", issuedAt(time.Hour), nil, jobLife},
		{"request token that cannot be so old", "ACTIONS_RUNTIME_TOKEN", issuedAt(-1000 * time.Hour), nil, jobLife},
		{"id token", "any", issuedAt(-time.Minute), idToken(issuedAt(-time.Minute)), time.Minute},
		{"id token with a line break", "any", issuedAt(-time.Minute), idToken(issuedAt(-time.Minute) + "\n"), time.Minute},
		{"id token of a clock that is ahead", "any", issuedAt(clockSkew / 2), idToken(issuedAt(clockSkew / 2)), 0},
		{"id token that is to come", "any", issuedAt(time.Hour), idToken(issuedAt(time.Hour)), -1},
		{"an old id token", "any", issuedAt(-1000 * time.Hour), idToken(issuedAt(-1000 * time.Hour)), -1},
		{"id token with nbf", "any", jwt(notBefore), idToken(jwt(notBefore)), -1},
		{"id token that does not say it", "any", jwt(`{"exp": 4102444800}`), idToken(jwt(`{"exp": 4102444800}`)), -1},
		{"no JWT for an id token", "any", "eyJ.a.b", idToken("eyJ.a.b"), -1},
		{"somebody's JWT", "any", issuedAt(-time.Minute), nil, -1},
		{"somebody's JWT that is to come", "any", issuedAt(time.Hour), nil, -1},
		{"somebody's JWT with nbf", "any", jwt(notBefore), nil, -1},
		{"somebody's JWT beside an id token", "any", issuedAt(-time.Minute), idToken(issuedAt(-time.Second)), -1},
	} {
		opts := Options{
			LookupEnv: func(name string) (string, bool) { v, ok := tc.env[name]; return v, ok },
			Keyless:   Keyless{Tokens: []string{"vault=MY_ID_TOKEN"}},
		}
		got := opts.mintedSince(tc.variable, tc.value)
		if tc.want < 0 && !got.IsZero() || tc.want >= 0 && got.Sub(now.Add(-tc.want)).Abs() > 10*time.Second {
			t.Errorf("%s: got %v, want %v before %v", tc.name, got, tc.want, now)
		}
	}
}

// TestGivenTokensAreMinted: the job's token, however it is given, and nothing
// that stands beside it.
func TestGivenTokensAreMinted(t *testing.T) {
	const token = "ghs_0123456789abcdef0123456789abcdef0123"
	w := newWorld(t)
	delete(w.env, "SOPS_AGE_KEY")
	w.env["GITHUB_TOKEN"], w.env["OTHER"], w.env["VALUES"] = token, "a-value-that-lasts", "by_value="+token+"\nother_value=a-value-that-lasts-too"
	refs, err := ParseValues("VALUES", w.options())
	if err != nil {
		t.Fatal(err)
	}
	for line, parse := range map[string]func(string) (Ref, error){
		"GITHUB_TOKEN": ParseVariable, "id=by_env,env=GITHUB_TOKEN": ParseSecret, "OTHER": ParseVariable,
	} {
		ref, err := parse(line)
		if err != nil {
			t.Fatal(err)
		}
		refs = append(refs, ref)
	}
	set, err := Load(t.Context(), refs, w.options())
	if err != nil {
		t.Fatal(err)
	}
	lasting, since := set.Lasting()
	if got := searched(lasting); !cmp.Equal(got, []string{"OTHER=a-value-that-lasts", "other_value=a-value-that-lasts-too"}) || since.IsZero() || len(set.Mounted()) != 5 {
		t.Errorf("got %q of %v, since %v", got, set.IDs(), since)
	}
}

// TestExchangedIsMinted: what this run was given is of this run; the key beside
// it lasts.
func TestExchangedIsMinted(t *testing.T) {
	x := &exchanger{hidden: &hiddenKeys{}}
	x.hide("Vault token", "hvs.CAESIJ0123456789abcdef")
	claims := fmt.Sprintf(`{"iat": %d}`, time.Now().Add(24*time.Hour).Unix())
	x.hide("OIDC token of vault", "eyJhbGciOiJSUzI1NiJ9."+base64.RawURLEncoding.EncodeToString([]byte(claims))+".c2lnbmF0dXJl")
	var set secret.Set
	set.AddHidden(x.hidden.list[1]) // says that it is of tomorrow
	if _, since := set.Lasting(); since.After(time.Now()) {
		t.Errorf("of the future: %v", since)
	}
	set.AddHidden(x.hidden.list[0])
	set.AddHidden(secret.New("SOPS_AGE_KEY", "x", []byte(newIdentity(t).String())))
	lasting, since := set.Lasting()
	if got := lasting.Searched(); len(got) != 1 || got[0].ID() != "SOPS_AGE_KEY" || time.Since(since) > 2*askedLife || time.Since(since) < 0 {
		t.Errorf("got %v since %v", got, since)
	}
}
