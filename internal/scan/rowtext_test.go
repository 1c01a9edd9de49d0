package scan

import (
	"archive/zip"
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/scan/nested"
)

// noisy is a text with the password that packs to several rows.
func noisy() []byte {
	var b strings.Builder
	for i := range 60 {
		fmt.Fprintf(&b, "%x ", i*i*7919%65521)
	}
	return []byte(b.String() + "pw=" + password + "\n" + b.String())
}

// skipped is a zstd file behind a frame that decoders skip.
func skipped(b []byte) []byte { return append([]byte("\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"), b...) }

// TestBase64OfPacked: whatever is opened in a file is opened in base64 too.
func TestBase64OfPacked(t *testing.T) {
	text := noisy()
	gzipped := gz(t, text)
	for name, packed := range map[string][]byte{
		"gzip": gzipped, "zlib": zlibOf(text), "xz": xzOf(t, text), "zstd": zst(t, text), "tar": tarOf(t, file("a.gz", string(gzipped))),
		"zip": zipOf(t, zip.Deflate, "a", string(text)), "ar": arOf("a.gz", string(gzipped)), "cpio": cpioOf("a.gz", string(gzipped), "TRAILER!!!", ""),
		"rpm": rpmOf(gz(t, cpioOf("a", string(text), "TRAILER!!!", ""))), "git pack": packOf(packOffset, "x", string(text)),
	} {
		for form, content := range map[string]string{
			"as it is": "x: " + b64(packed), "in rows": "x:\n" + wrap(b64(packed), 76, "\n"), "URL alphabet": "x: " + strings.NewReplacer("+", "-", "/", "_").Replace(b64(packed)),
			"twice": "x: " + b64([]byte(b64(packed))), "behind a path": "usr/share/" + b64(packed), "behind a row": "/usr/share/some/thing/or/other\n" + b64(packed),
		} {
			if name == "tar" && (form == "twice" || strings.HasPrefix(form, "behind")) {
				continue // told by a whole header, which only a block's start is held against
			}
			for _, cut := range []int{0, 1, 7} {
				sc := New(Options{Index: testIndex()})
				sc.cut = cut
				rec := sc.inspect("", bytes.NewReader(tarOf(t, file("f", content))))
				if len(rec.hits) == 0 || len(rec.found.unread.list)+len(rec.found.remarks.list) > 0 {
					t.Errorf("%s, %s, cut at %d: got %q, unread %v, remarks %v", name, form, cut, hitsOf(rec), rec.found.unread, rec.found.remarks)
				}
			}
		}
	}
}

// TestBase64OfBzip2: every level, of which Go writes none.
func TestBase64OfBzip2(t *testing.T) {
	for level := '1'; level <= '9'; level++ {
		head := b64([]byte("BZh" + string(level) + "1AY&SY12345678"))
		if !beginsPacked([]byte(head)) {
			t.Errorf("level %c: %s is not told", level, head)
		}
	}
	for _, head := range []string{b64(skipped([]byte("\x28\xb5\x2f\xfd12345678")))[:leastRow], b64(zlibOf([]byte("a text, a text")))[:leastRow]} {
		if !beginsPacked([]byte(head)) {
			t.Errorf("%s is not told", head)
		}
	}
}

// TestRowsOfEscapes: base64 in which + and / are escaped, and what stands right
// before it.
func TestRowsOfEscapes(t *testing.T) {
	packed := b64(gz(t, noisy()))
	if !strings.Contains(packed, "/") || !strings.Contains(packed, "+") {
		t.Fatal("nothing to escape")
	}
	plain := b64([]byte(strings.Repeat("\xfb\xff~", 30) + password + strings.Repeat("?\xff>", 30)))
	escape := func(pairs ...string) func(string) string { return strings.NewReplacer(pairs...).Replace }
	for name, f := range map[string]func(string) string{
		`\/`: escape("/", `\/`), `\\/`: escape("/", `\\/`), `\u002B`: escape("+", `\u002B`), `\u002f`: escape("/", `\u002f`, "+", `\u002b`),
		"%2B": escape("+", "%2B", "/", "%2F", "=", "%3D"), "%2b": escape("+", "%2b", "/", "%2f"), "%252B": escape("+", "%252B", "/", "%252F"),
		"&#43;": escape("+", "&#43;", "/", "&#47;"), "&#x2B;": escape("+", "&#x2B;", "/", "&#x2F;"),
		`behind \n`: func(s string) string { return `{"d":"y:\n` + s + `"}` }, `behind \r\n`: func(s string) string { return `{"d":"y:\r\n` + s + `"}` },
		`behind \u000a`: func(s string) string { return `{"d":"y:\u000a` + s + `"}` }, "behind %3D": func(s string) string { return "GET /?d%3D" + s },
		"bytes in Python": func(s string) string { return "x = (b\"" + wrap(s, 76, "\"\n     b\"") + "\")" },
		"raw bytes":       func(s string) string { return "x = (rb'" + wrap(s, 76, "'\n     rb'") + "')" },
	} {
		for _, in := range []string{packed, plain} {
			for _, cut := range []int{0, 1, 2, 3, 5, 64} {
				sc := New(Options{Index: testIndex()})
				sc.cut = cut
				content := "\n" + f(in) + "\n"
				rec := sc.inspect("", bytes.NewReader(tarOf(t, file("f", content))))
				if len(rec.hits) == 0 || !strings.HasPrefix(rec.hits[0].path, "f") || rec.hits[0].offset > int64(len(content)) {
					t.Errorf("%s, packed %v, cut at %d: got %q", name, in == packed, cut, hitsOf(rec))
				}
				if name == "behind %3D" || name == `behind \u000a` {
					break // what is before the start of a row is known of one chunk only
				}
			}
		}
	}
}

// TestFalseStart: what only looks like zlib makes no remark, and is searched.
func TestFalseStart(t *testing.T) {
	for name, content := range map[string]string{
		"not zlib": "eNoThisIsNoPackedDataButANameThatIsLong", "depth": b64([]byte(b64([]byte(b64([]byte("eNoThisIsNoPackedDataButANameThatIsLong")))))),
		"fixed codes": b64([]byte("x\x9c\x4b" + strings.Repeat("\xff", 30))), "hex": strings.Repeat("eAeFeJeN", 10),
	} {
		s := blobs{}
		root := s.manifest(object{}, s.put(ociLayer, tarOf(t, file("f", content), file("pw", strings.Repeat(content+"\n", 50)))))
		limits := nested.Limits{}
		if name == "depth" {
			limits.Depth = 1
		}
		rep, err := New(Options{Index: testIndex(), Nested: limits}).Report(t.Context(), root, s.open)
		if err != nil || rep.Verdict != finding.Clean || len(rep.Coverage.Packed) > 0 {
			t.Errorf("%s: got %s, %+v, %v", name, rep.Verdict, rep.Coverage, err)
		}
	}
}

// TestTooDeepInBase64: packed data at the bound of the depth is unread, in
// base64 as well.
func TestTooDeepInBase64(t *testing.T) {
	for name, packed := range map[string][]byte{"gzip": gz(t, noisy()), "zlib": zlibOf(noisy())} {
		content := gz(t, []byte("x: "+b64(packed)))
		s := blobs{}
		root := s.manifest(object{}, s.put(ociLayer, tarOf(t, file("f", string(content)))))
		rep, err := New(Options{Index: testIndex(), Nested: nested.Limits{Depth: 1}}).Report(t.Context(), root, s.open)
		if err != nil || rep.Verdict != finding.Incomplete {
			t.Errorf("%s: got %s, %+v, %v", name, rep.Verdict, rep.Coverage, err)
		}
	}
}

// FuzzRows: whatever text comes, in whatever pieces, nothing panics, and nothing
// is found outside of it.
func FuzzRows(f *testing.F) {
	packed := b64(gz(f, noisy()))
	f.Add([]byte(`{"d":"y:\n`+strings.ReplaceAll(packed, "/", `\/`)+`"}`), 7)
	f.Add([]byte("x = (b\""+wrap(packed, 76, "\"\n     b\"")+"\")"), 1)
	f.Add([]byte("GET /?d%3D"+strings.NewReplacer("+", "%2B", "/", "%252F").Replace(packed)), 64)
	f.Add([]byte(wrap(b64(tarOf(f, file("a.gz", string(gz(f, noisy()))))), 76, "&#43;\r\n")), 0)
	idx := testIndex()
	f.Fuzz(func(t *testing.T, text []byte, cut int) {
		sc := New(Options{Index: idx})
		sc.cut = max(0, cut&0xfff)
		rec := sc.inspect("", bytes.NewReader(tarOf(t, file("f", string(text)))))
		if len(rec.unread) > 0 {
			t.Fatalf("not read: %v", rec.unread)
		}
		for _, h := range rec.hits {
			if h.offset < 0 || h.path == "f" && h.field == "" && h.offset >= int64(len(text)) {
				t.Errorf("%s at %d of %d", h.Encoding, h.offset, len(text))
			}
		}
	})
}
