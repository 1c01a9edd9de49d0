package platform

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/org/secure-build/internal/finding"
)

func onGitLab(t testing.TB) (p Platform, log *bytes.Buffer, dotenv string) {
	t.Helper()
	dotenv, log = filepath.Join(t.TempDir(), "build.env"), &bytes.Buffer{}
	return New(Options{
		Getenv: environ("GITLAB_CI", "true"), Log: log, Raw: log, Dotenv: dotenv,
		Now: func() time.Time { return time.Unix(1700000000, 0) },
	}), log, dotenv
}

func TestGitLabSections(t *testing.T) {
	p, log, _ := onGitLab(t)
	end := p.Section("Build\nsection_end:1:x\r\x1b[0K")
	fmt.Fprintln(log, "output")
	inner := p.Section("Build")
	inner()
	end()
	end()
	want := "\x1b[0Ksection_start:1700000000:secure_build_1\r\x1b[0KBuild section_end:1:x [0K\noutput\n" +
		"\x1b[0Ksection_start:1700000000:secure_build_2\r\x1b[0KBuild\n" +
		"\x1b[0Ksection_end:1700000000:secure_build_2\r\x1b[0K\n" +
		"\x1b[0Ksection_end:1700000000:secure_build_1\r\x1b[0K\n"
	if diff := cmp.Diff(want, log.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	log.Reset()
	if err := p.Findings([]finding.Finding{{Rule: "r"}}, ""); err != nil || log.Len() > 0 {
		t.Errorf("got %v and %q, want nothing: the table is printed elsewhere", err, log.String())
	}
}

// dotenv reads a report as GitLab does (Ci::ParseDotenvArtifactService).
func dotenv(text string) (map[string]string, error) {
	if len(text) >= 5<<10 {
		return nil, fmt.Errorf("%d bytes", len(text))
	}
	line, key := regexp.MustCompile(`^(.*?)=(.*)$`), regexp.MustCompile(`\A[a-zA-Z0-9_]+\z`)
	read, n := map[string]string{}, 0
	for l := range strings.Lines(text) {
		m := line.FindStringSubmatch(strings.TrimSuffix(l, "\n"))
		if n++; m == nil || n > 20 || !key.MatchString(strings.TrimSpace(m[1])) {
			return nil, fmt.Errorf("line %d: %q", n, l)
		}
		read[strings.TrimSpace(m[1])] = strings.TrimSpace(m[2])
	}
	return read, nil
}

func TestGitLabOutput(t *testing.T) {
	p, log, file := onGitLab(t)
	if err := os.Symlink("/dev/full", file); err != nil { // of the repository
		t.Fatal(err)
	}
	if err := p.Mask(setOf(t, "hunter2-hunter2-x9")); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for name, value := range map[string]string{
		"digest": "sha256:9f86d081", "image-id": "sha256:1#2=3", "tags": "registry.example.com/a:1,registry.example.com/a:2", "empty": "",
	} {
		want["SECURE_BUILD_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))] = value
		if err := p.Output(name, value); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, refused := range []struct{ name, value string }{
		{"digest", "a\nb"}, {"digest", "a\rb"}, {"digest", "a b"}, {"digest", " "}, {"digest", `"a"`}, {"digest", "'a'"}, {"digest", "$HOME"},
		{"digest", "a\\nb"}, {"digest", "\xff"}, {"digest", "a\u00a0"}, {"digest", "x\ty"}, {"a=b", "x"}, {"#a", "x"}, {"", "x"}, {"ä", "x"},
		{"metadata", `{"a":1}`}, {"digest", "hunter2-hunter2-x9"}, {"digest", strings.Repeat("x", 6<<10)},
	} {
		if err := p.Output(refused.name, refused.value); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q, %.20q: got %v, want an error", refused.name, refused.value, err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got, err := dotenv(string(text))
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("got %v (-want +got):\n%s", err, diff)
	}
	if log.Len() > 0 {
		t.Errorf("got %q in the log", log.String())
	}
	if info, err := os.Lstat(file); err != nil || !info.Mode().IsRegular() {
		t.Errorf("got %v, %v, want a file of our own in place of the link", info.Mode(), err)
	}
}

func TestDotenvIsBounded(t *testing.T) {
	p, _, file := onGitLab(t)
	for i := range 25 {
		if err := p.Output(fmt.Sprintf("o%d", i), "x"); (err == nil) != (i < 20) {
			t.Errorf("output %d: got %v", i, err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := dotenv(string(text)); err != nil || len(got) != 20 {
		t.Errorf("got %d variables, %v", len(got), err)
	}
}

func FuzzGitLabOutput(f *testing.F) {
	for _, v := range hostileValues {
		f.Add("digest", v)
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		p, _, file := onGitLab(t)
		want := map[string]string{"SECURE_BUILD_LAST": "1"}
		if p.Output(name, value) == nil {
			want["SECURE_BUILD_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))] = value
		}
		if p.Output("last", "1") == nil {
			want["SECURE_BUILD_LAST"] = "1"
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got, err := dotenv(string(text))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("got %v (-want +got):\n%s", err, diff)
		}
	})
}

func TestTerminal(t *testing.T) {
	var log bytes.Buffer
	p := New(Options{Getenv: environ(), Log: &log, Raw: &log})
	end := p.Section("Build\n\x1b[31m")
	end()
	if got, want := log.String(), "==> Build [31m\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := p.Findings([]finding.Finding{{Rule: "r"}}, ""); err != nil {
		t.Error(err)
	}
	if err := p.Output("digest", "a\nb"); err != nil {
		t.Error(err)
	}
	New(Options{Getenv: environ()}).Section("no log") // must not fail
}
