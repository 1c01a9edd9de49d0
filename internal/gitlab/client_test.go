package gitlab

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/org/secure-build/internal/gitlab/gitlabtest"
	"github.com/org/secure-build/internal/hint"
)

func TestErrors(t *testing.T) {
	for _, tt := range []struct {
		name       string
		token      string
		owner      Owner
		answer     *gitlabtest.Answer
		want, hint string
	}{
		{"401", "glpat-unknown", app, nil, "listing the variables of project team/app: 401 Unauthorized", "expired or revoked"},
		{"403", gitlabtest.ReadOnly, team, nil, "listing the variables of group 7: 403 Forbidden", "Maintainer of the project or an Owner of the group"},
		{"404", gitlabtest.Token, Owner{ID: "9"}, nil, "listing the variables of project 9: 404", "does not exist"},
		{"moved", gitlabtest.Token, app, &gitlabtest.Answer{Status: 301, Header: map[string]string{"Location": "/api/v4/projects/7/variables"}}, "301", "it has moved"},
		{"a page for people", gitlabtest.Token, app, &gitlabtest.Answer{Status: 200, Body: "<html>\x1b[2J sign in"}, "invalid character", "a GitLab, and reachable"},
		{"a long message", gitlabtest.Token, app, &gitlabtest.Answer{Status: 400, Body: `{"message":"\u001b[2J` + strings.Repeat("x", 9999) + `"}`}, "400  [2Jxxx", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var s gitlabtest.Server
			serve(t, &s)
			if tt.answer != nil {
				s.Before = func(gitlabtest.Request) *gitlabtest.Answer { return tt.answer }
			}
			web := httptest.NewServer(&s)
			defer web.Close()
			_, err := client(t, web.URL, tt.token).List(t.Context(), tt.owner)
			if err == nil {
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), tt.want) || len(err.Error()) > 500 || strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			if h := strings.Join(hint.Of(err), " "); !strings.Contains(h, tt.hint) {
				t.Errorf("hint: got %q, want %s", h, tt.hint)
			}
			if strings.Contains(err.Error(), tt.token) {
				t.Errorf("the token is in %v", err)
			}
		})
	}
}

// TestRedirection: the token is not sent on, which Go would do with a header
// that it does not know.
func TestRedirection(t *testing.T) {
	asked := 0
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer other.Close()
	var s gitlabtest.Server
	c := serve(t, &s)
	s.Before = func(gitlabtest.Request) *gitlabtest.Answer {
		return &gitlabtest.Answer{Status: 302, Header: map[string]string{"Location": other.URL}}
	}
	if _, err := c.List(t.Context(), app); err == nil || asked > 0 {
		t.Errorf("got %v, and the other host was asked %d times", err, asked)
	}
}

// TestRateLimit: a 429 is waited for as long as Retry-After says, also for a
// POST, which was not done then.
func TestRateLimit(t *testing.T) {
	var s gitlabtest.Server
	c := serve(t, &s)
	refused := map[string]time.Time{}
	s.Before = func(r gitlabtest.Request) *gitlabtest.Answer {
		if at, ok := refused[r.Method]; !ok {
			refused[r.Method] = time.Now()
			return &gitlabtest.Answer{Status: 429, Header: map[string]string{"Retry-After": "1"}, Body: "Retry later\n"}
		} else if waited := time.Since(at); waited < 900*time.Millisecond {
			t.Errorf("%s again after %v, want 1 s", r.Method, waited)
		}
		return nil
	}
	if _, err := apply(t, c, secrets(t, "x", canary+"12345"), SyncOptions{Owner: app}); err != nil {
		t.Fatal(err)
	}
	if got := find(t, &s, project, "X"); got.Value != canary+"12345" {
		t.Errorf("got %+v", got)
	}
}

func TestBackoff(t *testing.T) {
	answer := func(name, value string) *http.Response {
		return &http.Response{Header: http.Header{name: {value}}}
	}
	const low = 100 * time.Millisecond
	for _, tt := range []struct {
		resp     *http.Response
		attempt  int
		min, max time.Duration
	}{
		{nil, 0, low, low},
		{nil, 3, 8 * low, 8 * low},
		{nil, 1 << 40, 64 * low, 64 * low},
		{answer("Retry-After", "7"), 0, 7 * time.Second, 7 * time.Second},
		{answer("Retry-After", time.Now().Add(30*time.Second).UTC().Format(http.TimeFormat)), 0, 25 * time.Second, 31 * time.Second},
		{answer("Retry-After", "99999999999"), 0, maxWait, maxWait},
		{answer("Retry-After", "-1"), 0, low, low},
		{answer("Retry-After", "soon"), 0, low, low},
		{answer("Ratelimit-Reset", "1"), 0, low, low},
	} {
		if got := backoff(low, 0, tt.attempt, tt.resp); got < tt.min || got > tt.max {
			t.Errorf("attempt %d, %v: got %v, want %v to %v", tt.attempt, tt.resp, got, tt.min, tt.max)
		}
	}
}

// TestServerErrorsOfAPOST are not tried again: it may have been done. The next
// run finds out.
func TestServerErrorsOfAPOST(t *testing.T) {
	var s gitlabtest.Server
	c := serve(t, &s)
	posts := 0
	s.Before = func(r gitlabtest.Request) *gitlabtest.Answer {
		if r.Method == "POST" {
			posts++
			return &gitlabtest.Answer{Status: 502, Body: "<html>bad gateway"}
		}
		return nil
	}
	_, err := apply(t, c, secrets(t, "x", canary+"11111", "y", canary+"22222"), SyncOptions{Owner: app})
	if err == nil || posts != 1 {
		t.Errorf("got %v after %d POSTs, want an error after 1", err, posts)
	}
}
