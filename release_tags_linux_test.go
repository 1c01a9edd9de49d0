package securebuild_test

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sourceWithoutCode has a release.sh that builds nothing: the program of each
// system is the version.
func sourceWithoutCode(t *testing.T) string {
	t.Helper()
	source := t.TempDir()
	program := `#!/bin/sh
set -eu
mkdir -p dist
echo "$1" >dist/secure-build_$1.tar.gz
echo "$(echo "v$1" | sha256sum | cut -d' ' -f1)  secure-build_$1_linux_amd64" | tee checksums.txt >dist/checksums.txt
`
	if err := os.MkdirAll(filepath.Join(source, "scripts"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"scripts/release.sh": program, ".gitignore": "/bin/\n/dist/\n"} {
		if err := os.WriteFile(filepath.Join(source, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return source
}

// TestReleaseTags: v1 names the newest release of its major version, and no
// release is made twice. Nothing is built for it.
func TestReleaseTags(t *testing.T) {
	f := newForge(t, sourceWithoutCode(t))
	for _, tt := range []struct{ version, major, v1, prerelease string }{
		{"1.2.3-rc.1", "", "", "true"},
		{"1.2.3", "1", "1.2.3", "false"},
		{"1.10.0", "1", "1.10.0", "false"},
		{"1.2.4", "", "1.10.0", "false"}, // a fix for those who stay
		{"1.11.0-rc.1", "", "1.10.0", "true"},
		{"2.0.0", "2", "1.10.0", "false"},
		{"1.10.1", "1", "1.10.1", "false"},
		{"10.0.0", "10", "1.10.1", "false"},
	} {
		outputs, log, err := f.release(tt.version)
		if err != nil || outputs["major"] != tt.major {
			t.Fatalf("%s: got %v, outputs %v, want %q\n%s", tt.version, err, outputs, tt.major, log)
		}
		if got := f.git(f.origin, "show", "v"+tt.version+":checksums.txt"); !strings.HasSuffix(got, "  secure-build_"+tt.version+"_linux_amd64") {
			t.Errorf("v%s has the checksums %q", tt.version, got)
		}
		if got := f.git(f.origin, "for-each-ref", "--format", "%(objectname) v1", "refs/tags/v1"); tt.v1 != "" && got != f.git(f.origin, "rev-parse", "v"+tt.v1)+" v1" || tt.v1 == "" && got != "" {
			t.Errorf("after %s: got %q, want v%s", tt.version, got, tt.v1)
		}
		if got, err := os.ReadFile(filepath.Join(f.releases, "v"+tt.version+".prerelease")); string(got) != tt.prerelease+"\n" || err != nil {
			t.Errorf("%s: got a prerelease: %s, %v", tt.version, got, err)
		}
	}
	before := f.git(f.origin, "show-ref")
	if _, log, err := f.release("1.2.3"); err == nil || f.git(f.origin, "show-ref") != before {
		t.Errorf("a second 1.2.3: got %v\n%s", err, log)
	}
}

// image runs the workflow's job of the image, with a make that builds the given
// program, and returns what the action gets.
func (f forge) image(version, commit, major, program string) (with map[string]string, log string, err error) {
	f.t.Helper()
	bin := f.t.TempDir()
	command := "#!/bin/sh\n[ \"$*\" = 'image VERSION=v" + version + "' ] && mkdir bin && echo '" + program + "' >bin/secure-build\n"
	if err := os.WriteFile(filepath.Join(bin, "make"), []byte(command), 0o755); err != nil {
		f.t.Fatal(err)
	}
	r := runner{t: f.t, env: append([]string{"PATH=" + bin + ":" + os.Getenv("PATH")}, f.env[1:]...), expressions: map[string]string{
		"inputs.version": version, "github.token": "token", "github.actor": "somebody", "github.repository": "org/secure-build",
		"needs.archives.outputs.commit": commit, "needs.archives.outputs.major": major,
	}}
	r.actions = map[string]func(*actionStep){
		"actions/checkout": func(s *actionStep) {
			if s.With["persist-credentials"] != "false" {
				f.t.Error("the checkout keeps a token that no step needs")
			}
			r.dir = filepath.Join(f.t.TempDir(), "checkout")
			f.git(".", "clone", "--quiet", f.origin, r.dir)
			f.git(r.dir, "checkout", "--quiet", r.value(s.With["ref"]))
		},
		"actions/setup-go": func(*actionStep) {}, "docker/setup-buildx-action": func(*actionStep) {},
		"./": func(s *actionStep) {
			with = map[string]string{}
			for name, value := range s.With {
				with[name] = r.value(value)
			}
		},
	}
	_, err = r.job(readWorkflow(f.t, ".github", "workflows", "release.yml"), "image")
	return with, r.log.String(), err
}

// TestReleaseImage: it holds the program of the archives, or is not made, and
// its names move as the tags do.
func TestReleaseImage(t *testing.T) {
	f := newForge(t, sourceWithoutCode(t))
	for _, tt := range []struct{ version, tags string }{
		{"1.2.3-rc.1", "ghcr.io/org/secure-build:1.2.3-rc.1"},
		{"1.2.3", "ghcr.io/org/secure-build:1.2.3,ghcr.io/org/secure-build:1"},
	} {
		outputs, log, err := f.release(tt.version)
		if err != nil {
			t.Fatalf("%s: %v\n%s", tt.version, err, log)
		}
		with, log, err := f.image(tt.version, outputs["commit"], outputs["major"], "v"+tt.version)
		if err != nil || with["tags"] != tt.tags || with["push"] != "true" || with["password"] != "token" {
			t.Errorf("%s: got %v, %v\n%s", tt.version, with, err, log)
		}
		if with, _, err := f.image(tt.version, outputs["commit"], outputs["major"], "another program"); err == nil || with != nil {
			t.Errorf("%s: another program than the archives': got %v, %v", tt.version, with, err)
		}
	}
}

// TestReleaseMayDoNoMore than its jobs need.
func TestReleaseMayDoNoMore(t *testing.T) {
	w := readWorkflow(t, ".github", "workflows", "release.yml")
	want := map[string]map[string]string{
		"archives": {"contents": "write", "id-token": "write", "attestations": "write"},
		"image":    {"contents": "read", "packages": "write"},
	}
	if len(w.Permissions) != 0 || w.Permissions == nil || len(w.Jobs) != len(want) {
		t.Errorf("got %v for each of %d jobs, want none", w.Permissions, len(w.Jobs))
	}
	for name, job := range w.Jobs {
		if !maps.Equal(job.Permissions, want[name]) {
			t.Errorf("%s: got %v, want %v", name, job.Permissions, want[name])
		}
	}
}
