package securebuild_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// A launch is entrypoint.sh in a folder of its own, with nothing of this
// machine's but its PATH.
type launch struct {
	dir, cache string
	env        []string
}

// release is a server of releases with one archive, and the lines of
// checksums.txt for it. The program in it says its arguments.
func release(t *testing.T, program string) (server *httptest.Server, asked *[]string, checksums string) {
	t.Helper()
	system := runtime.GOOS + "_" + runtime.GOARCH
	var archive bytes.Buffer
	z := gzip.NewWriter(&archive)
	w := tar.NewWriter(z)
	for name, text := range map[string]string{"secure-build": program, "LICENSE": "…"} {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(text)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	asked = &[]string{}
	path := "/org/fork/releases/download/v1.2.3/secure-build_1.2.3_" + system + ".tar.gz"
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, r.URL.Path)
		if r.URL.Path != path {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(archive.Bytes())
	}))
	t.Cleanup(server.Close)
	checksums = fmt.Sprintf("%x  secure-build_1.2.3_plan9_mips.tar.gz\n%x  secure-build_1.2.3_%s.tar.gz\n%x  secure-build_1.2.3_%s\n",
		sha256.Sum256(nil), sha256.Sum256(archive.Bytes()), system, sha256.Sum256([]byte(program)), system)
	return server, asked, checksums
}

func newLaunch(t *testing.T, files map[string]string, env ...string) launch {
	t.Helper()
	l := launch{dir: t.TempDir(), cache: filepath.Join(t.TempDir(), "tools")}
	script, err := os.ReadFile("entrypoint.sh")
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		name = filepath.Join(l.dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write("entrypoint.sh", string(script))
	for name, text := range files {
		write(name, text)
	}
	l.env = append([]string{"PATH=" + os.Getenv("PATH"), "RUNNER_TOOL_CACHE=" + l.cache, "HOME=" + l.dir}, env...)
	return l
}

func (l launch) run(args ...string) (stdout, stderr string, code int) {
	var out, errs bytes.Buffer
	cmd := exec.Command(filepath.Join(l.dir, "entrypoint.sh"), args...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = l.env, os.TempDir(), &out, &errs
	_ = cmd.Run()
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// refuses says that nothing is run, and why.
func (l launch) refuses(t *testing.T, why string) {
	t.Helper()
	out, errs, code := l.run("version")
	if out != "" || code != 1 || !matches("(?m)^secure-build: error: .*"+why, errs) || !matches("(?m)^secure-build: hint: ", errs) {
		t.Errorf("got %q, exit code %d, and %q; want an error with %q", out, code, errs, why)
	}
	if _, err := os.Stat(filepath.Join(l.dir, "ran")); err == nil {
		t.Error("it was run")
	}
}

// keep puts a program into the tool cache, as if it had been fetched.
func (l launch) keep(t *testing.T, version, program string) {
	t.Helper()
	dir := filepath.Join(l.cache, "secure-build", version, runtime.GOARCH)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "secure-build"), []byte(program), 0o755); err != nil {
		t.Fatal(err)
	}
}

// evil is a program that says so, and leaves a trace of having run.
const evil = "#!/bin/sh\ntouch \"$HOME/ran\"\necho evil\n"

const says = "#!/bin/sh\nprintf '<%s>' \"$@\"\nexit 7\n"

func TestEntrypointRunsTheBinaryBesideIt(t *testing.T) {
	for _, name := range []string{"secure-build", "bin/secure-build"} {
		l := newLaunch(t, map[string]string{name: says})
		out, errs, code := l.run("build", "--", "-x $(id) *", "")
		if want := "<build><--><-x $(id) *><>"; out != want || errs != "" || code != 7 {
			t.Errorf("%s: got %q, %q, exit code %d; want %q, 7", name, out, errs, code, want)
		}
	}
}

func TestEntrypointOfAnImage(t *testing.T) {
	l := newLaunch(t, map[string]string{"secure-build": says})
	for _, tt := range []struct {
		args []string
		want string
		code int
	}{
		{nil, "<--help>", 7},
		{[]string{"version"}, "<version>", 7},
		{[]string{"sh", "-c", "printf %s \"$1\"; exit 3", "x", "a b"}, "a b", 3}, // as GitLab's runner starts a job
		{[]string{"/bin/sh", "-c", "exit 4"}, "", 4},
	} {
		if out, errs, code := l.run(tt.args...); out != tt.want || errs != "" || code != tt.code {
			t.Errorf("%q: got %q, %q, exit code %d; want %q, %d", tt.args, out, errs, code, tt.want, tt.code)
		}
	}
}

// TestEntrypointFetchesTheRelease: once, to the tool cache, and not again.
func TestEntrypointFetchesTheRelease(t *testing.T) {
	server, asked, checksums := release(t, says)
	l := newLaunch(t, map[string]string{"checksums.txt": checksums},
		"GITHUB_SERVER_URL="+server.URL, "SECURE_BUILD_ACTION_REPOSITORY=org/fork")
	for i := range 3 {
		if out, errs, code := l.run("version"); out != "<version>" || code != 7 {
			t.Errorf("run %d: got %q, exit code %d; %s", i, out, code, errs)
		}
	}
	if len(*asked) != 1 {
		t.Errorf("the server was asked for %q, want one archive once", *asked)
	}
	cached, err := filepath.Glob(filepath.Join(l.cache, "secure-build", "1.2.3", runtime.GOARCH, "*"))
	if err != nil || len(cached) != 1 {
		t.Fatalf("got %q in the tool cache: %v", cached, err)
	}
	// What somebody has changed there since is not run, but fetched again.
	if err := os.WriteFile(cached[0], []byte("#!/bin/sh\necho changed\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, errs, code := l.run("version"); out != "<version>" || code != 7 || len(*asked) != 2 {
		t.Errorf("after a change: got %q, exit code %d, asked %d times; %s", out, code, len(*asked), errs)
	}
}

func TestEntrypointFailsClosed(t *testing.T) {
	server, _, checksums := release(t, says)
	here := []string{"GITHUB_SERVER_URL=" + server.URL, "SECURE_BUILD_ACTION_REPOSITORY=org/fork"}
	system := runtime.GOOS + "_" + runtime.GOARCH
	lines := strings.SplitAfter(checksums, "\n")
	swap := func(i int) string {
		all := append([]string{}, lines...)
		all[i] = strings.Repeat("0", 64) + all[i][64:]
		return strings.Join(all, "")
	}
	for _, tt := range []struct {
		name, checksums, want string
		env                   []string
	}{
		{"another archive", swap(1), "the checksum of secure-build_1.2.3_" + system + ".tar.gz is not", here},
		{"another binary", swap(2), "the checksum of the binary", here},
		{"no checksum of the binary", lines[1], "the checksum of the binary", here},
		{"an empty checksum", "  secure-build_1.2.3_" + system + ".tar.gz\n", "no secure-build beside", here},
		{"no such release", strings.ReplaceAll(checksums, "1.2.3", "1.2.4"), "fetching .* failed", here},
		{"no server", checksums, "fetching .* failed", []string{"SECURE_BUILD_RELEASES=http://127.0.0.1:1"}},
		{"no release for this system", lines[0], "no secure-build beside", here},
		{"nothing", "", "no secure-build beside", here},
	} {
		l := newLaunch(t, map[string]string{"checksums.txt": tt.checksums}, append(tt.env, "PATH=/usr/bin:/bin")...)
		l.refuses(t, tt.want)
		if left, _ := filepath.Glob(filepath.Join(l.cache, "secure-build", "*", "*", "*")); len(left) > 0 {
			t.Errorf("%s: left %q", tt.name, left)
		}
	}
}

// TestEntrypointBuildsWithGo: where there is the source and no release.
func TestEntrypointBuildsWithGo(t *testing.T) {
	const program = "package main\nimport (\"fmt\"; \"os\")\nvar version = \"?\"\nfunc main() { fmt.Print(version, os.Args[1:]) }\n"
	cache, err := exec.Command("go", "env", "GOCACHE").Output() // a cold one takes minutes
	if err != nil {
		t.Fatal(err)
	}
	goCache := "GOCACHE=" + strings.TrimSpace(string(cache))
	l := newLaunch(t, map[string]string{"go.mod": "module example.com/x\n", "cmd/secure-build/main.go": program}, "SECURE_BUILD_ACTION_REF=v9-rc/1", goCache)
	for range 2 { // the second time it is there
		if out, errs, code := l.run("a b"); out != "v9-rc/1[a b]" || code != 0 {
			t.Errorf("got %q, exit code %d; %s", out, code, errs)
		}
	}
	l = newLaunch(t, map[string]string{"go.mod": "module example.com/x\n", "cmd/secure-build/main.go": "package main\n"}, goCache)
	if out, errs, code := l.run("version"); out != "" || code != 1 || !strings.Contains(errs, "building secure-build with Go failed") {
		t.Errorf("got %q, exit code %d; %s", out, code, errs)
	}
}
