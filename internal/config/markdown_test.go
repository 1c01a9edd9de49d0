package config

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

//go:generate go test -run TestReadmeHasTheOptions -update

var update = flag.Bool("update", false, "rewrite the generated parts of the documentation")

func TestReadmeHasTheOptions(t *testing.T) {
	for name, table := range map[string]string{
		"README.md":                Markdown(Build),
		"docs/gitlab-variables.md": "### `gitlab audit`\n\n" + Markdown(GitLabAudit) + "\n### `gitlab sync`\n\n" + Markdown(GitLabSync),
	} {
		path := filepath.Join("..", "..", filepath.FromSlash(name))
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want, err := Splice(string(got), table)
		if err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s differs from the table of options; make generate rewrites it (-want +got):\n%s", name, diff)
		}
	}
}

func TestMarkdown(t *testing.T) {
	got := Markdown([]Option{
		{Flag: "progress", Kind: String, Default: "auto", Arg: "auto|plain", Usage: "how to show it", Group: GroupOutput},
		{Flag: "tag", Short: "t", Kind: List, Arg: "REF", Usage: "name", Group: GroupBuild},
		{Flag: "pull", Kind: Bool, Usage: "ask", Group: GroupBuild},
	})
	want := `**Build (as in docker buildx build)**

| flag | what it does |
|---|---|
| ` + "`-t, --tag REF`" + ` | name; may be given several times |
| ` + "`--pull`" + ` | ask |

**Output**

| flag | what it does |
|---|---|
| ` + "`--progress auto\\|plain`" + ` | how to show it (default: auto) |
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSplice(t *testing.T) {
	doc := "a\n" + MarkdownBegin + "\nold\n" + MarkdownEnd + "\nb\n"
	got, err := Splice(doc, "new\n")
	if want := strings.Replace(doc, "old", "new", 1); got != want || err != nil {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	for _, doc := range []string{"", MarkdownBegin + "\n", MarkdownEnd + "\n" + MarkdownBegin + "\n"} {
		if got, err := Splice(doc, "new\n"); err == nil {
			t.Errorf("Splice(%q): got %q, want an error", doc, got)
		}
	}
}

// TestRowsAreWhole holds the table to what everything made from it relies on.
func TestRowsAreWhole(t *testing.T) {
	for command, table := range map[string][]Option{"build": Build, "check": Check, "doctor": Doctor, "exec": Exec, "gitlab audit": GitLabAudit, "gitlab sync": GitLabSync} {
		seen := map[string]bool{}
		for _, o := range table {
			for _, name := range []string{"--" + o.Flag, "-" + o.Short, o.Env()} {
				if name != "-" && seen[name] {
					t.Errorf("%s %s: twice in the table", command, name)
				}
				seen[name] = true
			}
			switch {
			case o.Usage == "" || strings.HasSuffix(o.Usage, "."):
				t.Errorf("%s --%s: usage %q: want one sentence without a final period", command, o.Flag, o.Usage)
			case (o.Kind == Bool) != (o.Arg == ""):
				t.Errorf("%s --%s: argument %q does not fit its kind", command, o.Flag, o.Arg)
			case !slices.Contains(Groups, o.Group):
				t.Errorf("%s --%s: group %q is not shown", command, o.Flag, o.Group)
			}
		}
	}
}

func TestEnv(t *testing.T) {
	if got, want := (Option{Flag: "report-dir"}).Env(), "SECURE_BUILD_REPORT_DIR"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestPairs(t *testing.T) {
	lookup := func(name string) (string, bool) { return "from env", name == "SET" }
	for _, tt := range []struct {
		items   []string
		lookup  func(string) (string, bool)
		want    map[string]string
		wantErr bool
	}{
		{nil, nil, map[string]string{}, false},
		{[]string{"A=1", "B=x=y", "C="}, nil, map[string]string{"A": "1", "B": "x=y", "C": ""}, false},
		{[]string{"SET", "UNSET"}, lookup, map[string]string{"SET": "from env"}, false},
		{[]string{"SET"}, nil, nil, true},
		{[]string{"=1"}, lookup, nil, true},
		{[]string{""}, lookup, nil, true},
	} {
		got, err := Pairs("label", tt.items, tt.lookup)
		if diff := cmp.Diff(tt.want, got); diff != "" || (err != nil) != tt.wantErr {
			t.Errorf("Pairs(%q): %v (-want +got):\n%s", tt.items, err, diff)
		}
	}
}

func TestLines(t *testing.T) {
	got := Lines("\n a=1 \r\n\n\tb, c\n")
	if diff := cmp.Diff([]string{"a=1", "b, c"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
