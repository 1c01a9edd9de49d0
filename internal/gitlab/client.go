// Package gitlab looks at the CI/CD variables of GitLab's projects and groups
// and sets them from secrets: [Audit] says which would leak and why, [Plan] and
// [Client.Apply] make them what a SOPS file says.
//
// It is the only importer of GitLab's API client. A value leaves it in the body
// of a request that sets it and nowhere else: not in an address, a log, an
// error or a report.
package gitlab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/secret"
	api "gitlab.com/gitlab-org/api/client-go/v2"
)

const (
	perPage = 100 // the most that GitLab gives
	// maxPages is beyond what GitLab lets a group have (30,000 variables).
	maxPages = 1000
	// maxAnswer bounds what is read of one answer, in bytes.
	maxAnswer = 256 << 20
	// maxWait is the longest that a server may make us wait between two tries.
	maxWait = 2 * time.Minute
	timeout = 2 * time.Minute // of one request
)

// Options say which GitLab is meant and who asks.
type Options struct {
	// URL is that of the instance or of its API (https://gitlab.example.com,
	// https://gitlab.example.com/api/v4).
	URL string
	// Token is a personal, project or group access token with the scope api.
	Token     secret.Secret
	UserAgent string
	// Transport is nil for Go's own, with the proxies of the environment.
	Transport http.RoundTripper
}

// A Client speaks to one GitLab.
type Client struct {
	api  *api.Client
	host string
}

// New makes a Client. It asks nothing yet.
func New(o Options) (*Client, error) {
	u, err := checkURL(o.URL)
	if err != nil {
		return nil, err
	}
	if o.Token.Len() == 0 {
		return nil, errors.New("no token for GitLab's API")
	}
	transport := o.Transport
	if transport == nil {
		transport = http.DefaultTransport
	}
	client, err := api.NewClient(plain(o.Token),
		api.WithBaseURL(u.String()),
		api.WithHTTPClient(&http.Client{Transport: bounded{transport}, Timeout: timeout, CheckRedirect: noRedirect}),
		api.WithCustomBackoff(backoff),
		api.WithOnlyIdempotentRetries(), // a POST that failed may have been done
		api.WithURLWarningLogger(slog.New(slog.DiscardHandler)),
		api.WithUserAgent(cmp.Or(o.UserAgent, "secure-build")),
	)
	if err != nil {
		return nil, fmt.Errorf("reading the address of GitLab: %w", err)
	}
	return &Client{client, u.Host}, nil
}

// plain is the one place of this package where a plaintext is taken out.
func plain(s secret.Secret) string { return string(s.Reveal()) }

// checkURL refuses an address to which a token and secrets would go in clear
// text, or whose meaning is not plain.
func checkURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" {
		return nil, hint.Wrap(errors.New("reading the address of GitLab: it is no plain URL"), "it looks like https://gitlab.example.com")
	}
	ip := net.ParseIP(u.Hostname())
	if local := u.Hostname() == "localhost" || ip.IsLoopback(); u.Scheme != "https" && (u.Scheme != "http" || !local) {
		return nil, hint.Wrap(fmt.Errorf("reading the address of GitLab: %s would send the token and the secrets in clear text", oneLine(u.Scheme+"://"+u.Host)),
			"use https://%s", oneLine(u.Host))
	}
	return u, nil
}

// noRedirect gives a redirection back as the answer: Go would send the token's
// header on to any host.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// bounded cuts off an answer that does not end.
type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	}
	return resp, err
}

// backoff waits for as long as a server says in Retry-After (RFC 9110, 10.2.3),
// or else twice as long each time. The client itself knows RateLimit-Reset only.
func backoff(low, _ time.Duration, attempt int, resp *http.Response) time.Duration {
	wait := low << min(attempt, 6)
	if resp == nil {
		return wait
	}
	if after, ok := retryAfter(resp.Header.Get("Retry-After"), time.Now()); ok {
		wait = max(wait, after)
	} else if reset, err := strconv.ParseInt(resp.Header.Get("RateLimit-Reset"), 10, 64); err == nil {
		wait = max(wait, time.Until(time.Unix(reset, 0)))
	}
	return min(wait, maxWait)
}

func retryAfter(header string, now time.Time) (time.Duration, bool) {
	if seconds, err := strconv.Atoi(header); err == nil && seconds >= 0 {
		return time.Duration(min(seconds, 1<<20)) * time.Second, true
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(0, at.Sub(now)), true
	}
	return 0, false
}

// Errors that a caller deals with.
var (
	errGone  = errors.New("it is not there any more")
	errTaken = errors.New("a variable of this name and scope is there already")
	// errUnlike is a variable that GitLab made otherwise than it was told.
	errUnlike = errors.New("GitLab did not do as it was told")
)

// A refusal is an answer of the API that is an error.
type refusal struct {
	error
	status int
}

func (r refusal) Unwrap() error { return r.error }

// oneOnly says whether an error stands against one variable only, so that the
// others can go on.
func oneOnly(err error) bool {
	var r refusal
	return errors.As(err, &r) && (r.status == http.StatusBadRequest || r.status == http.StatusConflict || r.status == http.StatusUnprocessableEntity) ||
		errors.Is(err, errUnlike) || errors.Is(err, errGone) || errors.Is(err, errTaken)
}

// explain puts an answer of the API in our words, with what to do about it.
func (c *Client) explain(doing string, o Owner, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s of %s: %w", doing, o, err)
	}
	var answer *api.ErrorResponse
	if !errors.As(err, &answer) {
		return hint.Wrap(fmt.Errorf("%s of %s: %s", doing, o, brief(err.Error())), "is %s a GitLab, and reachable from here?", c.host)
	}
	status := answer.StatusCode
	var out error = refusal{fmt.Errorf("%s of %s: %s", doing, o, said(answer)), status}
	switch {
	case status == http.StatusUnauthorized:
		return hint.Wrap(out, "GitLab does not know this token: it is mistyped, expired or revoked")
	case status == http.StatusForbidden:
		return hint.Wrap(out, "variables need a token with the scope api, of a Maintainer of the project or an Owner of the group")
	case status == http.StatusNotFound:
		return hint.Wrap(out, "%s does not exist at %s, or this token may not see it", o, c.host)
	case status == http.StatusTooManyRequests:
		return hint.Wrap(out, "GitLab limits the rate of requests; run it again later, it goes on where it ended")
	case status >= 300 && status < 400:
		return hint.Wrap(out, "it has moved; give its present address or path")
	}
	return out
}

// said is an answer in half a line: "401 Unauthorized".
func said(answer *api.ErrorResponse) string {
	code, message := strconv.Itoa(answer.StatusCode), brief(answer.Message)
	if inner, ok := strings.CutPrefix(message, "{message: "); ok && !strings.ContainsAny(strings.TrimSuffix(inner, "}"), "{}") {
		message = strings.TrimSuffix(inner, "}")
	}
	if strings.HasPrefix(message, code) {
		return message
	}
	return strings.TrimSpace(code + " " + message)
}

// brief is a server's message on one line, cut.
func brief(message string) string {
	const most = 300
	message = strings.TrimSpace(oneLine(message))
	if len(message) > most {
		message = strings.ToValidUTF8(message[:most], "") + "…"
	}
	return message
}

// oneLine keeps what a server says from writing control sequences.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return ' '
		}
		return r
	}, text)
}
