package source

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/secret"
)

func (w *world) loadValues(text string) (map[string]string, error) {
	w.env["INPUT"] = text
	refs, err := ParseValues("INPUT", w.options())
	if err != nil {
		return nil, err
	}
	set, err := Load(w.t.Context(), refs, w.options())
	return values(set), err
}

// TestValues holds the input secrets to what docker/build-push-action's own
// examples mean.
func TestValues(t *testing.T) {
	w := newWorld(t)
	tests := []struct {
		name, text string
		want       map[string]string
	}{
		{"nothing", "", map[string]string{}},
		{"blank lines", "\n  \n\r\n", map[string]string{}},
		{"one", "github_token=ghp_x", map[string]string{"github_token": "ghp_x"}},
		{"= in the value", "a=b=c==\n", map[string]string{"a": "b=c=="}},
		{"two, CRLF", "a=1\r\nb=2\r\n", map[string]string{"a": "1", "b": "2"}},
		{"indented", "  a=1\n\tb=2", map[string]string{"a": "1", "b": "2"}},
		{"quoted line", "\"MYSECRET=one,two\"", map[string]string{"MYSECRET": "one,two"}},
		{"several lines", "a=1\n\"PEM=" + testPEM + "\"\nb=2", map[string]string{"a": "1", "b": "2", "PEM": strings.TrimSpace(testPEM)}},
		{"doubled quotes", "\"JSON={\"\"k\"\": \"\"v\"\"\n}\"", map[string]string{"JSON": "{\"k\": \"v\"\n}"}},
		{"JSON without quotes", `JSON={"k":"v","l":"w"}`, map[string]string{"JSON": `{"k":"v","l":"w"}`}},
		{"a quote inside", "\"a=say \"hi\" twice\nx\"", map[string]string{"a": "say \"hi\" twice\nx"}},
		{"blank before quote", "  \"a=1\n2\"  \n", map[string]string{"a": "1\n2"}},
		{"empty", "a=\nb=2", map[string]string{"a": "", "b": "2"}},
		{"commas", "a=1,2,3", map[string]string{"a": "1,2,3"}},
		{"workflow command", "a=::set-output name=x::%0A", map[string]string{"a": "::set-output name=x::%0A"}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got, err := w.loadValues(tc.text)
			if diff := cmp.Diff(tc.want, got); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestBadValues(t *testing.T) {
	w := newWorld(t)
	tests := []struct{ name, text, want string }{
		{"lines without quotes", "PEM=" + strings.ReplaceAll(testPEM, "MC4", "CANARY"), "parsing the secrets in INPUT: line 2 does not begin with an id and ="},
		{"base64 for an id", "a=1\n\nCANARY/+==\n", "line 3 does not begin with an id and ="},
		{"no end", "a=1\n\"b=CANARY\nc=2\n", "the quote in line 2 does not end"},
		{"after a long one", "\"a=1\n2\n3\"\nCANARY", "line 4 does not begin"},
		{"only a value", "CANARY", "line 1 does not begin"},
		{"path for an id", "../x=CANARY", "line 1 does not begin"},
		{"twice", "a=1\nb=2\na=CANARY", `two secrets with the id "a": $INPUT#a and $INPUT#a`},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got, err := w.loadValues(tc.text)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, %q, want %q", err, got, tc.want)
			}
			if hints := strings.Join(hint.Of(err), "\n"); hints == "" || strings.Contains(err.Error()+hints, "CANARY") {
				t.Errorf("got %q (hint %q)", err, hints)
			}
		})
	}
}

func TestSecretEnvAndFile(t *testing.T) {
	w := newWorld(t)
	w.env["TOKEN"] = "value-of-env"
	w.write("dir/a=b.txt", "value-of-file\n")
	e, err := ParseSecretEnv("one=TOKEN")
	if err != nil {
		t.Fatal(err)
	}
	f, err := ParseSecretFile("two=dir/a=b.txt")
	if err != nil {
		t.Fatal(err)
	}
	set, err := Load(t.Context(), []Ref{e, f}, w.options())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"one": "value-of-env", "two": "value-of-file\n"}, values(set)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, bad := range []string{"", "x", "x=", "=y", "a/b=y", "x=\x00"} {
		if _, err := ParseSecretEnv(bad); err == nil || hint.Of(err) == nil || !strings.Contains(err.Error(), "--secret-env") {
			t.Errorf("--secret-env %q: %v", bad, err)
		}
		if _, err := ParseSecretFile(bad); err == nil || hint.Of(err) == nil || !strings.Contains(err.Error(), "--secret-file") {
			t.Errorf("--secret-file %q: %v", bad, err)
		}
	}
}

// FuzzValues holds that an item that is written by the rule is read as it was,
// whatever stands around it, and that no text gives an id that is none.
func FuzzValues(f *testing.F) {
	f.Add("a=1\n", "id", "line one\n\"line\" two")
	f.Add("\"x=1\n2\"", "b", `""`)
	f.Fuzz(func(t *testing.T, before, id, value string) {
		items, err := splitValues(before)
		for _, item := range items {
			if secret.CheckID(item.id) != nil {
				t.Errorf("%q gives the id %q", before, item.id)
			}
		}
		if err != nil || secret.CheckID(id) != nil {
			return
		}
		value = strings.TrimSpace(value)
		all, err := splitValues(before + "\n\"" + id + "=" + strings.ReplaceAll(value, `"`, `""`) + "\"\n")
		if err != nil || len(all) != len(items)+1 {
			t.Fatalf("after %q: %v, %d items", before, err, len(all))
		}
		if last := all[len(items)]; last.id != id || last.value != value {
			t.Errorf("got %q=%q, want %q=%q", last.id, last.value, id, value)
		}
	})
}
