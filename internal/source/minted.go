package source

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/org/secure-build/internal/secret"
)

// How long credentials live that are made for a job or a session. One that is
// older has expired, and is worth nothing to whoever finds it.
const (
	// STS gives credentials for 36 hours at most (GetSessionToken; roles: 12).
	// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html
	sessionLife = 36 * time.Hour
	// GITHUB_TOKEN ends with its job, and after 24 hours.
	// https://docs.github.com/actions/concepts/security/github_token
	githubLife = 24 * time.Hour
	// An access token of Google's lives an hour, or 12 where an organization
	// allows it.
	googleLife = 12 * time.Hour
	// A job on a runner of one's own may take five days.
	// https://docs.github.com/actions/reference/limits
	jobLife = 5 * 24 * time.Hour
	// What we are given for our own asking may have been made for who asked a
	// moment before.
	askedLife = time.Hour
	// An OIDC token lives minutes, or as long as its job. One that is older than
	// most jobs take was not made for this one.
	idTokenLife = 36 * time.Hour
	// clockSkew is how far ahead of ours the clock of an issuer may be.
	clockSkew = 5 * time.Minute
)

// Hidden is a value that is masked and searched for and that no build may mount.
// If it is a credential that was made not long ago, it says since when there can
// have been any such value: see mintedSince.
func (o Options) Hidden(id, origin, value string) secret.Secret {
	return secret.New(secret.ID(id), origin, []byte(value)).MintedSince(o.mintedSince(id, value))
}

// inVariable is a secret by value, such as the job's GITHUB_TOKEN.
func (o Options) inVariable(ref Ref, value string) secret.Secret {
	return secret.New(ref.id, ref.String(), []byte(value)).MintedSince(o.mintedSince(ref.env, value))
}

// mintedSince is the moment before which a value cannot have existed, or zero
// for one that may be old. It goes by what the value, or the variable that it
// comes from, can only be: whoever took a lasting value for a new one would not
// look for it in what was scanned before. What is not known is lasting.
//
// So what a JWT says of itself counts only in what the CI has signed for this
// job. Any other may be a lasting key of a service that dates it as it likes.
//
// AWS_SECRET_ACCESS_KEY beside AWS_SESSION_TOKEN is of the session, not of a
// user: configure-aws-credentials sets both anew in every job, and aws sso login
// every few hours. Alone, or with an id that does not begin as those of STS do,
// it is a user's key, which lasts until it is deleted.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
func (o Options) mintedSince(name, value string) time.Time {
	now := time.Now()
	switch {
	case o.awsSession() && (value == o.env("AWS_SECRET_ACCESS_KEY") || value == o.env("AWS_SESSION_TOKEN")):
		return now.Add(-sessionLife)
	case strings.HasPrefix(value, "ghs_"): // of an installation of an app, as GITHUB_TOKEN is; ghp_ and github_pat_ are people's
		return now.Add(-githubLife)
	case strings.HasPrefix(value, "ya29."):
		return now.Add(-googleLife)
	case name == "ACTIONS_ID_TOKEN_REQUEST_TOKEN", name == "ACTIONS_RUNTIME_TOKEN":
		earliest := now.Add(-jobLife)
		if at := past(issued(value), now); at.After(earliest) {
			return at
		}
		return earliest
	case value == o.env("CI_JOB_TOKEN"): // CI_REGISTRY_PASSWORD is the same
		at, err := time.Parse(time.RFC3339, o.env("CI_PIPELINE_CREATED_AT"))
		if err == nil { // else it is zero
			return past(at, now)
		}
	case o.isIDToken(value):
		if at := past(issued(value), now); at.After(now.Add(-idTokenLife)) {
			return at
		}
	}
	return time.Time{}
}

// past is a moment that somebody else's clock gave, which is not after ours. One
// that is still to come is none: nothing would be old enough to hold the value.
func past(at, now time.Time) time.Time {
	switch {
	case at.After(now.Add(clockSkew)):
		return time.Time{}
	case at.After(now):
		return now
	}
	return at
}

// isIDToken says whether a value is what the CI has signed for this job.
func (o Options) isIDToken(value string) bool {
	return slices.ContainsFunc(o.Keyless.variables(), func(name string) bool { return strings.TrimSpace(o.env(name)) == strings.TrimSpace(value) })
}

func (o Options) awsSession() bool {
	return strings.HasPrefix(o.env("AWS_ACCESS_KEY_ID"), "ASIA") && o.env("AWS_SESSION_TOKEN") != ""
}

// issued is when a JWT says that it was made (RFC 7519, iat), or zero. It does
// not go by nbf, which may be long after that. The signature is not asked for:
// see mintedSince for whose it is.
func issued(value string) time.Time {
	parts := strings.Split(strings.TrimSpace(value), ".")
	if len(parts) != 3 || !strings.HasPrefix(parts[0], "eyJ") {
		return time.Time{}
	}
	body, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	var claims struct{ Iat float64 }
	if err != nil || json.Unmarshal(body, &claims) != nil || claims.Iat <= 0 || claims.Iat >= 1<<40 {
		return time.Time{}
	}
	return time.Unix(int64(claims.Iat), 0)
}
