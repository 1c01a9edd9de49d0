package buildkit

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	contentlocal "github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/moby/buildkit/session/secrets"
)

// valued answers for the ids of a map, as a vault does.
func valued(values map[string]string) func(string) ([]byte, error) {
	return func(id string) ([]byte, error) {
		v, ok := values[id]
		if !ok {
			return nil, fmt.Errorf("reading the secret %q: %w", id, os.ErrNotExist)
		}
		return []byte(v), nil
	}
}

// TestLacking: what BuildKit asks for is there, may be missing, or ends the
// build, whatever the Dockerfile says of required (I7).
func TestLacking(t *testing.T) {
	broken := errors.New("the vault is closed")
	for _, tt := range []struct {
		id, value string
		err       string // what is noted, and what BuildKit is told
		none      bool   // BuildKit is told that there is none
	}{
		{id: "token", value: "x"},
		{id: "empty", err: `the secret "empty" is empty`},
		{id: "npm-token", err: `no source gives the secret "npm-token"`},
		{id: "may", none: true},
		{id: "void"},
		{id: "GIT_AUTH_TOKEN.github.com", none: true},
		{id: "HTTP_AUTH_TOKEN_empty"},
	} {
		l := newLacking(Request{
			Secret: valued(map[string]string{"token": "x", "empty": "", "void": "", "HTTP_AUTH_TOKEN_empty": ""}),
			Given:  Given{IDs: []string{"token", "empty"}, Optional: []string{"may", "void"}},
		})
		v, err := l.secret(tt.id)
		if tt.none {
			if !errors.Is(err, secrets.ErrNotFound) {
				t.Errorf("%s: got %v, want none", tt.id, err)
			}
		} else if !says(err, tt.err) || string(v) != tt.value {
			t.Errorf("%s: got %q, %v; want %q, %q", tt.id, v, err, tt.value, tt.err)
		}
		unfit := new(Unfit)
		if err := l.unfit(); (err != nil) != (tt.err != "") || err != nil && (!errors.Is(err, ErrContract) || !errors.As(err, &unfit) || unfit.Problems[0].Remedy == "" || !says(err, tt.err)) {
			t.Errorf("%s: got %v, want %q", tt.id, err, tt.err)
		}
	}
	l := newLacking(Request{Secret: func(string) ([]byte, error) { return nil, broken }})
	if _, err := l.secret("token"); !errors.Is(err, broken) || l.unfit() != nil {
		t.Errorf("got %v and %v, want only what went wrong", err, l.unfit())
	}
}

// TestSolveLacks: a mount that nothing serves ends the build before its first
// step runs, with its line, though that step is cached.
func TestSolveLacks(t *testing.T) {
	e := private(t, t.TempDir())
	defer e.Close()
	store, err := contentlocal.NewStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	req := Request{
		Context: buildContext(t, shell+"RUN --mount=type=secret,id=nope --mount=type=secret,id=empty,env=E --mount=type=secret,id=gone,env=G test -z \"$E$G\" && echo it runs\nRUN --mount=type=secret,id=must,required=true true\n"),
		Store:   store,
		Given:   Given{Optional: []string{"nope", "empty", "gone", "must"}},
		Secret:  valued(map[string]string{"empty": "", "must": "x"}),
	}
	var log bytes.Buffer
	if _, err := e.Solve(t.Context(), req, output(&log)); err != nil || !strings.Contains(log.String(), "it runs\n") {
		t.Fatalf("with leave: got %v\n%s", err, &log)
	}
	req.Given, req.Secret = Given{IDs: []string{"nop"}, Optional: []string{"gone", "must"}}, valued(map[string]string{"empty": ""})
	log.Reset()
	_, err = e.Solve(t.Context(), req, output(&log))
	unfit := new(Unfit)
	if !errors.As(err, &unfit) || !errors.Is(err, ErrContract) {
		t.Fatalf("got %v, want what does not fit", err)
	}
	wantProblems(t, unfit.Problems, `error empty-secret 4 the secret "empty" is empty; error missing-secret 4 no source gives the secret "nope"; error missing-secret 5 no source gives the secret "must"`)
	if got, want := unfit.Problems[1].Remedy, `did you mean "nop"?`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if strings.Contains(log.String(), "it runs\n") || strings.Contains(log.String(), "CACHED") {
		t.Errorf("a step ran:\n%s", &log)
	}
}
