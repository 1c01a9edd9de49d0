package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadValues(t *testing.T) {
	for _, tt := range []struct {
		text string
		want [][2]string
		err  string
	}{
		{"", nil, ""},
		{"A=1\n\nB=two words\n", [][2]string{{"A", "1"}, {"B", "two words"}}, ""},
		{"A=x=y,z\r\n", [][2]string{{"A", "x=y,z"}}, ""},
		{"\"KEY=first\nsecond\n\"\nB=2", [][2]string{{"KEY", "first\nsecond"}, {"B", "2"}}, ""},
		{`"JSON={""a"":1}"`, [][2]string{{"JSON", `{"a":1}`}}, ""},
		{`JSON={"a":1,"b":2}`, [][2]string{{"JSON", `{"a":1,"b":2}`}}, ""},
		{`"A=1" 2`, nil, "secret 1: its quote is not closed"},
		{"\"A=1\nB=2", nil, "secret 1: its quote is not closed"},
		{`A="quoted"`, [][2]string{{"A", `"quoted"`}}, ""},
		{"A=1\nno-value", nil, "secret 2 is not ID=VALUE"},
		{"A=", nil, "secret 1 is not ID=VALUE"},
		{"=hidden", nil, "secret 1 is not ID=VALUE"},
	} {
		got, err := readValues(tt.text)
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%q: got error %v, want %q", tt.text, err, tt.err)
		} else if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.text, diff)
		}
	}
}

// FuzzReadValues: no error quotes what it was given.
func FuzzReadValues(f *testing.F) {
	f.Add("A=1\n\"B=2\n3\"")
	f.Add("s3cr3t-without-a-name")
	f.Add(`"A=1`)
	f.Fuzz(func(t *testing.T, text string) {
		pairs, err := readValues(text)
		for _, p := range pairs {
			if p[0] == "" || p[1] == "" {
				t.Errorf("%q: %q", text, p)
			}
		}
		if line := strings.TrimSpace(text); err != nil && len(line) > 20 && strings.Contains(err.Error(), line) {
			t.Errorf("the error quotes the value: %v", err)
		}
	})
}
