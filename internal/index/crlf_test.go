package index

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
)

// TestLineBreaksOfWindows: a value of several lines that was written with CRLF
// is found in the encodings that leave nothing of its lines as they are.
func TestLineBreaksOfWindows(t *testing.T) {
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for name, value := range map[string]string{
		"key": fakeKey(4), "long key": fakeKey(4) + fakeKey(6), "no line tells": strings.Repeat("abc de\n", 20), "with CRLF already": strings.ReplaceAll(fakeKey(5)+fakeKey(7), "\n", "\r\n"),
	} {
		x := compile(t, value)
		lf := strings.ReplaceAll(strings.TrimSpace(value), "\r\n", "\n")
		for breaks, text := range map[string]string{"LF": lf, "CRLF": strings.ReplaceAll(lf, "\n", "\r\n")} {
			for form, coded := range map[string]string{
				`\x`: eachByte(`\x%02x`, text), "%": eachByte("%%%02X", text), "&#": eachByte("&#%d;", text), `\u`: eachByte(`\u%04x`, text),
				"base64": b64(text), "base64 twice": b64(b64(text)), "base64 of UTF-16": b64(utf16Bytes(text, false)), "hex": hex.EncodeToString([]byte(text)),
				"base64 of base64, 1 off": b64("x" + b64("y"+text)),
			} {
				if got := found(x, "..."+coded+"...", Blob); len(got) == 0 {
					t.Errorf("%s as %s of %s: not found", name, form, breaks)
				}
			}
		}
	}
}
