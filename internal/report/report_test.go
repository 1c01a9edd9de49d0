package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/org/secure-build/internal/finding"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const digest = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

func leaked() Run {
	lines := map[string]int{"COPY . /app # buildkit": 4, "ENV DB_PASSWORD=[masked:db_password]": 2}
	f := func(secret, encoding, platform string, layer int, path, field, instruction string) finding.Finding {
		f := finding.Finding{
			Line: lines[instruction],
			Rule: finding.RuleKnownValue, Severity: finding.Error, Secret: secret, Origin: "secrets.yaml#" + secret, Encoding: encoding,
			Platform: platform, Blob: digest, Layer: layer, Path: path, Field: field, Offset: 12, Instruction: instruction,
		}
		f.Sign()
		return f
	}
	r := finding.Report{
		Version: finding.Version,
		Image:   finding.Image{Digest: digest, Platforms: []string{"linux/amd64", "linux/arm64"}},
		Coverage: finding.Coverage{Blobs: 12, Bytes: 123_456_789, Unread: []finding.Unread{
			{Blob: digest, Reason: "reading gzip: unexpected EOF"},
		}},
		Findings: []finding.Finding{
			f("db_password", "raw", "linux/amd64", -1, "", "config.Env[2]", "ENV DB_PASSWORD=[masked:db_password]"),
			f("db_password", "base64", "linux/amd64", 1, "app/.env", "", "COPY . /app # buildkit"),
			f("db_password", "base64", "linux/arm64", 1, "app/.env", "", "COPY . /app # buildkit"),
			f("npm_token", "raw", "linux/arm64", 2, "etc/[masked:npm_token]", finding.FieldPath, "RUN /bin/sh -c ./x"),
			f("npm_token", "hex", "linux/arm64", 2, "l", finding.FieldLink, ""),
			f("npm_token", "raw", "", -1, "", "annotations.org.note", ""),
		},
	}
	r.Judge()
	return Run{
		Tool: "secure-build 1.2.3", Started: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC),
		Engine: "private buildkitd v0.33.1",
		Secrets: []Secret{
			{"db_password", "secrets.yaml#db_password"}, {"npm_token", "secrets.yaml#npm_token"}, {"pin", "secrets.yaml#pin"},
		},
		Weak: []string{"pin"}, Tags: []string{"registry.example.com/app:1"},
		Memory:   Memory{Kind: "tmpfs", Locked: true, AfterKill: "erased by the supervisor", End: "erased from RAM"},
		Timings:  []Timing{{"build", "", 12345 * time.Millisecond}, {"compression", "build", 6789 * time.Millisecond}, {"scan", "", 678 * time.Millisecond}},
		Findings: r, Dockerfile: "docker/app.Dockerfile", Commit: "0123456789abcdef0123456789abcdef01234567", Layers: layers(r.Image.Platforms),
	}
}

// layers are those of a small service on each platform.
func layers(platforms []string) []Layer {
	var all []Layer
	for _, p := range platforms {
		for i, l := range []Layer{
			{Size: 29_123_456, Instruction: "ADD rootfs.tar.xz / # buildkit"},
			{Size: 1_234_567, Instruction: "COPY . /app # buildkit"},
			{Size: 88_000_111, Instruction: "RUN /bin/sh -c ./x"},
			{Size: 32, Instruction: "WORKDIR /app"},
		} {
			l.Platform, l.Index, l.Digest = p, i, digest
			all = append(all, l)
		}
	}
	return all
}

func clean() Run {
	run := leaked()
	run.Findings.Findings, run.Findings.Coverage.Unread = []finding.Finding{}, []finding.Unread{}
	run.Findings.Judge()
	run.Pushed, run.Weak, run.Secrets = true, nil, run.Secrets[:2]
	return run
}

// hostile is what an image may say to whoever reads about it.
const hostile = "a|b`c\n## x\r\x1b[2J<script>alert(1)</script>\u202e[x](http://h) ::error::x @all \\| \xff www.h &amp; ~~x~~ *b* _i_"

func incomplete() Run {
	run := clean()
	run.Pushed, run.Error = false, "the image is not clean: "+hostile
	run.Findings.Image.Platforms = []string{hostile}
	run.Findings.Coverage.Unread = []finding.Unread{{Blob: digest, Path: hostile, Reason: hostile}}
	run.Findings.Judge()
	return run
}

func hostileLeak() Run {
	run := leaked()
	for i := range run.Findings.Findings {
		f := &run.Findings.Findings[i]
		f.Path, f.Instruction = hostile+strings.Repeat("/long", 100), hostile
	}
	return run
}

func same(b []byte) []byte { return b }

func TestGolden(t *testing.T) {
	for name, run := range map[string]Run{"leaked": leaked(), "clean": clean(), "incomplete": incomplete(), "hostile": hostileLeak()} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "made", "reports")
			if err := Write(dir, run, same); err != nil {
				t.Fatal(err)
			}
			var table bytes.Buffer
			if err := Table(&table, run.Findings, TableOptions{Searched: len(run.searched()), Details: "reports/findings.json"}); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "table.txt"), table.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			files := []string{FindingsFile, SummaryFile, ReceiptFile, "table.txt"}
			if name == "leaked" { // one of these says enough
				files = append(files, SARIFFile, GitLabSecretsFile, GitLabCodeQualityFile, PageFile)
			}
			for _, file := range files {
				got, err := os.ReadFile(filepath.Join(dir, file))
				if err != nil {
					t.Fatal(err)
				}
				golden := filepath.Join("testdata", name+"."+file)
				if *update {
					if err := os.WriteFile(golden, got, 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(golden)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), string(got)); diff != "" {
					t.Errorf("%s differs from %s (-update rewrites it):\n%s", file, golden, diff)
				}
			}
		})
	}
}

// TestFindingsRoundTrip: findings.json is the finding.Report, all of it.
func TestFindingsRoundTrip(t *testing.T) {
	dir := t.TempDir()
	want := leaked()
	if err := Write(dir, want, same); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, FindingsFile))
	if err != nil {
		t.Fatal(err)
	}
	var got finding.Report
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.Findings, got); diff != "" {
		t.Error(diff)
	}
}

// TestNothingEscapes: no form lets a hostile name add lines, cells or commands.
func TestNothingEscapes(t *testing.T) {
	dir := t.TempDir()
	if err := Write(dir, hostileLeak(), same); err != nil {
		t.Fatal(err)
	}
	summary, err := os.ReadFile(filepath.Join(dir, SummaryFile))
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if err := Table(&table, hostileLeak().Findings, TableOptions{}); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"summary": string(summary), "table": table.String()} {
		for _, bad := range []string{"\x1b", "\r", "\u202e", "\n## x", "\n::error", "\xff"} {
			if strings.Contains(text, bad) {
				t.Errorf("the %s contains %q", name, bad)
			}
		}
	}
	run := hostileLeak()
	summary = bytes.Replace(summary, []byte(run.mermaid()), nil, 1) // has its own test
	for _, bad := range []string{"<script", "](http", "@all", "`", "~~", "*b*", "www.h", "&amp;"} {
		if bytes.Contains(summary, []byte(bad)) {
			t.Errorf("the summary contains %q", bad)
		}
	}
	for line := range strings.Lines(string(summary)) {
		if n := strings.Count(line, "|"); strings.HasPrefix(line, "|") && n != 3 && n != 5 {
			t.Errorf("%d cell borders in %s", n, line)
		}
	}
}

// TestEverythingIsRedacted: a value that got into any field is in no file, even
// where JSON or Markdown would have escaped it past the redactor.
func TestEverythingIsRedacted(t *testing.T) {
	const value = "p|w\"<x>%`y"
	mask := func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(value), []byte("[masked:x]")) }
	run := leaked()
	run.Engine, run.Error, run.Tags, run.Weak = value, "a "+value, []string{value}, []string{value}
	run.Tool, run.Dockerfile, run.Commit, run.Category = "tool "+value, value+"/"+value, value, value
	run.Rules = map[string]string{"known-value": value, "r": value}
	for i := range run.Layers {
		run.Layers[i] = Layer{Platform: value, Digest: value, Index: i, Size: 1, Instruction: value}
	}
	run.Secrets[0].Origin, run.Memory.AfterKill, run.Timings[0].Stage = value, value, value
	run.Findings.Image.Platforms[0], run.Findings.Coverage.Unread[0].Reason = value, value
	f := &run.Findings.Findings[1]
	f.Path, f.Instruction, f.Field, f.Platform = value, "RUN "+value, value, value
	dir := t.TempDir()
	if err := Write(dir, run, mask); err != nil {
		t.Fatal(err)
	}
	for _, form := range forms {
		file := form.name
		b, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		quoted, _ := json.Marshal(value)
		for _, text := range [][]byte{b, form.plain(b)} {
			for _, form := range []string{value, string(quoted[1 : len(quoted)-1]), `p|w\"<x>`, "p&#124;w", "p|w", "p%7Cw"} {
				if bytes.Contains(text, []byte(form)) {
					t.Errorf("%s holds %s", file, form)
				}
			}
		}
		if (strings.HasSuffix(file, ".json") || file == SARIFFile) && !json.Valid(b) {
			t.Errorf("%s is no JSON", file)
		}
	}
}

// TestRedactedLast: what is written is what the redactor returned, to the byte.
func TestRedactedLast(t *testing.T) {
	dir := t.TempDir()
	returned := map[string]bool{}
	err := Write(dir, leaked(), func(b []byte) []byte {
		returned[string(b)] = true
		return b
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range forms {
		if b, err := os.ReadFile(filepath.Join(dir, form.name)); err != nil || !returned[string(b)] {
			t.Errorf("%s was not redacted as a whole (%v)", form.name, err)
		}
	}
}

// TestNothingIsLeftBehind: not even when the last step fails.
func TestNothingIsLeftBehind(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, FindingsFile, "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	err := Write(dir, leaked(), same)
	if entries, _ := os.ReadDir(dir); err == nil || len(entries) != 1 {
		t.Errorf("got %v, %d entries", err, len(entries))
	}
}

// TestNothingHalfWritten: what cannot be written whole is not written, and an
// earlier report stays as it was.
func TestNothingHalfWritten(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, FindingsFile)
	if err := os.WriteFile(old, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	check := func(name string, err error) {
		t.Helper()
		b, readErr := os.ReadFile(old)
		entries, _ := os.ReadDir(dir)
		if err == nil || readErr != nil || string(b) != "old" || len(entries) > 2 {
			t.Errorf("%s: error %v, findings.json %q, %d entries", name, err, b, len(entries))
		}
	}
	check("no redactor", Write(dir, leaked(), nil))
	check("no JSON left", Write(dir, leaked(), func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(`",`), []byte("[masked:x]")) }))
	if err := os.Mkdir(filepath.Join(dir, "file"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Write(filepath.Join(dir, FindingsFile, "below"), leaked(), same); err == nil {
		t.Error("a report was written below a file")
	}
}

func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	for range 2 { // the second time replaces
		if err := Write(dir, clean(), same); err != nil {
			t.Fatal(err)
		}
	}
	modes := map[string]fs.FileMode{dir: fs.ModeDir | 0o755}
	for _, form := range forms {
		modes[filepath.Join(dir, form.name)] = 0o644
	}
	for path, want := range modes {
		if st, err := os.Stat(path); err != nil || st.Mode() != want {
			t.Errorf("%s: got %v, %v, want %v", path, st.Mode(), err, want)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != len(forms) {
		t.Errorf("got %d files", len(entries))
	}
}

func TestLongTables(t *testing.T) {
	run := leaked()
	f := run.Findings.Findings[1]
	for i := range 200 {
		f.Layer = i + 10
		run.Findings.Findings = append(run.Findings.Findings, f)
	}
	var b bytes.Buffer
	if err := Table(&b, run.Findings, TableOptions{Details: "r/findings.json"}); err != nil {
		t.Fatal(err)
	}
	if want := "… and 155 more: see r/findings.json"; !strings.Contains(b.String(), want) || strings.Count(b.String(), "\n") > 80 {
		t.Errorf("%q is not in %s", want, b.String())
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 bytes", 999: "999 bytes", 1000: "1.0 kB", 999_949: "999.9 kB", 999_950: "1.0 MB", 123_456_789: "123.5 MB", 5e12: "5.0 TB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d): got %s, want %s", n, got, want)
		}
	}
}

func FuzzVisible(f *testing.F) {
	f.Add(hostile)
	f.Fuzz(func(t *testing.T, s string) {
		got := visible(s, 100)
		if strings.ContainsAny(got, "\n\r\x1b\x00\u202e\u2028") {
			t.Errorf("got %q", got)
		}
		if md := code(s, 100); strings.ContainsAny(strings.TrimSuffix(strings.TrimPrefix(md, "<code>"), "</code>"), "|`<>*[]\\@~!\n") || strings.Contains(md, "://") || strings.Contains(md, " _") {
			t.Errorf("got %q", md)
		}
	})
}
