package source

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/org/secure-build/internal/secret"
)

// searched lists what a set masks beside the world's own identity: "id=value".
func searched(set secret.Set) []string {
	var all []string
	for _, s := range set.Searched() {
		if s.ID() == "SOPS_AGE_KEY" {
			continue
		}
		all = append(all, s.ID()+"="+string(s.Reveal()))
	}
	slices.Sort(all)
	return all
}

const selectorPlain = `# head comment
host: db.local
password: s3cret-one
token_unencrypted: clear-token
port: 5432
empty: ""
nested:
    password: s3cret-two
    # sops:enc
    marked: s3cret-three
    open: left-alone
list:
    - x_pub: clear
      password: s3cret-four
    - password: s3cret-five
`

// TestSelectors holds that what is masked is exactly what SOPS encrypted.
func TestSelectors(t *testing.T) {
	tests := []struct {
		name string
		rule string
		want []string
	}{
		{"all", "", []string{
			"comment= head comment", "empty=", "host=db.local", "list_0_password=s3cret-four", "list_0_x_pub=clear", "list_1_password=s3cret-five",
			"nested_comment= sops:enc", "nested_marked=s3cret-three", "nested_open=left-alone", "nested_password=s3cret-two", "password=s3cret-one", "port=5432\n",
		}},
		{"encrypted_regex", `encrypted_regex: "^(password|empty)$"`, []string{
			"empty=", "list_0_password=s3cret-four", "list_1_password=s3cret-five", "nested_password=s3cret-two", "password=s3cret-one",
		}},
		{"unencrypted_regex", `unencrypted_regex: "^(host|list|empty|token_unencrypted|nested)$"`, []string{
			"comment= head comment", "password=s3cret-one", "port=5432\n",
		}},
		{"encrypted_suffix", `encrypted_suffix: "word"`, []string{
			"list_0_password=s3cret-four", "list_1_password=s3cret-five", "nested_password=s3cret-two", "password=s3cret-one",
		}},
		{"unencrypted_suffix", `unencrypted_suffix: "t"`, []string{ // host, port, list
			"comment= head comment", "empty=", "nested_comment= sops:enc", "nested_marked=s3cret-three", "nested_open=left-alone", "nested_password=s3cret-two",
			"password=s3cret-one", "token_unencrypted=clear-token",
		}},
		{"encrypted_comment_regex", `encrypted_comment_regex: "sops:enc"`, []string{"nested_marked=s3cret-three"}},
		{"unencrypted_comment_regex", `unencrypted_comment_regex: "sops:enc"`, []string{
			"comment= head comment", "empty=", "host=db.local", "list_0_password=s3cret-four", "list_0_x_pub=clear", "list_1_password=s3cret-five",
			"nested_open=left-alone", "nested_password=s3cret-two", "password=s3cret-one", "port=5432\n", "token_unencrypted=clear-token",
		}},
		{"mac_only_encrypted", "mac_only_encrypted: true\n    encrypted_regex: ^password$", []string{
			"list_0_password=s3cret-four", "list_1_password=s3cret-five", "nested_password=s3cret-two", "password=s3cret-one",
		}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.encryptByRule("s.yaml", selectorPlain, tc.rule+"\n    age: "+w.id.Recipient().String())
			set, err := w.load("s.yaml")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, searched(set)); diff != "" {
				t.Errorf("masked (-want +got):\n%s", diff)
			}

			// A whole document masks the same values, not its own text.
			set, err = w.load("config=s.yaml")
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, s := range tc.want {
				want = append(want, "config_"+s)
			}
			if diff := cmp.Diff(want, searched(set)); diff != "" {
				t.Errorf("masked of the document (-want +got):\n%s", diff)
			}

			// And without a key the same ids are known.
			delete(w.env, "SOPS_AGE_KEY")
			ref, _ := ParseSOPS("s.yaml")
			names, err := Names(ref, w.options())
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(names)
			var ids []string
			for _, s := range tc.want {
				if id, _, _ := strings.Cut(s, "="); !strings.HasSuffix(id, "comment") {
					ids = append(ids, id)
				}
			}
			if diff := cmp.Diff(ids, names); diff != "" {
				t.Errorf("names without a key (-want +got):\n%s", diff)
			}
		})
	}
}

// A value that SOPS left in clear text is a secret if it is asked for by name.
func TestClearLeafByName(t *testing.T) {
	w := newWorld(t)
	w.encrypt("s.yaml", "host: db.local\npassword: s3cret\n", "--encrypted-regex", "^password$")
	want := map[string]string{"host": "db.local"}
	if diff := cmp.Diff(want, w.mustLoad("s.yaml#host")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDocuments(t *testing.T) {
	w := newWorld(t)
	w.encrypt("s.yaml", "a: one\n---\na: two\nb:\n  c: three\n---\n# only a comment\n{}\n")
	want := map[string]string{"a": "one", "doc2_a": "two", "doc2_b_c": "three"}
	if diff := cmp.Diff(want, w.mustLoad("s.yaml")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	want = map[string]string{"doc2_b_c": "three", "x": "two"}
	if diff := cmp.Diff(want, w.mustLoad("s.yaml#doc2.b.c", "x=s.yaml#doc2.a")); diff != "" {
		t.Errorf("by key (-want +got):\n%s", diff)
	}
	whole, err := w.sops("decrypt", "s.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(whole, w.mustLoad("x=s.yaml")["x"]); diff != "" {
		t.Errorf("whole (-sops +ours):\n%s", diff)
	}
}

func TestCommentsAreSecrets(t *testing.T) {
	tests := []struct {
		file, plain string
		want        []string
	}{
		{"s.yaml", "# top\na: one-value # inline\nlist:\n  # in a list\n  - x-value\n  - y-value # at y\n# foot\n",
			[]string{"a=one-value", "comment= foot", "comment= inline", "comment= top", "list_0=x-value", "list_1=y-value", "list_comment= at y", "list_comment= in a list"}},
		{".env", "# top\nA=one-value\n#last\n", []string{"A=one-value", "comment= top", "comment=last"}},
		{"s.ini", "[s]\n; about a\na = one-value\n", []string{"s_a=one-value", "s_comment=about a"}},
	}
	for _, tc := range tests {
		w := newWorld(t)
		w.encrypt(tc.file, tc.plain)
		set, err := w.load(tc.file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tc.want, searched(set)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.file, diff)
		}
	}
}

func TestIDs(t *testing.T) {
	w := newWorld(t)
	w.encrypt("s.yaml", "npm:\n  token: t-value\nweird/key: w-value\n'..': up-value\n'../../etc/x': etc-value\n\"nul\\0esc\\x1b\": n-value\n'': nameless\n"+strings.Repeat("k", 200)+": long-value\n")
	w.encrypt("prod.env", "A=a-value\nexport B=b-value\n")
	set, err := w.load("s.yaml", "prod.env", "named=s.yaml#npm.token", `up=s.yaml#".."`)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, s := range set.Mounted() {
		got[s.ID()] = s.Origin()
		if err := secret.CheckID(s.ID()); err != nil {
			t.Error(err)
		}
	}
	want := map[string]string{
		"npm_token": "s.yaml#npm.token", "weird_key": "s.yaml#weird/key", ".._.._etc_x": `s.yaml#"../../etc/x"`,
		"nul_esc_": `s.yaml#"nul\x00esc\x1b"`, "A": "prod.env#A", "B": `prod.env#"export B"`,
		"named": "s.yaml#npm.token", "up": `s.yaml#".."`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// Keys that cannot be an id are masked all the same.
	hidden := slices.Sorted(maps.Keys(got))
	for _, value := range []string{"up-value", "nameless", "long-value"} {
		if !strings.Contains(strings.Join(searched(set), "\n"), "="+value) {
			t.Errorf("%q is not masked; ids: %q", value, hidden)
		}
	}
}
