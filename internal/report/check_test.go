package report

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"html/template"
	"os"
	"strings"
	"testing"
)

// TestChecksSeeEveryFile: each file is seen as it is written, and what it says
// without its escapes.
func TestChecksSeeEveryFile(t *testing.T) {
	seen := map[string]bool{}
	dir := t.TempDir()
	err := Write(dir, hostileLeak(), same, func(text []byte) error {
		seen[string(text)] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range forms {
		text := read(t, dir, form.name)
		if !seen[string(text)] || !seen[string(form.plain(text))] {
			t.Errorf("%s was written without a check", form.name)
		}
	}
}

// TestWhatACheckFindsIsNotWritten: a value that the redactor missed is found
// by the check in every form that shows it, however it is escaped there, and
// then nothing is written.
func TestWhatACheckFindsIsNotWritten(t *testing.T) {
	const value = "q\"<&>'|\\/\u00e9 {0}" // each form escapes some of it
	run := clean()
	run.Engine, run.Tool, run.Dockerfile = value, "secure-build "+value, value
	found := errors.New("found")
	dir := t.TempDir()
	err := Write(dir, run, same, func(text []byte) error {
		if bytes.Contains(text, []byte(value)) {
			return found
		}
		return nil
	})
	if entries, _ := os.ReadDir(dir); !errors.Is(err, found) || len(entries) != 0 || strings.Contains(err.Error(), value) {
		t.Errorf("got %v, %d files", err, len(entries))
	}
	for _, form := range forms {
		if form.name == FindingsFile || form.name == GitLabCodeQualityFile { // they do not say it
			continue
		}
		text, err := form.write(run)
		if err != nil {
			t.Fatal(err)
		}
		// SARIF doubles braces. What comes before them tells a value apart.
		if plain := form.plain(text); !bytes.Contains(plain, []byte("q\"<&>'|\\/\u00e9 ")) && form.name != SummaryFile {
			t.Errorf("%s hides the value from a check", form.name)
		}
	}
}

// TestBinaryValuesAreRedacted: JSON knows no other text than UTF-8, so a value
// that is none has to go before anything is written as JSON.
func TestBinaryValuesAreRedacted(t *testing.T) {
	const value = "\xfe\xffbinary\x80\x81"
	mask := func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(value), []byte("[masked:x]")) }
	run := leaked()
	run.Findings.Findings[1].Path = "a/" + value + "/b"
	dir := t.TempDir()
	if err := Write(dir, run, mask); err != nil {
		t.Fatal(err)
	}
	for _, form := range forms {
		if bytes.Contains(read(t, dir, form.name), []byte("binary")) {
			t.Errorf("%s holds a part of the value", form.name)
		}
	}
}

// TestRedactedKeepsTheRest: redacting copies, and changes only strings.
func TestRedactedKeepsTheRest(t *testing.T) {
	run := patterns()
	before, err := json.Marshal(run)
	if err != nil {
		t.Fatal(err)
	}
	out := redacted(run, func(b []byte) []byte { return append([]byte(nil), hex.EncodeToString(b)...) })
	if after, _ := json.Marshal(run); !bytes.Equal(before, after) {
		t.Error("the run itself was changed")
	}
	undo := redacted(out, func(b []byte) []byte {
		text, err := hex.DecodeString(string(b))
		if err != nil {
			t.Errorf("%q was not redacted", b)
		}
		return text
	})
	if after, _ := json.Marshal(undo); !bytes.Equal(before, after) {
		t.Errorf("got %s\nwant %s", after, before)
	}
}

func TestUnescaped(t *testing.T) {
	const value = "a\"b<c>&d'e\\f\ng"
	quoted, _ := json.Marshal(map[string]any{"k": []string{value, "plain"}, "e": ""})
	if got := string(literals(quoted)); got != "e\n\nk\n"+value+"\nplain\n" {
		t.Errorf("got %q", got)
	}
	if got := string(unescaped([]byte(template.HTMLEscapeString(value)))); got != value {
		t.Errorf("got %q", got)
	}
}

func FuzzLiterals(f *testing.F) {
	f.Add(hostile, "x\\")
	f.Fuzz(func(t *testing.T, a, b string) {
		text, err := encode(map[string]any{"a": []string{a, b}})
		if err != nil {
			t.Fatal(err)
		}
		want := "a\n" + strings.ToValidUTF8(a, "\ufffd") + "\n" + strings.ToValidUTF8(b, "\ufffd") + "\n"
		if got := string(literals(text)); len(a)+len(b) < 1000 && !strings.ContainsRune(a+b, '\ufffd') && got != want && !invalid(a+b) {
			t.Errorf("got %q, want %q", got, want)
		}
		_ = literals([]byte(a)) // no text makes it panic
	})
}

func invalid(s string) bool { return strings.ToValidUTF8(s, "") != s }
