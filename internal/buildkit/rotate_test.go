package buildkit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	contentlocal "github.com/containerd/containerd/v2/plugins/content/local"
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

// TestRotation: of five stages with three secrets, exactly the steps run again
// that mount a secret which has changed, and those that build on them. (COPY
// asks for content: what ran again and wrote the same files changes nothing.)
func TestRotation(t *testing.T) {
	e := private(t, t.TempDir())
	defer e.Close()
	dir := buildContext(t, fiveStages)
	values := map[string]string{"a": "1", "b": "1", "c": "1"}
	build := func(rotate func(string) string) string {
		t.Helper()
		store, err := contentlocal.NewStore(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		out := output(&log)
		out.Progress = "rawjson"
		if _, err := e.Solve(t.Context(), Request{
			Context: dir, Store: store, Rotate: rotate,
			Secret: func(id string) ([]byte, error) {
				if values[id] == "" {
					return nil, fmt.Errorf("%s: %w", id, os.ErrNotExist)
				}
				return []byte(values[id]), nil
			},
		}, out); err != nil {
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
	mac := func(id string) string { return "mac-of-" + values[id] }
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
			values = map[string]string{"a": tt.a, "b": tt.b, "c": tt.c}
			rotate := mac
			if tt.rotation == "off" {
				rotate = nil
			}
			if ran := build(rotate); ran != tt.ran {
				t.Errorf("ran: got %q, want %q", ran, tt.ran)
			}
		})
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
