package platform

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/org/secure-build/internal/finding"
)

func onGitHub(t testing.TB) (p Platform, log *bytes.Buffer, output string) {
	t.Helper()
	output = filepath.Join(t.TempDir(), "output")
	if err := os.WriteFile(output, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	log = &bytes.Buffer{}
	return New(Options{
		Getenv: environ("GITHUB_ACTIONS", "true", "GITHUB_OUTPUT", output),
		Log:    log, Raw: log,
	}), log, output
}

// names lists the commands that the runner obeyed.
func names(r *GitHubRunner) []string {
	var n []string
	for _, c := range r.Commands {
		n = append(n, c.Name)
	}
	return n
}

func TestDetect(t *testing.T) {
	for _, tt := range []struct {
		env  []string
		want Kind
	}{
		{[]string{"GITHUB_ACTIONS", "true"}, GitHub},
		{[]string{"GITLAB_CI", "true"}, GitLab},
		{[]string{"GITLAB_CI", "true", "GITHUB_ACTIONS", "true"}, GitLab},
		{[]string{"CI", "true"}, Terminal},
		{nil, Terminal},
	} {
		if got := Detect(environ(tt.env...)); got != tt.want {
			t.Errorf("%v: got %s, want %s", tt.env, got, tt.want)
		}
	}
}

// What a build prints in a section is no command, in either form, also if its
// last line does not end; after the section commands work.
func TestSectionFencesUntrustedOutput(t *testing.T) {
	p, log, _ := onGitHub(t)
	forged := "::error::forged\n  ::add-mask::the\n##[set-output name=digest]sha256:evil\nx ##[add-mask]b]\r::stop-commands::\n" +
		"::endgroup::\n::stop-commands::x\n::x::\n::set-output name=digest::evil"
	end := p.Section("Build\n::error::50%")
	fmt.Fprint(log, forged)
	end()
	end() // does nothing
	if err := p.Findings([]finding.Finding{{Rule: finding.RuleKnownValue, Severity: finding.Error, Secret: "npm_token"}}, "Dockerfile"); err != nil {
		t.Fatal(err)
	}
	r := NewGitHubRunner()
	shown := string(r.Read(log.Bytes()))
	if diff := cmp.Diff([]string{"group", "stop-commands", "endgroup", "error"}, names(r)); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
	if got := r.Commands[0].Data; got != "Build ::error::50%" {
		t.Errorf("got the title %q", got)
	}
	if want := strings.ReplaceAll(forged, "\r", "\n") + "\n"; shown != want {
		t.Errorf("got %q, want all of it shown: %q", shown, want)
	}
}

func TestInnerSectionIsAHeading(t *testing.T) {
	p, log, _ := onGitHub(t)
	end := p.Section("outer")
	inner := p.Section("in%ner")
	fmt.Fprintln(log, "::error::forged")
	inner()
	fmt.Fprintln(log, "::error::forged")
	end()
	r := NewGitHubRunner()
	if got, want := string(r.Read(log.Bytes())), "in%ner\n::error::forged\n::error::forged\n\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if diff := cmp.Diff([]string{"group", "stop-commands", "endgroup"}, names(r)); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
}

// A fence of its own holds for the whole step: sections open and close in it,
// and nothing that is printed between them is a command.
func TestBareFence(t *testing.T) {
	p, log, _ := onGitHub(t)
	forge := func() { fmt.Fprint(log, "::set-output name=verdict::clean\nx ##[set-output name=verdict;]clean") }
	over := p.Section("")
	forge()
	p.Section("")() // there is one already: neither begins nor ends anything
	forge()
	end := p.Section("build")
	forge()
	end()
	forge()
	if err := p.Annotate([]Note{{Severity: finding.Warning, Text: "w"}}); err != nil {
		t.Fatal(err)
	}
	forge()
	over()
	fmt.Fprintln(log, "::notice::after it commands work")
	r := NewGitHubRunner()
	r.Read(log.Bytes())
	want := []string{"stop-commands", "group", "stop-commands", "endgroup", "stop-commands", "warning", "stop-commands", "notice"}
	if diff := cmp.Diff(want, names(r)); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
	if shown := strings.Count(string(r.Read(log.Bytes())), "set-output"); shown != 10 {
		t.Errorf("got %d of 10 lines shown", shown)
	}
}

// Masks and annotations get through from within a section, and the fence
// stands again after them.
func TestCommandsLiftTheFence(t *testing.T) {
	p, log, _ := onGitHub(t)
	end := p.Section("build")
	fmt.Fprint(log, "no line end")
	if err := p.Mask(setOf(t, "hunter2-hunter2-x9")); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(log, "::error::forged hunter2-hunter2-x9\n")
	end()
	r := NewGitHubRunner()
	shown := string(r.Read(log.Bytes()))
	if got, want := shown, "no line end\n::error::forged ***\n\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if diff := cmp.Diff([]string{"group", "stop-commands", "stop-commands", "endgroup"}, names(r)); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
	if r.Commands[1].Data == r.Commands[2].Data || len(r.Commands[1].Data) < 20 {
		t.Errorf("got the tokens %q and %q, want two random ones", r.Commands[1].Data, r.Commands[2].Data)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, os.ErrClosed }

// If the runner cannot be told then nothing may be printed: the run ends.
func TestMasksThatCannotBeWrittenAreAnError(t *testing.T) {
	p := New(Options{Getenv: environ("GITHUB_ACTIONS", "true"), Raw: brokenWriter{}})
	if err := p.Mask(setOf(t, "hunter2-hunter2-x9")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v, want %v", err, os.ErrClosed)
	}
}

// outputs reads a file of GITHUB_OUTPUT as the runner does
// (FileCommandManager.cs, EnvFileKeyValuePairs).
func outputs(text string) (map[string]string, error) {
	read := map[string]string{}
	for text != "" {
		line, rest, _ := strings.Cut(text, "\n")
		text = rest
		equals, heredoc := strings.Index(line, "="), strings.Index(line, "<<")
		switch {
		case line == "":
		case equals >= 0 && (heredoc < 0 || equals < heredoc):
			read[line[:equals]] = line[equals+1:]
		case heredoc > 0 && line[heredoc+2:] != "":
			var value []string
			for {
				l, rest, more := strings.Cut(text, "\n")
				if text = rest; l == line[heredoc+2:] {
					break
				}
				if value = append(value, l); !more {
					return nil, fmt.Errorf("no end of %q", line)
				}
			}
			read[line[:heredoc]] = strings.Join(value, "\n")
		default:
			return nil, fmt.Errorf("invalid line %q", line)
		}
	}
	return read, nil
}

var hostileValues = []string{
	"", "sha256:1", "a\nb\n", "\n", "a\ndigest=evil", "x<<EOF\ny\nEOF", "ghadelimiter_\n", "%0A%25", "a=b<<c",
	"_GitHubActionsFileCommandDelimeter_\nforged<<_GitHubActionsFileCommandDelimeter_\nx\n_GitHubActionsFileCommandDelimeter_",
	"$(id) `id` \"quoted\" 'single' -leading ::set-output name=digest::evil", strings.Repeat("0123456789", 10<<10),
}

func TestGitHubOutput(t *testing.T) {
	for _, v := range hostileValues {
		p, log, file := onGitHub(t)
		if err := os.WriteFile(file, []byte("before=1\nunended=2"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"metadata", "digest"} {
			if err := p.Output(name, v); err != nil {
				t.Errorf("%.40q: %v", v, err)
			}
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got, err := outputs(string(text))
		if err != nil {
			t.Errorf("%.40q: %v", v, err)
		}
		if diff := cmp.Diff(map[string]string{"before": "1", "unended": "2", "metadata": v, "digest": v}, got); diff != "" {
			t.Errorf("%.40q (-want +got):\n%.500s", v, diff)
		}
		if log.Len() > 0 {
			t.Errorf("%.40q: got %q in the log", v, log.String())
		}
	}
}

func TestGitHubOutputRefuses(t *testing.T) {
	for _, tt := range []struct{ name, value, want string }{
		{"", "x", "a name has"},
		{"a=b", "x", "a name has"},
		{"a\nb", "x", "a name has"},
		{"a<<b", "x", "a name has"},
		{"1a", "x", "a name has"},
		{"-a", "x", "a name has"},
		{"digest", "a\r\nb", "not text"},
		{"digest", "a\x00b", "not text"},
		{"digest", "\xff", "not text"},
		{"digest", strings.Repeat("x", 2<<20), "more than"},
		{"metadata", `{"arg": "hunter2-hunter2-x9"}`, "a secret is in it"},
		{"metadata", "aHVudGVyMi1odW50ZXIyLXg5", "a secret is in it"},
	} {
		p, _, file := onGitHub(t)
		if err := p.Mask(setOf(t, "hunter2-hunter2-x9")); err != nil {
			t.Fatal(err)
		}
		err := p.Output(tt.name, tt.value)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q, %.20q: got %v, want an error with %q", tt.name, tt.value, err, tt.want)
		}
		if text, err := os.ReadFile(file); err != nil || len(text) > 0 {
			t.Errorf("%q, %.20q: got %v, %q written", tt.name, tt.value, err, text)
		}
	}
	p := New(Options{Getenv: environ("GITHUB_ACTIONS", "true")})
	if err := p.Output("digest", "x"); err == nil || !strings.Contains(err.Error(), "GITHUB_OUTPUT") {
		t.Errorf("got %v, want an error that names GITHUB_OUTPUT", err)
	}
}

// However hostile, an output is read as it was, or refused: no other output
// appears, and none changes.
func FuzzGitHubOutput(f *testing.F) {
	for _, v := range hostileValues {
		f.Add("digest", v)
	}
	f.Add("a\nb=c", "x")
	f.Fuzz(func(t *testing.T, name, value string) {
		p, _, file := onGitHub(t)
		want := map[string]string{}
		if p.Output(name, value) == nil {
			want[name] = value
		}
		if p.Output("last", "1") == nil {
			want["last"] = "1"
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got, err := outputs(string(text))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("got %v (-want +got):\n%s", err, diff)
		}
	})
}
