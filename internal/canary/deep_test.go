package canary

import (
	"slices"
	"strings"
	"testing"
)

// TestDeepShows: each form has a name of its own and shows the value, and none
// reads as another.
func TestDeepShows(t *testing.T) {
	for name, v := range values(t) {
		names, texts := map[string]bool{}, map[string]bool{}
		forms := Deep(v)
		for _, f := range forms {
			if names[f.Name] || texts[string(f.Text)] {
				t.Errorf("%s: %s: twice", name, f.Name)
			}
			names[f.Name], texts[string(f.Text)] = true, true
			if !f.Shows(f.Text) || f.Shows(nil) {
				t.Errorf("%s: %s: shows %v in %q", name, f.Name, f.Shows(f.Text), f.Text)
			}
		}
		for _, f := range Forms(v) {
			if !texts[string(f.Text)] {
				t.Errorf("%s: %s is not among them", name, f.Name)
			}
		}
	}
}

// A few as other programs gave them.
func TestDeepAgreesWithOtherPrograms(t *testing.T) {
	v := `a"b'c<d>&e/f\g h$i+j=k`
	want := map[string]string{
		"percent in a path":               "a%22b%27c%3Cd%3E&e%2Ff%5Cg%20h$i+j=k",                                     // Go: url.PathEscape
		"percent, JavaScript's":           "a%22b'c%3Cd%3E%26e%2Ff%5Cg%20h%24i%2Bj%3Dk",                               // node: encodeURIComponent(v)
		`json with \/`:                    `a\"b'c<d>&e\/f\\g h$i+j=k`,                                                // php: json_encode($v)
		"json, .NET's":                    `a\u0022b\u0027c\u003Cd\u003E\u0026e/f\\g h$i\u002Bj=k`,                    // JsonSerializer.Serialize(v)
		"json in json":                    `a\\\"b'c<d>&e/f\\\\g h$i+j=k`,                                             // python: json.dumps(json.dumps(v))
		"xml, by name":                    `a&quot;b&apos;c&lt;d&gt;&amp;e/f\g h$i+j=k`,                               // python: saxutils.escape(v, {…})
		"shell, backslashes":              `a\"b\'c\<d\>\&e/f\\g\ h\$i+j=k`,                                           // bash: printf %q "$V"
		"shell, double quotes":            `a\"b'c<d>&e/f\\g h\$i+j=k`,                                                //
		`each \x`:                         `\x61\x22\x62\x27\x63\x3c\x64\x3e\x26\x65\x2f\x66\x5c\x67\x20\x68\x24\x69`, // od, sed
		"base64 of utf-16le":              "YQAiAGIAJwBjADwAZAA+ACYAZQAvAGYAXABnACAAaAAkAGkAKwBqAD0Aaw",               // iconv -t utf-16le | base64, up to its end
		"base64 of shell":                 "YSJiJ1wnJ2M8ZD4mZS9mXGcgaCRpK2o9aw==",
		"base64 twice, 0 and 0 bytes off": "WVNKaUoyTThaRDRtWlM5bVhHY2dhQ1JwSzJvOWF3PT0=",
	}
	forms := Deep([]byte(v))
	for name, w := range want {
		i := slices.IndexFunc(forms, func(f Form) bool { return f.Name == name })
		if i < 0 {
			t.Errorf("%s: there is none", name)
		} else if got := string(forms[i].Text); !strings.Contains(got, w) {
			t.Errorf("%s: got %q, want %q in it", name, got, w)
		}
	}
}
