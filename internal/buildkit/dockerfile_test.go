package buildkit

import (
	"path/filepath"
	"testing"
)

// TestFetchedContext: a Dockerfile of this machine is checked though its context
// is fetched; one that is fetched too is unread, and nothing is said of it.
func TestFetchedContext(t *testing.T) {
	const dockerfile = "# comment\nFROM scratch AS one\nENV DB_PASSWORD=hunter22\nCOPY . /\nADD a.tar /\nFROM one\nRUN --mount=type=secret,id=npm_tokn x\n"
	const want = "warning remote-context 0 the build context is fetched by BuildKit; warning unused-secret 0 no step mounts npm_token; warning secret-in-env 3; " +
		`error missing-secret 7 no source gives the secret "npm_tokn"`
	file := filepath.Join(folderOf(t, map[string]string{"My.Dockerfile": dockerfile}), "My.Dockerfile")
	for _, context := range []string{"https://git.invalid/team/app.git#main:sub", "git@git.invalid:team/app.git", "https://files.invalid/app.tar.gz"} {
		for name, req := range map[string]Request{
			"by its path": {Context: context, Dockerfile: file},
			"inline":      {Context: context, Inline: dockerfile},
		} {
			checked, err := Check(t.Context(), req, Given{IDs: []string{"npm_token"}})
			if err != nil {
				t.Errorf("%s, %s: %v", context, name, err)
				continue
			}
			if checked.Unread || len(checked.Mounts) != 1 || checked.Problems[0].Line != 0 {
				t.Errorf("%s, %s: got %+v", context, name, checked)
			}
			wantProblems(t, checked.Problems, want)
		}
		for _, name := range []string{"", "docker/Dockerfile"} {
			checked, err := Check(t.Context(), Request{Context: context, Dockerfile: name}, Given{IDs: []string{"npm_token"}})
			if err != nil || !checked.Unread || len(checked.Mounts) > 0 {
				t.Errorf("%s, %q: got %+v, %v", context, name, checked, err)
			}
			wantProblems(t, checked.Problems, "warning remote-context 0 the Dockerfile is fetched by BuildKit, and not checked here")
		}
	}
}
