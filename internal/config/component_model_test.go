package config

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// A template is the component as GitLab reads it
// (lib/gitlab/ci/config/interpolation of GitLab): a header, and a text into
// which inputs are put before it is read as YAML.
type template struct {
	inputs map[string]spec
	text   string
}

type spec struct {
	Type        string
	Description string
	Default     any
	Regex       string
	Options     []any
}

func readTemplate(t testing.TB) template {
	t.Helper()
	text, err := os.ReadFile(component)
	if err != nil {
		t.Fatal(err)
	}
	header, content, ok := strings.Cut(string(text), "\n---\n")
	if !ok {
		t.Fatal("there is no header")
	}
	var h struct {
		Spec struct{ Inputs map[string]spec }
	}
	if err := yaml.Unmarshal([]byte(header), &h); err != nil {
		t.Fatal(err)
	}
	return template{h.Spec.Inputs, content}
}

// check is BaseInput's validate! and its children's.
func (s spec) check(v any) error {
	ok := false
	switch v := v.(type) {
	case string:
		ok = s.Type == "string"
		if s.Regex != "" && !regexp.MustCompile(s.Regex).MatchString(v) { // RE2 there, too
			return fmt.Errorf("%q does not match %s", v, s.Regex)
		}
	case bool:
		ok = s.Type == "boolean"
	case []any:
		ok = s.Type == "array"
	}
	if !ok {
		return fmt.Errorf("%v is no %s", v, s.Type)
	}
	if s.Options != nil && !slices.Contains(s.Options, v) {
		return fmt.Errorf("%v is none of %v", v, s.Options)
	}
	return nil
}

var block = regexp.MustCompile(`\$\[\[\s*inputs\.([\w-]+)\s*\]\]`)

// interpolate is TextTemplate: a string as it is, all else as JSON (which in
// Rails escapes <, >, & and the two separators, as Go does).
func (tp template) interpolate(given map[string]any) (string, error) {
	values := map[string]any{}
	for name, s := range tp.inputs {
		v, ok := given[name]
		if !ok {
			v = s.Default
		}
		if err := s.check(v); err != nil {
			return "", fmt.Errorf("`%s` input: %w", name, err)
		}
		values[name] = v
	}
	return block.ReplaceAllStringFunc(tp.text, func(b string) string {
		v := values[block.FindStringSubmatch(b)[1]]
		if s, ok := v.(string); ok {
			return s
		}
		text, err := json.Marshal(v)
		if err != nil {
			return err.Error()
		}
		return string(text)
	}), nil
}

func (tp template) jobs(given map[string]any) (map[string]any, error) {
	text, err := tp.interpolate(given)
	if err != nil {
		return nil, err
	}
	var jobs map[string]any
	if err := yaml.Unmarshal([]byte(text), &jobs); err != nil {
		return nil, fmt.Errorf("the text is no YAML, so there is no pipeline: %w", err)
	}
	return jobs, nil
}

// substitute replaces a text by another in all keys and values.
func substitute(v any, old, value string) any {
	switch v := v.(type) {
	case string:
		return strings.ReplaceAll(v, old, value)
	case []any:
		out := []any{}
		for _, e := range v {
			out = append(out, substitute(e, old, value))
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			out[strings.ReplaceAll(k, old, value)] = substitute(e, old, value)
		}
		return out
	}
	return v
}

// dialect is what RE2 and JavaScript read differently, or one of them not at all.
var dialect = regexp.MustCompile(`\\(?:[^x.\\]|x[^0-9a-f])|\(\?|\[\^?\]|\[\^?\[`)

func TestComponentIsWhole(t *testing.T) {
	tp := readTemplate(t)
	for name, s := range tp.inputs {
		if s.Description == "" || s.Type == "" || s.Default == nil {
			t.Errorf("%s: description, type or default is missing", name)
		}
		if s.Type == "string" && s.Regex == "" && s.Options == nil {
			t.Errorf("%s: a string with neither a regex nor options", name)
		}
		if !strings.Contains(tp.text, "$[[ inputs."+name+" ]]") {
			t.Errorf("%s is not used", name)
		}
		if s.Regex != "" && (!strings.HasPrefix(s.Regex, "^") || !strings.HasSuffix(s.Regex, "$")) {
			t.Errorf("%s: %s does not hold the whole value", name, s.Regex)
		}
		if odd := dialect.FindString(s.Regex); odd != "" {
			t.Errorf("%s: %s is not the same in RE2 and in JavaScript", name, odd)
		}
	}
	for _, m := range block.FindAllStringSubmatch(tp.text, -1) {
		if _, ok := tp.inputs[m[1]]; !ok {
			t.Errorf("%s is used and no input", m[1])
		}
	}
	jobs, err := tp.jobs(nil)
	if err != nil {
		t.Fatal(err)
	}
	job := jobs["secure-build"].(map[string]any)
	if diff := cmp.Diff([]any{`secure-build build -- "$SECURE_BUILD_CONTEXT"`}, job["script"]); diff != "" {
		t.Errorf("the script (-want +got):\n%s", diff)
	}
	for name, v := range job["variables"].(map[string]any) {
		if m, ok := v.(map[string]any); ok && (m["expand"] != false || m["value"] != "[]\n") {
			t.Errorf("%s: got %v, want an empty list that is not expanded", name, m)
		}
	}
}

// hostile are texts that end a quote, a line, a document, or a command.
var hostile = []string{
	`'`, `"`, "\n", "\r", "x\n", "\nx", "x\n- y", "'\nscript: [id]\nx: '", "\u0085script: [id]", "\u2028x: y", "\u2029", "\x00", "\x1b[0m", "\t", "\x7f",
	"$(id)", "`id`", "; id", "&& id", "| id", "> /etc/passwd", "--help", "-f", "$[[ inputs.tags ]]", "${IFS}", "$CI_JOB_TOKEN", `\`, `\n`, `a\'b`,
	"# x", ": x", "{a: b}", "[a, b]", "*x", "&x", "!x", "%x", "@x", "...", "---", "null", "true", "../../etc/passwd", "/etc/passwd", strings.Repeat("A", 100_000),
	"\ufeff", "\u202e", "é", "</script>", "%{x}", "~", "!reference [.x, script]",
}

// holds shows that an input with this value is refused, or stands literally
// where another stands, and changes nothing else.
func (tp template) holds(t testing.TB, name, value string) (refused bool) {
	t.Helper()
	const other = "placeholder"
	given := func(v string) map[string]any {
		if tp.inputs[name].Type == "array" {
			return map[string]any{name: []any{v}}
		}
		return map[string]any{name: v}
	}
	got, err := tp.jobs(given(value))
	if err != nil {
		return true
	}
	want, err := tp.jobs(given(other))
	if err != nil { // of options, another is none
		if want, err = tp.jobs(nil); err != nil {
			t.Fatal(err)
		}
	}
	want = substitute(read(want), other, value).(map[string]any)
	if got = read(got).(map[string]any); !reflect.DeepEqual(want, got) {
		t.Errorf("%s: %q changes the job:\n%s", name, value, cmp.Diff(want, got))
	}
	return false
}

// read puts the items of the lists that are in variables into their places.
func read(v any) any {
	switch v := v.(type) {
	case string:
		var items []any
		if strings.HasPrefix(v, "[") && json.Unmarshal([]byte(v), &items) == nil {
			return items
		}
	case []any:
		for i := range v {
			v[i] = read(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = read(v[k])
		}
	}
	return v
}

// lineBreak is the one that Rails writes into JSON as it is and YAML takes for
// the end of a line: a list with it ends the block that it stands in. GitLab
// has no regex for lists, so this is said in the documentation.
const lineBreak = "\u0085"

func TestHostileInputs(t *testing.T) {
	tp := readTemplate(t)
	for name, s := range tp.inputs {
		if s.Type == "boolean" {
			if tp.holds(t, name, "true; id") != true {
				t.Errorf("%s: a string is taken for a boolean", name)
			}
			continue
		}
		for _, value := range hostile {
			if s.Type == "array" && strings.Contains(value, lineBreak) {
				continue
			}
			refused := tp.holds(t, name, value)
			if s.Type == "string" && !refused && strings.ContainsAny(value, "'\"\n\r\x00`\\"+lineBreak) {
				t.Errorf("%s: %q is taken", name, value)
			}
		}
	}
}

func FuzzHostileInputs(f *testing.F) {
	tp := readTemplate(f)
	var names []string
	for name := range tp.inputs {
		names = append(names, name)
	}
	slices.Sort(names)
	for i, value := range hostile[:len(hostile)-1] {
		f.Add(i, value)
	}
	f.Fuzz(func(t *testing.T, i int, value string) {
		name := names[uint(i)%uint(len(names))]
		if s := tp.inputs[name]; s.Type == "boolean" || s.Type == "array" && (strings.Contains(value, lineBreak) || strings.TrimSpace(value) == "") {
			return
		}
		tp.holds(t, name, strings.ToValidUTF8(value, ""))
	})
}
