package buildkit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	stdlog "log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	contentlocal "github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/google/go-containerregistry/pkg/registry"
)

const fiveStages = shell + `
FROM base AS one
RUN --mount=type=secret,id=a echo one > /one
FROM base AS two
RUN --mount=type=secret,id=b,env=B echo two > /two
FROM one AS three
RUN echo three > /three
FROM base AS four
RUN --mount=type=secret,id=b --mount=type=secret,id=c echo four > /four
FROM three
COPY --from=two /two /two
COPY --from=four /four /four
RUN --mount=type=secret,id=c echo five > /five
`

// steps reads BuildKit's own status stream: what each step of the Dockerfile
// did, "ran" or "cached".
func steps(t *testing.T, rawjson string) map[string]string {
	t.Helper()
	name := regexp.MustCompile(`echo (\w+) >|COPY --from=(\w+)`)
	did := map[string]string{}
	for line := range strings.Lines(rawjson) {
		var status struct {
			Vertexes []struct {
				Name              string
				Started, Complete *string
				Cached            bool
			}
		}
		if err := json.Unmarshal([]byte(line), &status); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		for _, v := range status.Vertexes {
			m := name.FindStringSubmatch(v.Name)
			switch {
			case m == nil:
				continue
			case m[2] != "":
				m[1] = "copy-" + m[2]
			}
			switch {
			case v.Cached:
				did[m[1]] = "cached"
			case v.Started != nil && did[m[1]] == "":
				did[m[1]] = "ran"
			}
		}
	}
	return did
}

// A rotor builds the five stages and says which steps ran.
type rotor struct {
	dir    string
	values map[string]string
	from   []Cache
}

func (r *rotor) request(store content.Store, rotates bool) Request {
	req := Request{
		Context: r.dir, Store: store, CacheFrom: r.from,
		Secret: func(id string) ([]byte, error) {
			if r.values[id] == "" {
				return nil, fmt.Errorf("%s: %w", id, os.ErrNotExist)
			}
			return []byte(r.values[id]), nil
		},
	}
	if rotates {
		req.Rotate = func(id string) string { return "mac-of-" + r.values[id] }
	}
	return req
}

func (r *rotor) build(t *testing.T, e *Engine, rotates bool) string {
	t.Helper()
	store, err := contentlocal.NewStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	out := output(&log)
	out.Progress = "rawjson"
	if _, err := e.Solve(t.Context(), r.request(store, rotates), out); err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	if strings.Contains(log.String(), "mac-of") {
		t.Errorf("the digest is shown:\n%s", &log)
	}
	var ran []string
	for step, did := range steps(t, log.String()) {
		if did == "ran" {
			ran = append(ran, step)
		}
	}
	slices.Sort(ran)
	return strings.Join(ran, " ")
}

// TestRotation: of five stages with three secrets, exactly the steps run again
// that mount a secret which has changed, and those that build on them. (COPY
// asks for content: what ran again and wrote the same files changes nothing.)
func TestRotation(t *testing.T) {
	e := private(t, t.TempDir())
	defer e.Close()
	r := &rotor{dir: buildContext(t, fiveStages)}
	const all = "copy-four copy-two five four one three two"
	for _, tt := range []struct{ name, a, b, c, rotation, ran string }{
		{"cold", "1", "1", "1", "on", all},
		{"nothing changed", "1", "1", "1", "on", ""},
		{"a", "2", "1", "1", "on", "copy-four copy-two five one three"},
		{"b, in two stages and as a variable", "2", "2", "1", "on", "four two"},
		{"c, in the last stage too", "2", "2", "2", "on", "five four"},
		{"back to the first values", "1", "1", "1", "on", ""},
		{"a and c", "2", "1", "2", "on", "four"}, // the others as in two builds above
		{"off", "1", "1", "1", "off", all},       // other ids, other cache
		{"off, everything changed", "9", "9", "9", "off", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r.values = map[string]string{"a": tt.a, "b": tt.b, "c": tt.c}
			if ran := r.build(t, e, tt.rotation == "on"); ran != tt.ran {
				t.Errorf("ran: got %q, want %q", ran, tt.ran)
			}
		})
	}
}

// TestRotationFromARegistry: the same for a daemon with nothing in its cache,
// which takes from a registry what another one has exported.
func TestRotationFromARegistry(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(stdlog.New(io.Discard, "", 0))))
	defer server.Close()
	cache := Cache{"registry", map[string]string{"ref": strings.TrimPrefix(server.URL, "http://") + "/app:cache", "mode": "max"}}
	first := private(t, t.TempDir())
	r := &rotor{dir: buildContext(t, fiveStages), values: map[string]string{"a": "1", "b": "1", "c": "1"}}
	r.build(t, first, true)
	if err := first.Publish(t.Context(), r.request(nil, true), cache, output(io.Discard)); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	r.from = []Cache{cache}
	for _, tt := range []struct{ name, b, c, ran string }{
		{"nothing changed", "1", "1", ""},
		{"b", "2", "1", "four two"},
		{"c", "1", "2", "five four"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			empty := private(t, t.TempDir())
			defer empty.Close()
			r.values = map[string]string{"a": "1", "b": tt.b, "c": tt.c}
			if ran := r.build(t, empty, true); ran != tt.ran {
				t.Errorf("ran: got %q, want %q", ran, tt.ran)
			}
		})
	}
}

// TestPublishRunsNothing: what the daemon writes by itself has to be what was
// scanned, so it is given up when a step would run.
func TestPublishRunsNothing(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(stdlog.New(io.Discard, "", 0))))
	defer server.Close()
	e := private(t, t.TempDir())
	defer e.Close()
	for name, last := range map[string]string{
		"with a secret": "RUN --mount=type=secret,id=a echo one > /one\n", "without one": "RUN echo two > /two\n",
	} {
		ref := strings.TrimPrefix(server.URL, "http://") + "/app:cache"
		r := &rotor{dir: buildContext(t, shell+last), values: map[string]string{"a": "1"}}
		err := e.Publish(t.Context(), r.request(nil, true), Cache{"registry", map[string]string{"ref": ref}}, output(io.Discard))
		if err == nil || !strings.Contains(err.Error(), "not what was scanned") {
			t.Errorf("a step %s: got %v, want an error", name, err)
		}
		resp, err := http.Get(server.URL + "/v2/app/manifests/cache")
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusNotFound {
			t.Errorf("a step %s: the cache was written", name)
		}
	}
}

// TestPublishOfASmallStep: a step that takes no time is heard of before what it
// has made is exported, which takes no time either, however late we listen.
func TestPublishOfASmallStep(t *testing.T) {
	var puts atomic.Int32
	store := registry.New(registry.Logger(stdlog.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			puts.Add(1)
		}
		store.ServeHTTP(w, r)
	}))
	defer server.Close()
	e := private(t, t.TempDir())
	defer e.Close()
	r := &rotor{dir: buildContext(t, "FROM scratch\nCOPY small /small\n")}
	cache := Cache{"registry", map[string]string{"ref": strings.TrimPrefix(server.URL, "http://") + "/app:cache"}}
	slow := output(io.Discard)
	slow.Redact = func(s string) string { time.Sleep(20 * time.Millisecond); return s }
	for i := range 3 {
		write(t, filepath.Join(r.dir, "small"), fmt.Sprint(i))
		if err := e.Publish(t.Context(), r.request(nil, false), cache, slow); err == nil || !strings.Contains(err.Error(), "not what was scanned") {
			t.Errorf("got %v, want an error", err)
		}
		if n := puts.Swap(0); n > 0 {
			t.Errorf("%d writes to the registry", n)
		}
	}
	r.build(t, e, false)
	if err := e.Publish(t.Context(), r.request(nil, false), cache, output(io.Discard)); err != nil || puts.Load() == 0 {
		t.Errorf("nothing has changed: got %v, %d writes", err, puts.Load())
	}
}

func TestSyntax(t *testing.T) {
	for _, tt := range []struct {
		dockerfile, arg string
		served          bool
		newer           string
	}{
		{"FROM scratch\n", "", false, ""},
		{"# syntax=docker/dockerfile:1\nFROM scratch\n", "", true, ""},
		{"# syntax = docker.io/docker/dockerfile:1.4.3\nFROM scratch\n", "", true, ""},
		{"# syntax=docker/dockerfile:1.999\nFROM scratch\n", "", true, "1.999"},
		{"# syntax=docker/dockerfile:1-labs\nFROM scratch\n", "", false, ""},
		{"# syntax=docker/dockerfile:2\nFROM scratch\n", "", false, ""},
		{"# syntax=docker/dockerfile:1@sha256:0123\nFROM scratch\n", "", false, ""},
		{"# syntax=example.com/docker/dockerfile:1\nFROM scratch\n", "", false, ""},
		{"# syntax=example.com/frontend\nFROM scratch\n", "docker/dockerfile:1 x", true, ""},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(tt.dockerfile), 0o600); err != nil {
			t.Fatal(err)
		}
		req := Request{Context: dir, BuildArgs: map[string]string{}}
		if tt.arg != "" {
			req.BuildArgs["BUILDKIT_SYNTAX"] = tt.arg
		}
		attrs := map[string]string{}
		serve(req, attrs)
		if got := attrs["cmdline"] != ""; got != tt.served {
			t.Errorf("%q: served by the built-in frontend: got %v, want %v", tt.dockerfile, got, tt.served)
		}
		if got, _ := Newer(req); got != tt.newer {
			t.Errorf("%q: newer: got %q, want %q", tt.dockerfile, got, tt.newer)
		}
	}
}

// TestRotatedIDs: only ids that the rotation has made are turned back.
func TestRotatedIDs(t *testing.T) {
	r := newRotation(func(id string) string {
		if id == "known" {
			return "mac"
		}
		return ""
	}, nil)
	for id, want := range map[string]string{"known": "known@mac", "unknown": "unknown", "known@mac": "known@mac"} {
		if got := r.rotate(id); got != want {
			t.Errorf("rotating %q: got %q, want %q", id, got, want)
		}
	}
	for id, want := range map[string]string{"known@mac": "known", "known@other": "known@other", "known": "known"} {
		if got := r.original(id); got != want {
			t.Errorf("the original of %q: got %q, want %q", id, got, want)
		}
	}
}
