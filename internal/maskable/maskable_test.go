package maskable

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// GitLab's own lines (app/models/concerns/ci/maskable.rb, 18.5), less the %r{}.
const (
	rubyExpanded = `\A[a-zA-Z0-9_+=/@:.~-]{8,}\z`
	rubyRaw      = `\A\S{8,}\z`
)

// pinned reads them as Ruby does, where \S is anything but [ \t\r\n\f\v].
func pinned(value string, raw bool) bool {
	rule := rubyExpanded
	if raw {
		rule = strings.ReplaceAll(rubyRaw, `\S`, `[^ \t\r\n\f\v]`)
	}
	// Ruby refuses to match what is not UTF-8, and PostgreSQL to keep a NUL.
	return utf8.ValidString(value) && !strings.Contains(value, "\x00") && regexp.MustCompile(rule).MatchString(value)
}

func TestValue(t *testing.T) {
	for _, tt := range []struct {
		value         string
		expanded, raw bool
	}{
		{"helloworld123", true, true},
		{"Hello+World_123/@:-~.=", true, true},
		{"1234567", false, false},
		{"12345678", true, true},
		{"hello$VARIABLEworld", false, true},
		{"hell******world!", false, true},
		{"päßwörter", false, true},
		{"äöüäöüä", false, false}, // 14 bytes, and 7 characters
		{"hello world", false, false},
		{"hello\tworld", false, false},
		{"hello\vworld", false, false},
		{"helloworld\n", false, false},
		{"hello\rworld", false, false},
		{"hello\u00a0world", false, true}, // no white space to Ruby
		{"hello\u2028world", false, true},
		{"helloworl\xff", false, false},
		{"helloworld\x00", false, false},
		{"", false, false},
	} {
		if got := Value(tt.value, false); got != tt.expanded || got != pinned(tt.value, false) {
			t.Errorf("%q expanded: got %v, want %v; GitLab %v", tt.value, got, tt.expanded, pinned(tt.value, false))
		}
		if got := Value(tt.value, true); got != tt.raw || got != pinned(tt.value, true) {
			t.Errorf("%q raw: got %v, want %v; GitLab %v", tt.value, got, tt.raw, pinned(tt.value, true))
		}
	}
}

func FuzzValue(f *testing.F) {
	for _, s := range []string{"helloworld", "a b c d e", "$$$$$$$$", "12345678\n", "\v1234567", "äöüäöüäö", "\xff1234567", "\x00abcdefgh", "-----BEGIN X-----\n"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, value string, raw bool) {
		if got, want := Value(value, raw), pinned(value, raw); got != want {
			t.Errorf("%q (raw %v): got %v, GitLab says %v: %s", value, raw, got, want, Obstacle(value, raw))
		}
		if why := Obstacle(value, raw); len(value) > 12 && strings.Contains(why, value) {
			t.Errorf("the reason shows the value: %s", why)
		}
	})
}
