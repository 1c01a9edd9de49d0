package config

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestListForms(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"nothing", " \n\t\n", nil},
		{"lines", " a=1 \n\nb, c\r\n", []string{"a=1", "b, c"}},
		{"quoted lines", "a=1\n \"b=2\nand \"\"3\"\"\n\n4\" \r\n\"c=5,6\"\nd", []string{"a=1", "b=2\nand \"3\"\n\n4", "c=5,6", "d"}},
		{"quoted parts", "\"type=local\",\"dest=a,b\"\nc=\"d\"\n\"e\"f\"\"\n", []string{`"type=local","dest=a,b"`, `c="d"`, `"e"f""`}},
		{"a quote that does not end", "\"a=1\nb=2", []string{`"a=1`, "b=2"}},
		{"nothing in quotes", "\"\"\n\" \"\na", []string{"a"}},
		{"array", "[\"a\",\"b c\"]\n", []string{"a", "b c"}},
		{"array on many lines", "[\n  \"a\",\n  \"b\"\n]", []string{"a", "b"}},
		{"empty array", "[]\n", nil},
		{"blank items", `["a"," ","","b"]`, []string{"a", "b"}},
		{"hostile items", `["'; id #","$(id)","a\nb","\"]","\u2028"]`, []string{"'; id #", "$(id)", "a\nb", `"]`}},
		{"array and more", `["a"] ["b"]`, []string{`["a"] ["b"]`}},
		{"not only strings", `["a",1]`, []string{`["a",1]`}},
		{"null", `["a",null]`, []string{`["a",null]`}},
		{"cut off", `["a","b`, []string{`["a","b`}},
		{"a line with a bracket", "[x]\ny", []string{"[x]", "y"}},
	} {
		if diff := cmp.Diff(tt.want, Lines(tt.text)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestExpand(t *testing.T) {
	env := map[string]string{"REF": `x","registry.example.com/evil:1`, "SHA": "1234abcd", "NESTED": "$SHA", "_a1": "b"}
	got := Expand([]string{"app:$SHA", "app:${SHA}-x", "app:$REF", "$NESTED", "$$SHA", "$UNSET", "a$UNSET", "5$", "${SHA", "$(id)", "${_a1}$_a1", "$1"},
		func(name string) string { return env[name] })
	want := []string{"app:1234abcd", "app:1234abcd-x", `app:x","registry.example.com/evil:1`, "$SHA", "$SHA", "a", "5$", "${SHA", "$(id)", "bb", "$1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// FuzzLines shows that what JSON wrote is read as it was, and that nothing
// else is lost or made up.
func FuzzLines(f *testing.F) {
	for _, s := range []string{"", "a\nb", `["a"]`, `["a`, "[\"a\",\n\"b\"]", "\x85", `["\u0085"]`, "[[]]", `[""]`, "\"a\nb\"\n\"c\"\"d\"", `"a"b`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Lines(s)
		if _, ok := Array(s); !ok {
			for _, item := range got {
				quoted := strings.Contains(s, `"`)
				if item == "" || strings.ContainsRune(item, '\n') && !quoted || !strings.Contains(s, item) && !strings.Contains(s, strings.ReplaceAll(item, `"`, `""`)) {
					t.Errorf("%q: got the item %q", s, item)
				}
			}
		}
		text, err := json.Marshal(append(got, s))
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, item := range append(got, s) {
			if item = string([]rune(item)); strings.TrimSpace(item) != "" { // what is not UTF-8 cannot be in JSON
				want = append(want, item)
			}
		}
		if again := Lines(string(text)); !slices.Equal(again, want) {
			t.Errorf("%s: got %q, want %q", text, again, want)
		}
	})
}
