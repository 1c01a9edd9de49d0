package source

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// sopsYAML is metadata that the library accepts, around which hostile files
// are built. %s is more of it.
const sopsYAML = `
sops:
  lastmodified: "2024-01-01T00:00:00Z"
  mac: ENC[AES256_GCM,data:AAAA,iv:AAAA,tag:AAAA,type:str]
  version: 3.13.3
  age:
    - recipient: age1cvcs0mxzh6wlflwqvanng7agalcn6rz2tqm7c0cy7e3vn4ycdg4sfhpjwj
      enc: nothing
%s
`

const enc = "ENC[AES256_GCM,data:AAAA,iv:AAAA,tag:AAAA,type:str]"

// TestHostile holds that hostile files cost little and end in an error.
func TestHostile(t *testing.T) {
	meta := fmt.Sprintf(sopsYAML, "")
	with := func(more string) string { return fmt.Sprintf(sopsYAML, more) }
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'l'; c++ {
		bomb += fmt.Sprintf("%c: &%[1]c [*%c,*%[2]c,*%[2]c,*%[2]c,*%[2]c,*%[2]c,*%[2]c,*%[2]c,*%[2]c]\n", c, c-1)
	}
	lines := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	tests := []struct{ name, file, text, err string }{
		{"deep flow", "s.yaml", "a: " + strings.Repeat("{a: ", 9000) + strings.Repeat("}", 9000) + meta, "nesting"},
		{"deep sequence", "s.yaml", "a: " + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + meta, "nesting"},
		{"deeper than the parser goes", "s.yaml", "a: " + strings.Repeat("[", 100_000) + meta, "not valid yaml"},
		{"deep block", "s.yaml", "a:\n" + lines(200, "%[1]*[1]s- \n") + meta, "not valid yaml"},
		{"dashes", "s.yaml", "a:\n" + lines(100, strings.Repeat("- ", 5000)+"%d\n") + meta, "values"},
		{"bomb", "s.yaml", bomb + meta, "alias"},
		{"bomb in the second document", "s.yaml", "a: b\n" + meta + "---\n" + bomb, "alias"},
		{"an alias of itself", "s.yaml", "a: b\n" + meta + "---\na: &a [*a]\n", "alias"},
		{"a merge key", "s.yaml", "a: &a {b: c}\nd: {<<: *a}\n" + meta, "alias"},
		{"100,000 leaves", "s.yaml", lines(100_000, "k%d: "+enc+"\n") + meta, "MiB"},
		{"100,000 short leaves", "s.yaml", lines(100_000, "k%d: x\n") + meta, "values"},
		{"12,000 leaves", "s.yaml", lines(12_000, "k%d: "+enc+"\n") + meta, "values and comments"},
		{"2,000,000 items", "s.yaml", "a: [" + strings.Repeat("a,", 1_900_000) + "a]" + meta, "values"},
		{"2,000,000 items of JSON", "s.json", `{"a":[` + strings.Repeat("1,", 1_900_000) + `1]}`, "values"},
		{"deep JSON", "s.json", strings.Repeat(`{"a":`, 700_000), "values"},
		{"deep JSON in the bounds", "s.json", strings.Repeat(`{"a":`, 100_000), "nesting"},
		{"NUL in YAML", "s.yaml", "a: \x00" + enc + meta, "not valid yaml"},
		{"NUL in a JSON key", "s.json", `{"\u0000": "` + enc + `"}`, "cut off"},
		{"duplicate key", "s.yaml", "a: " + enc + "\na: " + enc + meta, "cut off or has damaged"},
		{"duplicate key in the second document", "s.yaml", "a: b\n" + meta + "---\na: " + enc + "\na: " + enc + "\n", "the key doc2.a is there twice"},
		{"duplicate key in dotenv", "s.env", "A=" + enc + "\nA=" + enc + "\nsops_mac=x\nsops_version=3\nsops_lastmodified=2024-01-01T00:00:00Z\nsops_age__list_0__map_recipient=r\nsops_age__list_0__map_enc=e\n", "the key A is there twice"},
		{"two metadata", "s.yaml", "a: " + enc + meta + meta, "cut off or has damaged"},
		{"metadata is a list", "s.yaml", "a: " + enc + "\nsops: [a]\n", "damaged sops metadata"},
		{"metadata is a string", "s.yaml", "a: " + enc + "\nsops: a\n", "damaged sops metadata"},
		{"a null in the context", "s.yaml", "a: " + enc + with("  kms:\n    - {arn: a, enc: b, created_at: \"2024-01-01T00:00:00Z\", context: {a: null}}"), "no key fits"},
		{"an empty key group", "s.yaml", "a: " + enc + strings.Replace(with("  shamir_threshold: -5\n  key_groups: [{}, {}, {age: [null]}]"), "  age:\n    - recipient: age1cvcs0mxzh6wlflwqvanng7agalcn6rz2tqm7c0cy7e3vn4ycdg4sfhpjwj\n      enc: nothing\n", "", 1), "no key fits"},
		{"1,000 recipients", "s.yaml", "a: " + enc + with(lines(1000, "    - {recipient: r%d, enc: x}\n")), "1001 recipients"},
		{"bad selector", "s.yaml", "a: " + enc + with("  encrypted_regex: '('"), "no regular expression"},
		{"long selector", "s.yaml", "a: " + enc + with("  encrypted_regex: "+strings.Repeat("a", 1000)), "a selector of 1000 bytes"},
		{"slow selector", "s.yaml", lines(9000, "k%d: x\n") + with("  encrypted_regex: "+strings.Repeat("(a{900}b)", 50)), "too long to match"},
		{"slow comment selector", "s.yaml", lines(9000, "# %d\n") + "a: x\n" + with("  encrypted_comment_regex: sops"), "too long to match"},
		{"a list of nothing in dotenv", "s.env", "A=" + enc + "\nsops_age__list_99999999999__map_enc=x\n", "damaged sops metadata"},
		{"a deep key in dotenv", "s.env", "A=" + enc + "\nsops_a" + strings.Repeat("__map_a", 100_000) + "=x\n", "a key of 700006 bytes"},
		{"200,000 metadata keys in dotenv", "s.env", "A=" + enc + "\n" + lines(200_000, "sops_%d=\n"), "more than 12000 lines"},
		{"12,000 metadata keys in dotenv", "s.env", "A=" + enc + "\n" + lines(11_900, "sops_%d=\n"), "damaged sops metadata"},
		{"12,000 sections in INI", "s.ini", lines(3900, "[s%d]\na = b\n\n") + "[sops]\nmac = x\n", "damaged sops metadata"},
		{"two sections in INI", "s.ini", "[a]\nb = " + enc + "\n[a]\nb = " + enc + "\n[sops]\nmac = x\nversion = 3\nlastmodified = 2024-01-01T00:00:00Z\nage__list_0__map_recipient = r\nage__list_0__map_enc = e\n", "the key a is there twice"},
		{"a control character in a key", "s.yaml", `"\x1b[31m": 1` + "\n" + `"\x1b[31m": 2` + "\n", "is not encrypted"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.write(tc.file, tc.text)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			set, err := w.load(tc.file)
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("got %q, want %q (ids %q)", err, tc.err, shortList(set.IDs(), 3))
			}
			if err != nil && (len(err.Error()) > 2000 || strings.ContainsAny(err.Error(), "\x1b\x00\n")) {
				t.Errorf("an error that cannot be shown: %q", err)
			}
			allocated := (after.TotalAlloc - before.TotalAlloc) >> 20
			if took > 10*time.Second || allocated > 400 {
				t.Errorf("it took %v and %d MiB", took, allocated)
			}
			t.Logf("%v, %d MiB allocated: %v", took.Round(time.Millisecond), allocated, err)
		})
	}
}

// A file at the limits still loads, in bounded time.
func TestLargest(t *testing.T) {
	w := newWorld(t)
	var plain strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&plain, "k%d: value-%d\n", i, i)
	}
	w.encrypt("s.yaml", plain.String())
	start := time.Now()
	got := w.mustLoad("s.yaml", "whole=s.yaml")
	if len(got) != 5001 || got["k4999"] != "value-4999" {
		t.Errorf("%d secrets, k4999=%q", len(got), got["k4999"])
	}
	took := time.Since(start)
	t.Logf("5000 leaves in %v", took)
	if took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

func FuzzLoad(f *testing.F) {
	meta := fmt.Sprintf(sopsYAML, "")
	f.Add("s.yaml", "a: "+enc+meta)
	f.Add("s.yaml", "a: b\n---\n- c # d\n"+meta)
	f.Add("s.json", `{"a":"`+enc+`","sops":{"lastmodified":"2024-01-01T00:00:00Z","mac":"x","version":"3","kms":[{"arn":"a","created_at":"2024-01-01T00:00:00Z","context":{"a":null}}]}}`)
	f.Add("s.env", "A="+enc+"\n#c\nsops_mac=x\nsops_version=3\nsops_lastmodified=2024-01-01T00:00:00Z\nsops_age__list_0__map_recipient=r\nsops_age__list_0__map_enc=e\n")
	f.Add("s.ini", "[a]\nb = "+enc+"\n[sops]\nmac = x\nversion = 3\nlastmodified = 2024-01-01T00:00:00Z\nage__list_0__map_enc = e\n")
	f.Add("s.enc", `{"data":"`+enc+`","sops":{}}`)
	base := newWorld(f)
	base.env["SOPS_GPG_EXEC"] = "/nonexistent/gpg"
	f.Fuzz(func(t *testing.T, name, text string) {
		w := *base
		w.t = t
		switch name {
		case "s.yaml", "s.json", "s.env", "s.ini", "s.enc":
		default:
			name = "s.yaml"
		}
		w.write(name, text)
		_, err := w.load(name)
		if err == nil {
			t.Error("no error, although no key fits")
		} else if strings.ContainsAny(err.Error(), "\x00\x1b\n") {
			t.Errorf("an error that cannot be shown: %q", err)
		}
		ref, _ := ParseSOPS(name)
		_, _ = Names(ref, w.options())
	})
}
