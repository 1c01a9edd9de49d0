package hint

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
)

func TestOf(t *testing.T) {
	inner := Wrap(io.EOF, "inner %d", 1)
	err := errors.Join(Wrap(fmt.Errorf("outer: %w", inner), "outer"), errors.New("plain"), Wrap(io.EOF, "outer"))
	if got, want := Of(err), []string{"outer", "inner 1"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if !errors.Is(err, io.EOF) {
		t.Error("a hint hides the cause")
	}
	if Wrap(nil, "x") != nil || Of(nil) != nil {
		t.Error("no error became one")
	}
	if got := inner.Error(); got != "EOF" {
		t.Errorf("got %q: the hint is not part of the message", got)
	}
}

func TestNearest(t *testing.T) {
	ids := []string{"npm_token", "db_password", "x"}
	for name, want := range map[string]string{
		"npm_tokn": "npm_token", "npmtoken": "npm_token", "db_passwrod": "db_password",
		"DB_PASSWORD": "db_password", "NPM-TOKN": "npm_token", "dbPassword": "db_password", "npm.token": "npm_token",
		"redis": "", "": "", "y": "", "_": "",
	} {
		if got := Nearest(name, ids); got != want {
			t.Errorf("Nearest(%q): got %q, want %q", name, got, want)
		}
	}
	// What differs in writing only comes before what differs in a letter.
	if got := Nearest("NPM_TOKEN", []string{"npm_tokens", "NPM_TOKENS", "npm.token"}); got != "npm.token" {
		t.Errorf("got %q, want npm.token", got)
	}
}

func TestAlike(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"npm_token", "NPM_TOKEN", true}, {"npm_token", "npm-token", true}, {"npm_token", "npm.Token", true}, {"npm_token", "npmToken", true},
		{"npm_token", "npm_tokens", false}, {"npm_token", "npm/token", false}, {"", "", false}, {"_", "-", false},
	} {
		if got := Alike(tt.a, tt.b); got != tt.want || Alike(tt.b, tt.a) != tt.want {
			t.Errorf("Alike(%q, %q): got %v, want %v", tt.a, tt.b, got, tt.want)
		}
	}
}

func FuzzNearest(f *testing.F) {
	f.Add("npm_tokn", "npm_token")
	f.Fuzz(func(t *testing.T, name, candidate string) {
		got := Nearest(name, []string{candidate})
		if got != "" && got != candidate {
			t.Errorf("got %q, which is no candidate", got)
		}
		if name == candidate && name != "" && got != candidate {
			t.Errorf("the same name is not near: %q", name)
		}
	})
}
