package authfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tree makes folders with an empty config.json in each.
func tree(t *testing.T, dirs ...string) (root string) {
	t.Helper()
	root = t.TempDir()
	for _, dir := range dirs {
		dir = filepath.Join(root, dir)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestDir(t *testing.T) {
	// The folders that Docker's documentation shows, and those that the tests of
	// docker/login-action make.
	docs := []string{"registry.example.com/team/app@pull", "registry.example.com/team/app@pull,push"}
	for name, tt := range map[string]struct {
		dirs   []string
		host   string
		scopes []string
		want   string
	}{
		"none":               {nil, "registry.example.com", []string{Scope("team/app", "pull")}, ""},
		"to pull":            {docs, "registry.example.com", []string{Scope("team/app", "pull")}, docs[0]},
		"to push":            {docs, "registry.example.com", []string{Scope("team/app", "pull", "push")}, docs[1]},
		"push, then pull":    {docs, "registry.example.com", []string{Scope("team/app", "push", "pull")}, docs[1]},
		"another repository": {docs, "registry.example.com", []string{Scope("team/other", "pull")}, ""},
		"a longer name":      {docs, "registry.example.com", []string{Scope("team/app/x", "pull")}, ""},
		"a shorter name":     {docs, "registry.example.com", []string{Scope("team", "pull")}, ""},
		"another host":       {docs, "registry.example.com:5000", []string{Scope("team/app", "pull")}, ""},
		"a host's":           {[]string{"a"}, "a", []string{Scope("x", "pull")}, "a"},
		"a host's, to push":  {[]string{"a@push"}, "a", []string{Scope("x", "pull", "push")}, "a@push"},
		"which is not pull":  {[]string{"a@push"}, "a", []string{Scope("x", "pull")}, ""},
		"one of each":        {[]string{"a@pull", "a@push"}, "a", []string{Scope("x", "pull", "push")}, "a@push"},
		"a repository's":     {[]string{"a@pull,push", "a/x"}, "a", []string{Scope("x", "pull", "push")}, "a/x"},
		"the hub":            {[]string{DockerHub + "/myscope"}, DockerHub, []string{Scope("myscope", "pull")}, DockerHub + "/myscope"},
		"a port":             {[]string{"h:1/x@pull"}, "h:1", []string{Scope("x", "pull")}, "h:1/x@pull"},
		"twice the same":     {[]string{"a/x"}, "a", []string{Scope("x", "pull"), Scope("x", "push")}, "a/x"},
		"two in one string":  {[]string{"a/x@pull,push"}, "a", []string{Scope("x", "pull") + " " + Scope("x", "push")}, "a/x@pull,push"},
		"two repositories":   {[]string{"a", "a/x"}, "a", []string{Scope("x", "push"), Scope("y", "pull")}, ""},
		"a whole registry":   {[]string{"a"}, "a", []string{"registry:catalog:*"}, ""},
		"nothing":            {[]string{"a"}, "a", nil, ""},
		"no scope":           {[]string{"a"}, "a", []string{""}, ""},
		"out of the folder":  {[]string{"a"}, "..", []string{Scope("x", "pull")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			root := tree(t, tt.dirs...)
			got := strings.TrimPrefix(Dir(root, tt.host, tt.scopes), root+"/")
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	if got := Dir("", "a", []string{Scope("x", "pull")}); got != "" {
		t.Errorf("without a folder: got %q", got)
	}
}

// FuzzDir: whatever a registry asks for, nothing of another host is found.
func FuzzDir(f *testing.F) {
	f.Add("a", "repository:x:pull")
	f.Add("b/x", "repository:../a:pull")
	f.Add("..", "repository::")
	f.Fuzz(func(t *testing.T, host, scope string) {
		if got := Dir(filepath.Join("testdata", "config"), host, []string{scope}); got != "" && host != "a" {
			t.Errorf("%q gets %q", host, got)
		}
	})
}
