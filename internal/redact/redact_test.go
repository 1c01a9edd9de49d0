package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/org/secure-build/internal/index"
	"github.com/org/secure-build/internal/secret"
)

func compile(t testing.TB, values ...string) *index.Index {
	t.Helper()
	var set secret.Set
	for i, v := range values {
		if err := set.Add(secret.New(fmt.Sprintf("S%d", i), "test", []byte(v))); err != nil {
			t.Fatal(err)
		}
	}
	return index.Compile(set)
}

// redact writes the chunks and closes.
func redact(t testing.TB, x *index.Index, chunks []string, options ...Option) string {
	t.Helper()
	r := New()
	r.SetIndex(x)
	var out bytes.Buffer
	w := r.Writer(&out, options...)
	for _, c := range chunks {
		if n, err := w.Write([]byte(c)); err != nil || n != len(c) {
			t.Fatalf("writing %q: %d, %v", c, n, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestWriter(t *testing.T) {
	key := "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7aB3dE5fG7hI9\nzY8xW6vU4tS2rQ0pO9nM7lK5jH3gF1eD2cB4aZ6yX8wV0uT1sR3qP5oN7mL9kJ2i\n-----END PRIVATE KEY-----\n"
	x := compile(t, "hunter2-password", "word and more", "q7Xw2k", "hunter2-password-of-prod", key, "abcabcabc", "prodword and more, at length")
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for name, c := range map[string]struct {
		in   []string
		want string
	}{
		"clean":            {[]string{"nothing here\n"}, "nothing here\n"},
		"raw":              {[]string{"pw=hunter2-password;\n"}, "pw=[masked:S0];\n"},
		"split":            {strings.Split("pw=hunter2-password;\n", ""), "pw=[masked:S0];\n"},
		"no line break":    {[]string{"pw=hunter2-password"}, "pw=[masked:S0]"},
		"begun, not ended": {[]string{"pw=hunter2-pass"}, "pw=hunter2-pass"},
		"short":            {[]string{"pin q7Xw2k.\n"}, "pin [masked:S2].\n"},
		"hex":              {[]string{hex.EncodeToString([]byte("hunter2-password")) + "\n"}, "[masked:S0]\n"},
		"base64":           {[]string{b64("hunter2-password") + "\n"}, "[masked:S0]\n"},
		// A character of base64 that holds bits of the neighbour, too, stays.
		"basic auth":           {[]string{"Authorization: Basic " + b64("abc:hunter2-password") + "\n"}, "Authorization: Basic YWJjOm[masked:S0]Q=\n"},
		"nested, longest":      {[]string{"hunter2-password-of-prod\n"}, "[masked:S3]\n"},
		"overlapping":          {[]string{"hunter2-password and more\n"}, "[masked:S0]\n"},
		"the longer one later": {strings.Split("hunter2-password-of-prodword and more, at length\n", ""), "[masked:S6]\n"},
		"adjacent, one value":  {[]string{"q7Xw2kq7Xw2k\n"}, "[masked:S2]\n"},
		"adjacent, two":        {[]string{"q7Xw2khunter2-password\n"}, "[masked:S2][masked:S0]\n"},
		"self-overlapping":     {strings.Split("xabcabcabcabcabcy\n", ""), "x[masked:S5]y\n"},
		"colour inside":        {[]string{"a hunter2\x1b[1;31m-pass\x1b[0mword b\n"}, "a [masked:S0] b\n"},
		"colour around":        {[]string{"\x1b[31mhunter2-password\x1b[0m\n"}, "\x1b[31m[masked:S0]\x1b[0m\n"},
		"colour, no value":     {[]string{"\x1b[31mred\x1b[0m\r\n"}, "\x1b[31mred\x1b[0m\r\n"},
		"CR inside":            {[]string{"hunter2\r-password\n"}, "[masked:S0]\n"},
		"backspace, NUL":       {[]string{"hun\bter2\x00-password\n"}, "[masked:S0]\n"},
		"every byte coloured":  {[]string{"\x1b[1m" + strings.Join(strings.Split("hunter2-password", ""), "\x1b[0m\x1b[1m") + "\n"}, "\x1b[1m[masked:S0]\n"},
		"link inside":          {[]string{"hunter2\x1b]8;;http://x\x1b\\-password\n"}, "[masked:S0]\n"},
		"within a title":       {[]string{"\x1b]0;hunter2\b-password\a!\n"}, "\x1b]0;[masked:S0]\a!\n"},
		"progress bar":         {[]string{"1%\r2% hunter2-password\r3%\n"}, "1%\r2% [masked:S0]\r3%\n"},
		"lines of a key":       {[]string{key}, "-----BEGIN PRIVATE KEY-----\n[masked:S4]\n[masked:S4]\n-----END PRIVATE KEY-----\n"},
		"key on one line":      {[]string{strings.ReplaceAll(key, "\n", `\n`) + "\n"}, "[masked:S4]\\n\n"},
		"two lines at once":    {[]string{"hunter2-pass\nword hunter2-password\n"}, "hunter2-pass\nword [masked:S0]\n"},
	} {
		for mode, options := range map[string][]Option{"lines": nil, "at once": {Immediately()}} {
			if got := redact(t, x, c.in, options...); got != c.want {
				t.Errorf("%s, %s: got %q, want %q", name, mode, got, c.want)
			}
		}
	}
}

func TestNothingIsMaskedBeforeTheIndex(t *testing.T) {
	r := New()
	var out bytes.Buffer
	w := r.Writer(&out)
	_, _ = w.Write([]byte("hunter2-pass"))
	if got, want := out.String(), "hunter2-pass"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	r.SetIndex(compile(t, "hunter2-password"))
	_, _ = w.Write([]byte("hunter2-password\n"))
	if got, want := out.String(), "hunter2-pass[masked:S0]\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New()
		r.SetIndex(compile(t, "hunter2-password"))
		var out lockedBuffer
		w := r.Writer(&out)
		step := func(write string, after time.Duration, want string) {
			t.Helper()
			_, _ = w.Write([]byte(write))
			time.Sleep(after)
			synctest.Wait()
			if got := out.String(); got != want {
				t.Errorf("after %q and %v: got %q, want %q", write, after, got, want)
			}
		}
		step("whole\nPress a key: ", 0, "whole\n")
		step("", 99*time.Millisecond, "whole\n")
		step("", 2*time.Millisecond, "whole\nPress a key: ")
		step("hunter2-", 200*time.Millisecond, "whole\nPress a key: ") // may be the value
		step("pass", time.Hour, "whole\nPress a key: ")
		step("word", 100*time.Millisecond, "whole\nPress a key: [masked:S0]")
		step("hunter2-", time.Hour, "whole\nPress a key: [masked:S0]")
		step("X", 100*time.Millisecond, "whole\nPress a key: [masked:S0]hunter2-X")
		step("tail", 0, "whole\nPress a key: [masked:S0]hunter2-X")
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		step("", 0, "whole\nPress a key: [masked:S0]hunter2-Xtail")
	})
}

func TestALineIsPassedOnWithOneWrite(t *testing.T) {
	r := New()
	r.SetIndex(compile(t, "hunter2-password"))
	var writes []string
	w := r.Writer(writerFunc(func(p []byte) (int, error) {
		writes = append(writes, string(p))
		return len(p), nil
	}))
	for _, c := range []string{"a", "b\nc", "d hunter2-", "password\ne\nf\n", "g"} {
		_, _ = w.Write([]byte(c))
	}
	_ = w.Flush()
	if got, want := fmt.Sprintf("%q", writes), `["ab\n" "cd [masked:S0]\ne\nf\n" "g"]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestErrorsOfTheDestination(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		r := New()
		r.SetIndex(compile(t, "hunter2-password"))
		w := r.Writer(writerFunc(func([]byte) (int, error) { return 0, broken }))
		if _, err := w.Write([]byte("line\n")); !errors.Is(err, broken) {
			t.Errorf("got %v, want %v", err, broken)
		}
		if _, err := w.Write([]byte("no line")); err != nil {
			t.Errorf("got %v before the delay", err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if err := w.Close(); !errors.Is(err, broken) {
			t.Errorf("got %v, want %v", err, broken)
		}
		if _, err := w.Write([]byte("line\n")); err == nil {
			t.Error("a closed Writer takes a write")
		}
	})
}

func TestAnEndlessLineTakesBoundedMemory(t *testing.T) {
	r := New()
	r.SetIndex(compile(t, "hunter2-password", "abababab"))
	blocks := 1024
	if testing.Short() {
		blocks = 64
	}
	for name, c := range map[string]struct{ unit, want string }{
		"text":               {"lorem ipsum ", strings.Repeat("lorem ipsum ", blocks*(4096/12))},
		"one value":          {"ab", "[masked:S1]"},
		"control characters": {"\x1b[0m", strings.Repeat("\x1b[0m", blocks*1024)},
	} {
		for mode, options := range map[string][]Option{"lines": nil, "at once": {Immediately()}} {
			var out bytes.Buffer
			w := r.Writer(&out, options...)
			_, _ = w.Write([]byte("hunter2"))
			block := []byte(strings.Repeat(c.unit, 4096/len(c.unit)))
			for range blocks {
				_, _ = w.Write(block)
				if n := held(w); n > 2*MaxLine {
					t.Fatalf("%s, %s: %d bytes are held", name, mode, n)
				}
			}
			_, _ = w.Write([]byte("a-hunter2-password"))
			_ = w.Close()
			got, want := out.String(), "hunter2"+c.want+"a-[masked:S0]"
			if got != want {
				t.Errorf("%s, %s: got %d bytes that end in %q, want %d that end in %q", name, mode, len(got), got[max(0, len(got)-60):], len(want), want[max(0, len(want)-60):])
			}
		}
	}
}

func TestConcurrentWriters(t *testing.T) {
	r := New()
	var out lockedBuffer
	shared := r.Writer(&out)
	x := compile(t, "hunter2-password")
	r.SetIndex(x)
	var group sync.WaitGroup
	for k := range 4 {
		own := r.Writer(&out)
		group.Go(func() {
			for i := range 200 {
				_, _ = own.Write([]byte("own hunter2-"))
				_, _ = shared.Write([]byte("shared hunter2-password\n"))
				_, _ = own.Write(fmt.Appendf(nil, "password %d %d\n", k, i))
				_ = r.String("hunter2-password")
			}
			_ = own.Close()
		})
	}
	group.Wait()
	_ = shared.Close()
	if got := out.String(); strings.Contains(got, "password") || strings.Count(got, "[masked:S0]") != 1600 {
		t.Error("a value got through, or a line was lost")
	}
}

func TestStringsAndBytes(t *testing.T) {
	r := New()
	if got, want := r.String("hunter2-password"), "hunter2-password"; got != want {
		t.Errorf("without an index: got %q, want %q", got, want)
	}
	r.SetIndex(compile(t, "hunter2-password"))
	if got, want := r.String("running: hunter2-password: exit 1"), "running: [masked:S0]: exit 1"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	clean := []byte("clean")
	if got := r.Bytes(clean); &got[0] != &clean[0] {
		t.Error("clean bytes were copied")
	}
}

func TestAValueOfShortLines(t *testing.T) {
	x := compile(t, "abc\ndef\nghi")
	for _, in := range []string{"x abc\ndef\nghi y\nabc\nz\n"} {
		for mode, options := range map[string][]Option{"lines": nil, "at once": {Immediately()}} {
			for _, chunks := range [][]string{{in}, strings.Split(in, ""), strings.SplitAfter(in, "\n")} {
				if got, want := redact(t, x, chunks, options...), "x [masked:S0] y\nabc\nz\n"; got != want {
					t.Errorf("%s: got %q, want %q", mode, got, want)
				}
			}
		}
	}
}

// held is the number of bytes that a Writer has not passed on.
func held(w *Writer) int {
	s := w.w()
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.buf)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
