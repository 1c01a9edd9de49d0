package source

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/secret"
)

var compareRefs = cmp.AllowUnexported(Ref{})

func TestParseSOPS(t *testing.T) {
	tests := []struct {
		line string
		want Ref
		err  string
	}{
		{line: "secrets.yaml", want: Ref{file: "secrets.yaml"}},
		{line: "  secrets.yaml\t", want: Ref{file: "secrets.yaml"}},
		{line: "dir/my secrets.yaml", want: Ref{file: "dir/my secrets.yaml"}},
		{line: "secrets.yaml#npm.token", want: Ref{file: "secrets.yaml", key: "npm.token", path: []string{"npm", "token"}}},
		{line: "npmrc=secrets.yaml#npm.npmrc", want: Ref{id: "npmrc", file: "secrets.yaml", key: "npm.npmrc", path: []string{"npm", "npmrc"}}},
		{line: "config=secrets.enc.json", want: Ref{id: "config", file: "secrets.enc.json"}},
		{line: "env=.env.production,format=dotenv", want: Ref{id: "env", file: ".env.production", format: "dotenv"}},
		{line: "f#a,format=ini", want: Ref{file: "f", key: "a", path: []string{"a"}, format: "ini"}},
		{line: "./a=b.yaml", want: Ref{file: "./a=b.yaml"}},
		{line: "x=./a=b.yaml", want: Ref{id: "x", file: "./a=b.yaml"}},
		{line: "f#a=b", want: Ref{file: "f", key: "a=b", path: []string{"a=b"}}},
		{line: `f#"a.b".c`, want: Ref{file: "f", key: `"a.b".c`, path: []string{"a.b", "c"}}},
		{line: `f#a\.b.c\\d`, want: Ref{file: "f", key: `a\.b.c\\d`, path: []string{"a.b", `c\d`}}},
		{line: `f#["a"]["b.c"][0]`, want: Ref{file: "f", key: `["a"]["b.c"][0]`, path: []string{"a", "b.c", "0"}}},
		{line: `f#""`, want: Ref{file: "f", key: `""`, path: []string{""}}},
		{line: `f#[x]`, want: Ref{file: "f", key: `[x]`, path: []string{"[x]"}}},
		{line: "f#a#b", want: Ref{file: "f", key: "a#b", path: []string{"a#b"}}},
		{line: "", err: "no file"},
		{line: "id=", err: "no file"},
		{line: "#key", err: "no file"},
		{line: "f#", err: "no key after #"},
		{line: "f#a..b", err: "an empty part"},
		{line: "f#.a", err: "an empty part"},
		{line: "f#a.", err: "an empty part"},
		{line: `f#"a`, err: "a quote that does not end"},
		{line: `f#"a"b`, err: "a quote that ends inside of a key"},
		{line: "my id=f", err: `the secret id "my id": only letters`},
		{line: "..=f", err: `the secret id ".."`},
		{line: "=f", err: "an empty secret id"},
		{line: "f,format=yml2", err: `the format "yml2" is not known`},
		{line: "f\x00", err: "NUL byte"},
	}
	for _, tc := range tests {
		got, err := ParseSOPS(tc.line)
		if tc.err != "" {
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("%q: got error %v, want %q", tc.line, err, tc.err)
			}
			continue
		}
		if diff := cmp.Diff(tc.want, got, compareRefs); err != nil || diff != "" {
			t.Errorf("%q: %v (-want +got):\n%s", tc.line, err, diff)
		}
	}
	_, err := ParseSOPS("f,format=yaaml")
	if hints := hint.Of(err); len(hints) != 1 || hints[0] != "did you mean format=yaml?" {
		t.Errorf("hints of a mistyped format: %q", hints)
	}
}

func TestParseSecret(t *testing.T) {
	tests := []struct {
		flag string
		want Ref
		err  string
	}{
		{flag: "id=x,src=a.txt", want: Ref{kind: fromFile, id: "x", file: "a.txt"}},
		{flag: "ID=x,source=/run/a.txt", want: Ref{kind: fromFile, id: "x", file: "/run/a.txt"}},
		{flag: "type=file,id=x,src=a", want: Ref{kind: fromFile, id: "x", file: "a"}},
		{flag: "id=x,env=TOKEN", want: Ref{kind: fromEnv, id: "x", env: "TOKEN"}},
		{flag: "type=env,id=x,env=TOKEN", want: Ref{kind: fromEnv, id: "x", env: "TOKEN"}},
		{flag: "type=env,id=x,src=TOKEN", want: Ref{kind: fromEnv, id: "x", env: "TOKEN"}},
		{flag: "id=TOKEN", want: Ref{kind: fromEither, id: "TOKEN", file: "TOKEN", env: "TOKEN"}},
		{flag: `id=x,"src=a,b.txt"`, want: Ref{kind: fromFile, id: "x", file: "a,b.txt"}},
		{flag: "id=x,src=a=b", want: Ref{kind: fromFile, id: "x", file: "a=b"}},
		{flag: "id=x,sops=s.yaml#a.b", want: Ref{id: "x", file: "s.yaml", key: "a.b", path: []string{"a", "b"}}},
		{flag: "id=x,sops=s,format=json", want: Ref{id: "x", file: "s", format: "json"}},
		{flag: "", err: "nothing given"},
		{flag: "src=a", err: "an empty secret id"},
		{flag: "id=a/b,src=a", err: `the secret id "a/b"`},
		{flag: "id=x,src", err: `the field "src" is no key=value pair`},
		{flag: "id=x,dst=a", err: `the field "dst" is not known`},
		{flag: "id=x,type=tmpfs,src=a", err: `the type "tmpfs" is neither file nor env`},
		{flag: "id=x,src=a,env=b", err: "more than one of src, env and sops"},
		{flag: "id=x,src=a,format=json", err: "format without sops"},
		{flag: `id=x,"src`, err: "not comma separated"},
		{flag: "id=x,src=a\nid=y,src=b", err: "more than one line"},
	}
	for _, tc := range tests {
		got, err := ParseSecret(tc.flag)
		if tc.err != "" {
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("%q: got error %v, want %q", tc.flag, err, tc.err)
			}
			continue
		}
		if diff := cmp.Diff(tc.want, got, compareRefs); err != nil || diff != "" {
			t.Errorf("%q: %v (-want +got):\n%s", tc.flag, err, diff)
		}
	}
}

// TestSecret holds that --secret gives what docker buildx gives.
func TestSecret(t *testing.T) {
	w := newWorld(t)
	w.write("a.txt", "file-a\n")
	w.write("BOTH", "file-both")
	w.write("FILE_ONLY", "file-only")
	w.encrypt("s.yaml", testPlain)
	w.env["TOKEN"], w.env["BOTH"], w.env["EMPTY"] = "env-token\n", "env-both", ""
	got := w.mustLoad("id=a,src=a.txt", "id=t,env=TOKEN", "id=BOTH", "id=FILE_ONLY", "id=EMPTY", "id=pw,sops=s.yaml#db.password", "id=abs,src="+w.dir+"/a.txt")
	want := map[string]string{
		"a": "file-a\n", "t": "env-token\n", "BOTH": "env-both", "FILE_ONLY": "file-only", "EMPTY": "", "pw": "CANARY-password", "abs": "file-a\n",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func FuzzParseSOPS(f *testing.F) {
	for _, s := range []string{"secrets.yaml", "a=b#c.d,format=json", `x=f#"a.b".c`, `f#["a"][0]`, `f#a\.b`, "./a=b", "=#,format="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		ref, err := ParseSOPS(line)
		if err != nil {
			return
		}
		if ref.file == "" || ref.id != "" && secret.CheckID(ref.id) != nil || (ref.key == "") != (ref.path == nil) {
			t.Errorf("%q: %+v", line, ref)
		}
		// Writing a path and reading it again gives the same path.
		if ref.path != nil {
			again, err := parseKey(formatKey(ref.path))
			if diff := cmp.Diff(ref.path, again); err != nil || diff != "" {
				t.Errorf("%q: writing and reading the path: %v\n%s", line, err, diff)
			}
		}
	})
}

func FuzzParseSecret(f *testing.F) {
	for _, s := range []string{"id=x,src=a", "id=x,env=A", "type=env,id=x,src=A", "id=x,sops=f#a.b,format=json", `id=x,"src=a,b"`, "id=x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, flag string) {
		ref, err := ParseSecret(flag)
		if err == nil && (secret.CheckID(ref.id) != nil || ref.file == "" && ref.env == "") {
			t.Errorf("%q: %+v", flag, ref)
		}
	})
}
