package main

import (
	"strings"
	"testing"

	"github.com/org/secure-build/internal/corpus"
)

// TestJudge: a miss counts in the modes that look there, a false alarm where no
// pattern can have made it, and each once, however often it was measured.
func TestJudge(t *testing.T) {
	plain := corpus.Plant{Form: "raw", Kind: "token", Path: "app.log"}
	packed := corpus.Plant{Form: "zip", Kind: "token", Path: "app.zip", Nested: true}
	tests := []struct {
		name string
		mode int
		run  result
		want []string
	}{
		{"right", 0, result{}, nil},
		{"a miss", 0, result{missed: []corpus.Plant{plain}}, []string{"missed token as raw, in app.log"}},
		{"a miss, nested", 1, result{missed: []corpus.Plant{plain, packed}}, []string{"missed token as raw, in app.log", "missed token as zip, in app.zip"}},
		{"what is not looked for", 0, result{missed: []corpus.Plant{packed}}, nil},
		{"a miss, with patterns", 2, result{missed: []corpus.Plant{packed}}, []string{"missed token as zip, in app.zip"}},
		{"an alarm", 1, result{alarms: [2]int{3, 0}}, []string{"3 findings that block where nothing was planted"}},
		{"an alarm of a pattern", 2, result{alarms: [2]int{3, 0}}, nil},
		{"a warning", 1, result{alarms: [2]int{0, 3}}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got wrong
			for range 2 {
				got = got.judge(modes[tt.mode], "the image", tt.run)
			}
			if len(got) != len(tt.want) {
				t.Fatalf("got %q, want %q", got, tt.want)
			}
			for i, w := range tt.want {
				if !strings.HasPrefix(got[i], "the image, "+modes[tt.mode].name) || !strings.HasSuffix(got[i], w) {
					t.Errorf("got %q, want %q", got[i], w)
				}
			}
		})
	}
}
