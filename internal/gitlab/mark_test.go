package gitlab

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestMark(t *testing.T) {
	seal := newSealer(secrets(t))
	code := seal.code("X", "*", "value")
	for _, m := range []mark{
		{"", "secrets.yaml#db.password", code},
		{"team/app", "a file] [v1].yaml#x", code},
		{"", "secrets.yaml", ""},
	} {
		got, ok := parseMark(m.String())
		if !ok || got != m {
			t.Errorf("%s: got %+v, want %+v", m, got, m)
		}
	}
	long := mark{strings.Repeat("o", 64), strings.Repeat("ä", 400) + "#the.end", code}
	got, ok := parseMark(long.String())
	if n := utf8.RuneCountInString(long.String()); !ok || n > maxDescription || !strings.HasSuffix(got.origin, "ä#the.end") || got.mac != code {
		t.Errorf("%d characters: %s", n, long)
	}
	for _, d := range []string{"", "made by hand", marked, marked + " from x", marked + " (a b) from x [v1]", " " + marked + " from x [v1]", marked + " from x [v2]", marked + " from x\ny [v1]"} {
		if m, ok := parseMark(d); ok {
			t.Errorf("%q: got %+v, want none", d, m)
		}
	}
}

// TestCode: one code a variable and value, that nobody can make without the key.
func TestCode(t *testing.T) {
	set := secrets(t)
	seal := newSealer(set)
	seen := map[string]bool{}
	for _, parts := range [][3]string{{"X", "*", "v"}, {"X", "*", "w"}, {"Y", "*", "v"}, {"X", "p", "v"}, {"X*", "", "v"}, {"", "X*v", ""}} {
		code := seal.code(parts[0], parts[1], parts[2])
		if seen[code] {
			t.Errorf("%q has the code of another", parts)
		}
		seen[code] = true
		if !(mark{mac: code}).same(seal.code(parts[0], parts[1], parts[2])) {
			t.Errorf("%q: the same is not the same", parts)
		}
	}
	set.AddKey([]byte("another file"))
	other := newSealer(set)
	if m := (mark{mac: other.code("X", "*", "v")}); m.same(seal.code("X", "*", "v")) || m.comparable(seal.code("X", "*", "v")) {
		t.Error("another key makes the same code")
	}
	if (mark{}).same("") || (mark{}).same((sealer{}).code("X", "*", "v")) {
		t.Error("no code is the same as no code")
	}
}

func FuzzMark(f *testing.F) {
	f.Add("", "secrets.yaml#x")
	f.Add("team", "a] [v1].yaml\n#x\xff")
	f.Fuzz(func(t *testing.T, by, origin string) {
		if checkOwner(by) != nil {
			return
		}
		m := mark{by, origin, "01234567.0123456789abcdef0123456789abcdef"}
		got, ok := parseMark(m.String())
		if !ok || got.by != by || got.mac != m.mac || utf8.RuneCountInString(m.String()) > maxDescription {
			t.Errorf("%q: got %+v, %v", m.String(), got, ok)
		}
	})
}
