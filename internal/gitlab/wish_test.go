package gitlab

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/org/secure-build/internal/gitlab/gitlabtest"
)

// FuzzFit holds for any value what sync makes of it: GitLab takes it (its rules
// are in gitlabtest), a job gets it back, and it lies open only if somebody
// said so or it is a file.
func FuzzFit(f *testing.F) {
	for _, v := range []string{canary + "12345", pem, `{"a":1}`, `{"a": "b"}`, "two words", "short", "", "12345\n", "a\nb", "\xff\x00", "p$a$$w0rd", "\u2028\u00a0äöüäöü", "-----BEGIN ", "[", "\r\n"} {
		f.Add(v, false, false, false)
		f.Add(v, true, false, true)
		f.Add(v, false, true, false)
	}
	f.Fuzz(func(t *testing.T, value string, asBase64, asFile, unmasked bool) {
		var o SyncOptions
		for _, flag := range []struct {
			on   bool
			list *[]string
		}{{asBase64, &o.Base64}, {asFile, &o.File}, {unmasked, &o.Unmasked}} {
			if flag.on {
				*flag.list = []string{"x"}
			}
		}
		w := wish{id: "x", origin: "f#x"}
		w.Name, w.Scope, w.Raw = "X", "*", true
		w.fit(value, o)
		if w.refused != "" {
			if asBase64 && unmasked {
				t.Errorf("%q is refused although everything is allowed: %s", value, w.refused)
			}
			return
		}
		stored := plain(w.value)
		if ok := gitlabtest.Takes(gitlabtest.Variable{Key: "X", Value: stored, VariableType: w.Type, Masked: w.Masked, Raw: w.Raw, EnvironmentScope: "*"}); !ok {
			t.Errorf("GitLab does not take what is made of %q", value)
		}
		if asBase64 {
			decoded, err := base64.StdEncoding.DecodeString(stored)
			if err != nil || string(decoded) != value {
				t.Errorf("%q comes back as %q", value, decoded)
			}
		} else if stored != value && stored+"\n" != value {
			t.Errorf("%q became %q", value, stored)
		}
		if !w.Masked && w.Type != TypeFile && !unmasked {
			t.Errorf("%q lies open", value)
		}
		if w.Hidden != w.Masked {
			t.Errorf("%q: masked %v, hidden %v", value, w.Masked, w.Hidden)
		}
		if len(value) > 20 && strings.Contains(w.note, value) {
			t.Errorf("the note shows the value: %s", w.note)
		}
	})
}

func TestVariableName(t *testing.T) {
	for id, want := range map[string]string{"npm_token": "NPM_TOKEN", "db.pass-word": "DB_PASS_WORD", "NPMRC": "NPMRC", "hosts_0_key": "HOSTS_0_KEY"} {
		if got := variableName(id); got != want {
			t.Errorf("%s: got %s, want %s", id, got, want)
		}
	}
}
