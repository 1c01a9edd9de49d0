package securebuild_test

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// A forge has a repository with the branch main, and its page of releases.
type forge struct {
	t        *testing.T
	origin   string
	releases string
	env      []string
}

func newForge(t *testing.T, source string) forge {
	f := forge{t: t, origin: filepath.Join(t.TempDir(), "origin.git"), releases: t.TempDir()}
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "gh"), []byte(ghCommand), 0o755); err != nil {
		t.Fatal(err)
	}
	goEnv, err := exec.Command("go", "env", "GOCACHE", "GOMODCACHE", "GOPROXY").Output() // a cold cache takes minutes
	if err != nil {
		t.Fatal(err)
	}
	paths := strings.Split(string(goEnv), "\n")
	f.env = []string{
		"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "GOCACHE=" + paths[0], "GOMODCACHE=" + paths[1], "GOPROXY=" + paths[2],
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "RELEASES=" + f.releases,
		"RELEASE_SYSTEMS=" + runtime.GOOS + "/" + runtime.GOARCH, // five systems take minutes
	}
	f.git(source, "init", "--quiet", "--initial-branch", "main")
	f.git(source, "add", "--all")
	f.git(source, "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "--quiet", "--message", "t")
	f.git(".", "clone", "--quiet", "--bare", source, f.origin)
	return f
}

func (f forge) git(dir string, args ...string) string {
	f.t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir}, args...)...)
	cmd.Env = f.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		f.t.Fatalf("git %s: %v\n%s", args[0], err, out)
	}
	return strings.TrimSpace(string(out))
}

// release runs the workflow's job up to the image, and returns what it says.
func (f forge) release(version string) (outputs map[string]string, log string, err error) {
	f.t.Helper()
	candidate := fmt.Sprint(strings.Contains(version, "-"))
	r := runner{t: f.t, env: f.env, expressions: map[string]string{
		"inputs.version": version, "github.token": "token", "contains(inputs.version, '-')": candidate,
		"!contains(inputs.version, '-')": fmt.Sprint(candidate == "false"),
		"steps.major.outputs.major":      "", // where the step does not set it
	}}
	r.actions = map[string]func(*actionStep){
		"actions/checkout": func(s *actionStep) {
			if s.With["fetch-depth"] != "0" || s.With["ref"] != "" {
				f.t.Errorf("got a checkout with %v, want main and every tag", s.With)
			}
			r.dir = filepath.Join(f.t.TempDir(), "checkout")
			f.git(".", "clone", "--quiet", f.origin, r.dir)
		},
		"actions/setup-go": func(*actionStep) {},
		"actions/attest-build-provenance": func(s *actionStep) {
			if got, err := filepath.Glob(filepath.Join(r.dir, s.With["subject-path"])); err != nil || len(got) == 0 {
				f.t.Errorf("the provenance is of %q: %v", got, err)
			}
		},
	}
	outputs, err = r.job(readWorkflow(f.t, ".github", "workflows", "release.yml"), "archives")
	if err == nil {
		if left := f.git(r.dir, "status", "--porcelain"); left != "" {
			f.t.Errorf("the release left in the checkout:\n%s", left)
		}
	}
	return outputs, r.log.String(), err
}

// copySource is this checkout, with what is not committed yet.
func copySource(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case slices.Contains([]string{".git", "bin", "dist", ".cache", "checksums.txt"}, name):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			return os.MkdirAll(filepath.Join(dir, name), 0o755)
		case !d.Type().IsRegular():
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, name), text, info.Mode().Perm())
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// serve is the page of releases. What is replaced is served instead of the
// file of that name.
func (f forge) serve(replaced map[string][]byte) *httptest.Server {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, ok := strings.CutPrefix(r.URL.Path, "/org/secure-build/releases/download/")
		if text := replaced[filepath.Base(name)]; ok && text != nil {
			_, _ = w.Write(text)
			return
		}
		http.ServeFile(w, r, filepath.Join(f.releases, name))
	}))
	f.t.Cleanup(server.Close)
	return server
}

// TestRelease makes a release by the workflow's own steps and uses it as the
// action is used: checked out at its tag, it fetches the archive and runs it. A
// change anywhere on the way, and nothing is run.
func TestRelease(t *testing.T) {
	f := newForge(t, copySource(t))
	outputs, log, err := f.release("1.2.3")
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	action := filepath.Join(t.TempDir(), "action")
	f.git(".", "clone", "--quiet", "--branch", "v1", "--depth", "1", "file://"+f.origin, action)
	if got := f.git(action, "rev-parse", "HEAD"); got != outputs["commit"] || got != f.git(f.origin, "rev-parse", "v1.2.3^{commit}") {
		t.Errorf("v1 is %s, and the image is made of %s: want v1.2.3's", got, outputs["commit"])
	}
	if f.git(f.origin, "ls-tree", "--name-only", "main", "checksums.txt") != "" {
		t.Error("main has checksums, whose release is not main's")
	}
	archive := "secure-build_1.2.3_" + runtime.GOOS + "_" + runtime.GOARCH + ".tar.gz"
	listed, err := exec.Command("tar", "-tvzf", filepath.Join(f.releases, "v1.2.3", archive)).Output()
	if !matches(`^-rw-r--r-- 0/0 .*1970-01-01 00:00 LICENSE\n-rw-r--r-- 0/0 .* README.md\n-rwxr-xr-x 0/0 .* secure-build\n$`, string(listed)) || err != nil {
		t.Errorf("the archive holds (%v)\n%s", err, listed)
	}
	replaced := map[string][]byte{}
	server := f.serve(replaced)
	l := launch{dir: action, cache: t.TempDir()}
	l.env = []string{"PATH=/usr/bin:/bin", "RUNNER_TOOL_CACHE=" + l.cache, "HOME=" + t.TempDir(), "GITHUB_SERVER_URL=" + server.URL}
	if out, errs, code := l.run("version"); !strings.HasPrefix(out, "secure-build v1.2.3 "+runtime.GOOS+"/"+runtime.GOARCH) || code != 0 {
		t.Fatalf("got %q, exit code %d; %s", out, code, errs)
	}
	checksums, err := os.ReadFile(filepath.Join(action, "checksums.txt"))
	if err != nil {
		t.Fatal(err)
	}
	sound, err := os.ReadFile(filepath.Join(f.releases, "v1.2.3", archive))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range changes(t, sound, string(checksums)) {
		t.Run(tt.name, func(t *testing.T) {
			replaced[archive] = tt.archive
			l := newLaunch(t, map[string]string{"checksums.txt": tt.checksums}, "PATH=/usr/bin:/bin", "GITHUB_SERVER_URL="+server.URL)
			if tt.cached != "" {
				l.keep(t, "1.2.3", tt.cached)
			}
			l.refuses(t, tt.want)
		})
	}
}

// A change is one to the archive of a release, to its checksums, or to what the
// tool cache has of it.
type change struct {
	name, checksums, cached string
	archive                 []byte
	want                    string // why nothing is run
}

func changes(t *testing.T, sound []byte, checksums string) []change {
	t.Helper()
	flipped := bytes.Clone(sound)
	flipped[len(flipped)/2] ^= 1
	server, _, others := release(t, evil)
	name := "secure-build_1.2.3_" + runtime.GOOS + "_" + runtime.GOARCH + ".tar.gz"
	resp, err := http.Get(server.URL + "/org/fork/releases/download/v1.2.3/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	another, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(checksums, "\n")
	wrong := "the checksum of " + name + " is not"
	return []change{
		{name: "one bit", archive: flipped, checksums: checksums, want: wrong},
		{name: "cut short", archive: sound[:len(sound)/2], checksums: checksums, want: wrong},
		{name: "one byte more", archive: append(bytes.Clone(sound), 0), checksums: checksums, want: wrong},
		{name: "another archive", archive: another, checksums: checksums, want: wrong},
		{name: "another archive, whose binary is listed", archive: another, checksums: lines[0] + others, want: wrong},
		{name: "an archive that is not listed", archive: sound, checksums: lines[1], want: "no secure-build beside"},
		{name: "a binary that is not listed", archive: sound, checksums: lines[0], want: "the checksum of the binary"},
		{name: "the checksums of another release", archive: sound, checksums: others, want: wrong},
		{name: "a release that is not there", archive: sound, checksums: strings.ReplaceAll(checksums, "1.2.3", "1.2.4"), want: "fetching .* failed"},
		{name: "another binary in the tool cache", archive: another, checksums: checksums, cached: evil, want: wrong},
	}
}
