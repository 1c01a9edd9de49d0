package scan

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zlib"
	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"

	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/scan/nested"
)

// bzipped is the password in bzip2, which Go does not write.
const bzipped = "QlpoOTFBWSZTWXMXE0sAAAjbgAAQAgKAggAQMkT8oCAAMUwmmgNMQoGhpoaep6iwQuVO1c114Bx4Es2Mp8XckU4UJBzFxNLA"

// bzippedNothing is a text without it.
const bzippedNothing = "QlpoOTFBWSZTWRbgw4YAAAbRgAAQQAAC4ZwAIAAxANNNBA0NGksa0ce1BIWcUeLuSKcKEgLcGHDA"

func zipOf(t testing.TB, method uint16, files ...string) []byte {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for i := 0; i < len(files); i += 2 {
		f, err := w.CreateHeader(&zip.FileHeader{Name: files[i], Method: method})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = f.Write([]byte(files[i+1]))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// rawZip has the sizes in its local headers, as jar and Info-ZIP write them.
func rawZip(t testing.TB, method uint16, name string, packed []byte, size int) []byte {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	f, err := w.CreateRaw(&zip.FileHeader{Name: name, Method: method, CompressedSize64: uint64(len(packed)), UncompressedSize64: uint64(size)})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.Write(packed)
	_ = w.Close()
	return out.Bytes()
}

func xzOf(t testing.TB, b []byte) []byte {
	var out bytes.Buffer
	w, err := xz.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

func lzmaOf(t testing.TB, b []byte) []byte {
	var out bytes.Buffer
	w, err := lzma.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

func zlibOf(b []byte) []byte {
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

func arOf(files ...string) []byte {
	out := bytes.NewBufferString("!<arch>\n")
	for i := 0; i < len(files); i += 2 {
		fmt.Fprintf(out, "%-16s%-12d%-6d%-6d%-8o%-10d`\n%s", files[i], 0, 0, 0, 0o644, len(files[i+1]), files[i+1])
		if len(files[i+1])%2 == 1 {
			out.WriteByte('\n')
		}
	}
	return out.Bytes()
}

func cpioOf(files ...string) []byte {
	var out bytes.Buffer
	pad := func() { out.Write(make([]byte, (4-out.Len()%4)%4)) }
	for i := 0; i < len(files); i += 2 {
		fmt.Fprintf(&out, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", i, 0o100644, 0, 0, 1, 0, len(files[i+1]), 0, 0, 0, 0, len(files[i])+1, 0)
		out.WriteString(files[i] + "\x00")
		pad()
		out.WriteString(files[i+1])
		pad()
	}
	return out.Bytes()
}

func odcOf(files ...string) string {
	var out strings.Builder
	for i := 0; i < len(files); i += 2 {
		fmt.Fprintf(&out, "070707%06o%06o%06o%06o%06o%06o%06o%011o%06o%011o%s\x00%s", 0, i, 0o100644, 0, 0, 1, 0, 0, len(files[i])+1, len(files[i+1]), files[i], files[i+1])
	}
	return out.String()
}

func rpmOf(payload []byte) []byte {
	out := append([]byte("\xed\xab\xee\xdb"), make([]byte, 92)...)
	header := func(size int) {
		out = append(out, "\x8e\xad\xe8\x01\x00\x00\x00\x00"...)
		out = binary.BigEndian.AppendUint32(out, 1)
		out = binary.BigEndian.AppendUint32(out, uint32(size))
		out = append(out, make([]byte, 16+size)...)
	}
	header(5)
	out = append(out, make([]byte, 3)...)
	header(7)
	return append(out, payload...)
}

func wrap(text string, width int, eol string) string {
	var b strings.Builder
	for ; len(text) > width; text = text[width:] {
		b.WriteString(text[:width] + eol)
	}
	return b.String() + text + eol
}

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// skippable is a frame of zstd that decoders skip.
const skippable = "\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"

type form struct{ name, file, content, path, encoding string }

// nestedForms plants the password in each kind of nested data, in a file whose
// bytes do not have it.
func nestedForms(t testing.TB) []form {
	pw := "pw=" + password + "\n"
	pad := strings.Repeat("some text that compresses well\n", 40)
	inner := string(tarOf(t, file("etc/pw", pad+pw)))
	deflated := string(zipOf(t, zip.Deflate, "empty", "", "a.txt", pad, "META-INF/x", pad+pw))
	git := string(zlibOf([]byte("blob 1234\x00" + pad + pw)))
	bz, err := base64.StdEncoding.DecodeString(bzipped)
	if err != nil {
		t.Fatal(err)
	}
	bz0, err := base64.StdEncoding.DecodeString(bzippedNothing)
	if err != nil {
		t.Fatal(err)
	}
	early := string(cpioOf("kernel/x86/microcode/GenuineIntel.bin", "x", "TRAILER!!!", "")) + strings.Repeat("\x00", 512)
	helm := b64(gz(t, []byte(pad+pw)))
	layer := string(gz(t, []byte(inner)))
	return []form{
		{"gzip", "a.gz", string(gz(t, []byte(pad+pw))), "a.gz!", "raw"},
		{"gzip without a suffix", "a", string(gz(t, []byte(pad+pw))), "a!", "raw"},
		{"gzip, second member", "a.gz", string(gz(t, []byte(pad))) + string(gz(t, []byte(pad+pw))), "a.gz!", "raw"},
		{"gzip behind gzip and zeros", "a.gz", string(gz(t, []byte(pad))) + strings.Repeat("\x00", 519) + string(gz(t, []byte(pad+pw))), "a.gz!", "raw"},
		{"gzip behind xz", "a.xz", string(xzOf(t, []byte(pad))) + string(gz(t, []byte(pad+pw))), "a.xz!", "raw"},
		{"gzip behind bzip2", "a", string(bz0) + string(gz(t, []byte(pad+pw))), "a!", "raw"},
		{"zlib", "a.z", string(zlibOf([]byte(pad + pw))), "a.z!", "raw"},
		{"git object", "r/.git/objects/ab/cd", git, "r/.git/objects/ab/cd!", "raw"},
		{"git pack", "r/.git/objects/pack/pack-1.pack", string(packOf(packOffset, pad, pad+pw)), "", "raw"},
		{"bzip2", "a.bz2", string(bz), "a.bz2!", "raw"},
		{"xz", "a.xz", string(xzOf(t, []byte(pad+pw))), "a.xz!", "raw"},
		{"xz, two streams", "a.xz", string(xzOf(t, []byte(pad))) + "\x00\x00\x00\x00" + string(xzOf(t, []byte(pad+pw))), "a.xz!", "raw"},
		{"zstd", "a.zst", string(zst(t, []byte(pad+pw))), "a.zst!", "raw"},
		{"zstd, behind a frame to skip", "a.zst", skippable + string(zst(t, []byte(pad+pw))), "a.zst!", "raw"},
		{"zstd, two frames and one to skip", "a.zst", string(zst(t, []byte(pad))) + skippable + string(zst(t, []byte(pad+pw))), "a.zst!", "raw"},
		{"zstd with a window larger than it needs", "a.zst", "\x28\xb5\x2f\xfd\x04\x88" + string(zst(t, []byte(pad+pw))[7:]), "a.zst!", "raw"},
		{"lzma", "a.lzma", string(lzmaOf(t, []byte(pad+pw))), "a.lzma!", "raw"},
		{"deb with lzma", "a.deb", string(arOf("debian-binary", "2.0\n", "data.tar.lzma", string(lzmaOf(t, []byte(inner))))), "a.deb!/data.tar.lzma!/etc/pw", "raw"},
		{"tar", "a.tar", inner, "a.tar!/etc/pw", "raw"},
		{"tar behind tar", "a.tar", string(tarOf(t, file("etc/x", pad))) + string(tarOf(t, file("etc/pw.gz", string(gz(t, []byte(pad+pw)))))), "a.tar!/etc/pw.gz!", "raw"},
		{"tar.gz behind tar", "a.tar", string(tarOf(t, file("etc/x", pad))) + layer, "a.tar!/etc/pw", "raw"},
		{"tar.gz", "a.tgz", layer, "a.tgz!/etc/pw", "raw"},
		{"tar.xz", "a.txz", string(xzOf(t, []byte(inner))), "a.txz!/etc/pw", "raw"},
		{"zip", "a.zip", deflated, "a.zip!/META-INF/x", "raw"},
		{"zip, stored", "a.zip", string(rawZip(t, zip.Store, "x/y", []byte(pw), len(pw))), "a.zip!/x/y", "raw"},
		{"zip with zstd", "a.zip", string(rawZip(t, 93, "x/y", zst(t, []byte(pw)), len(pw))), "a.zip!/x/y", "raw"},
		{"zip with xz", "a.zip", string(rawZip(t, 95, "x/y", xzOf(t, []byte(pad+pw)), len(pad+pw))), "a.zip!/x/y", "raw"},
		{"zip with bzip2", "a.zip", string(rawZip(t, 12, "x/y", bz, len(pw))), "a.zip!/x/y", "raw"},
		{"zip, stored, with a descriptor", "a.zip", string(zipOf(t, zip.Store, "x/y", pw, "z", pw)), "", "raw"},
		{"zip behind zip", "a.zip", string(zipOf(t, zip.Deflate, "a.txt", pad)) + deflated, "a.zip!/META-INF/x", "raw"},
		{"zip behind an empty one", "a.zip", string(zipOf(t, zip.Deflate)) + deflated, "a.zip!/META-INF/x", "raw"},
		{"tar.gz behind zip", "a.zip", string(zipOf(t, zip.Deflate, "a.txt", pad)) + layer, "a.zip!/etc/pw", "raw"},
		{"git bundle", "r.bundle", "# v2 git bundle\n0123456789012345678901234567890123456789 HEAD\n\n" + string(packOf(packOffset, pad, pad+pw)), "", "raw"},
		{"zip in zip", "a.jar", string(zipOf(t, zip.Deflate, "lib/b.jar", deflated)), "a.jar!/lib/b.jar!/META-INF/x", "raw"},
		{"stored zip in zip", "a.jar", string(rawZip(t, zip.Store, "lib/b.jar", []byte(deflated), len(deflated))), "a.jar!/lib/b.jar!/META-INF/x", "raw"},
		{"zip behind a script", "a.pex", "#!/usr/bin/env python3\n" + deflated, "a.pex!/META-INF/x", "raw"},
		{"tar.gz behind a script", "a.run", "#!/bin/sh\nexit 0\n" + layer, "a.run!/etc/pw", "raw"},
		{"docker save", "img.tar", string(tarOf(t, file("blobs/sha256/0a", layer), file("manifest.json", "[]"))), "img.tar!/blobs/sha256/0a!/etc/pw", "raw"},
		{"deb", "a.deb", string(arOf("debian-binary", "2.0\n", "control.tar.xz/", string(xzOf(t, tarOf(t, file("control", "x")))), "data.tar.zst", string(zst(t, []byte(inner))))), "a.deb!/data.tar.zst!/etc/pw", "raw"},
		{"cpio", "initrd", string(cpioOf("etc/a", "x", "etc/b", string(gz(t, []byte(pw))), "TRAILER!!!", "")), "initrd!/etc/b!", "raw"},
		{"cpio behind cpio", "initrd", early + string(cpioOf("etc/pw", string(gz(t, []byte(pad+pw))), "TRAILER!!!", "")), "initrd!/etc/pw!", "raw"},
		{"compressed cpio behind cpio", "initrd", early + string(zst(t, cpioOf("etc/pw", pad+pw, "TRAILER!!!", ""))), "initrd!/etc/pw", "raw"},
		{"cpio as POSIX has it", "a.cpio", odcOf("etc/a", "x", "etc/pw", string(gz(t, []byte(pad+pw))), "TRAILER!!!", ""), "a.cpio!/etc/pw!", "raw"},
		{"rpm", "a.rpm", string(rpmOf(gz(t, cpioOf("etc/pw", pad+pw, "TRAILER!!!", "")))), "a.rpm!/payload!/etc/pw", "raw"},
		{"base64 of gzip", "rel", `{"data":{"release":"` + helm + `"}}`, "rel!base64!", "raw"},
		{"base64 of gzip, wrapped", "rel", "release:\n" + wrap("  "+helm, 76, "\n  "), "rel!base64!", "raw"},
		{"base64 of base64 of gzip", "rel", "release: " + b64([]byte(helm)) + "\n", "rel!base64!base64!", "raw"},
		{"base64 of tar.gz", "rel", "x=" + b64([]byte(layer)), "rel!base64!/etc/pw", "raw"},
		{"base64 of gzip in gzip", "rel.gz", string(gz(t, []byte("x: "+helm))), "rel.gz!base64!", "raw"},
		{"name in a zip", "a.zip", string(zipOf(t, zip.Deflate, "etc/Zq7-horse%battery/staple", pad)), "", "raw"},
		{"UTF-16 in gzip", "a.gz", string(gz(t, []byte("Z\x00q\x007\x00-\x00h\x00o\x00r\x00s\x00e\x00%\x00b\x00a\x00t\x00t\x00e\x00r\x00y\x00/\x00s\x00t\x00a\x00p\x00l\x00e\x00"))), "a.gz!", "utf-16le"},
	}
}

// TestNested: each kind of nested data is opened, and its entry named, also one
// level further down and whatever the stream's cuts.
func TestNested(t *testing.T) {
	for _, f := range nestedForms(t) {
		t.Run(f.name, func(t *testing.T) {
			plain := tarOf(t, file("before", "nothing"), file(f.file, f.content), file("after", "nothing"))
			for _, cut := range []int{0, 1, 511, 4096} {
				sc := New(Options{Index: testIndex()})
				sc.cut = cut
				rec := sc.inspect("", bytes.NewReader(plain))
				checkNested(t, rec, f.path, f.encoding)
			}
			deep := tarOf(t, file("deep.tar.gz", string(gz(t, plain))))
			if f.path != "" {
				f.path = "deep.tar.gz!/" + f.path
			}
			checkNested(t, New(Options{Index: testIndex()}).inspect("", bytes.NewReader(deep)), f.path, f.encoding)
		})
	}
}

func checkNested(t *testing.T, rec *record, path, encoding string) {
	t.Helper()
	if len(rec.hits) == 0 || path != "" && (len(rec.hits) != 1 || rec.hits[0].path != path || rec.hits[0].Encoding != encoding) {
		t.Errorf("got %s, want %s %s", hitsOf(rec), encoding, path)
	}
	if len(rec.unread)+len(rec.found.unread.list)+len(rec.found.remarks.list) > 0 {
		t.Errorf("unread %v %v, remarks %v", rec.unread, rec.found.unread, rec.found.remarks)
	}
}

// TestShallow: without nested data nothing is unpacked.
func TestShallow(t *testing.T) {
	for _, f := range nestedForms(t)[:3] {
		rec := New(Options{Index: testIndex(), Shallow: true}).inspect("", bytes.NewReader(tarOf(t, file(f.file, f.content))))
		if len(rec.hits) != 0 {
			t.Errorf("%s: got %s", f.name, hitsOf(rec))
		}
	}
}

// TestWrapped: a value that a line break stands in is found, however its
// encoding is wrapped, also below the length that has parts of its own.
func TestWrapped(t *testing.T) {
	for _, width := range []int{32, 60, 64, 76} {
		for shift := range 90 {
			pad := make([]byte, shift)
			for i := range pad {
				pad[i] = byte(i*7 + 1)
			}
			raw := append(pad, password+strings.Repeat("and more of it. ", 6)...)
			for name, text := range map[string]string{
				"base64": wrap(b64(raw), width, "\n"), "crlf": wrap(b64(raw), width, "\r\n"), "yaml": wrap(b64(raw), width, "\n        "),
				"json": `"` + wrap(b64(raw), width, `\n`) + `"`, "source": wrap(b64(raw), width, "\" +\n\t\""),
				"hex": wrap(hex.EncodeToString(raw), width, "\n"),
			} {
				content := "key:\n  " + text + "\nend of it\n"
				rec := New(Options{Index: testIndex()}).inspect("", bytes.NewReader(tarOf(t, file("f", content))))
				if len(rec.hits) == 0 || rec.hits[0].Secret != "password" || rec.hits[0].path != "f" {
					t.Fatalf("%s, width %d, shift %d: got %s", name, width, shift, hitsOf(rec))
				}
				if at := rec.hits[0].offset; at < 7 || at > int64(len(content)) {
					t.Errorf("%s: offset %d of %d", name, at, len(content))
				}
			}
		}
	}
}

// TestDamaged: an archive in a layer that cannot be opened is remarked on, and
// its neighbours are searched.
func TestDamaged(t *testing.T) {
	good := string(gz(t, []byte(strings.Repeat("x", 10_000)+password)))
	locked := rawZip(t, zip.Deflate, "x", []byte("12345678"), 8)
	locked[6] |= 1
	method := rawZip(t, 14, "x", []byte("12345678"), 8)
	tests := []struct{ name, content, want string }{
		{"cut gzip", good[:len(good)-20], "reading gzip: unexpected EOF"},
		{"encrypted zip", string(locked), "encrypted"},
		{"unknown method", string(method), "compression method 14"},
		{"7z", "7z\xbc\xaf\x27\x1c\x00\x04", "7z, which is not unpacked"},
		{"cut xz", string(xzOf(t, []byte(password)))[:40], "reading xz"},
		{"gzip behind junk", string(gz(t, []byte("x"))) + "junk" + string(gz(t, []byte("x"))), "other bytes behind the end of the gzip"},
		{"lz4 behind cpio", string(cpioOf("x", "y", "TRAILER!!!", "")) + "\x04\x22\x4d\x18", "lz4 behind the end of the cpio: searched"},
		{"git bundle with a long head", "# v3 git bundle\n" + strings.Repeat("0123456789012345678901234567890123456789 HEAD\n", 2000) + "\n" + string(packOf(packOffset, "x", "y")), "git bundle"},
		{"not zlib", "\x78\x9cabcdefgh", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := blobs{}
			rep := scanAll(t, s, s.manifest(object{}, s.put(ociLayer, tarOf(t, file("bad", tt.content), file("a", "b")))), true)
			if rep.Verdict != finding.Clean || (len(rep.Coverage.Packed) == 1) != (tt.want != "") {
				t.Fatalf("got %s, %+v", rep.Verdict, rep.Coverage)
			}
			if tt.want != "" && (!strings.Contains(rep.Coverage.Packed[0].Reason, tt.want) || !strings.HasPrefix(rep.Coverage.Packed[0].Path, "bad")) {
				t.Errorf("got %+v, want %s", rep.Coverage.Packed, tt.want)
			}
			layer := tarOf(t, file("bad", tt.content), file("pw.gz", good))
			if rep = scanAll(t, s, s.manifest(object{}, s.put(ociLayer, layer)), true); rep.Verdict != finding.Leaked {
				t.Errorf("what follows: got %s", rep.Verdict)
			}
		})
	}
}

// bomb is n times size zeros, gzip on gzip.
func bomb(t testing.TB, size, times int) []byte {
	b := make([]byte, size)
	for range times {
		b = gz(t, b)
	}
	return b
}

func nest(t testing.TB, b []byte, levels int) []byte {
	for range levels {
		b = zipOf(t, zip.Deflate, "inner.zip", string(b))
	}
	return b
}

// TestBombs: a budget that is hit is unread, ends in bounded work, and spoils
// the verdict, unless the user allows that file.
func TestBombs(t *testing.T) {
	limits := nested.Limits{Depth: 6, Free: 1 << 20, Ratio: 50, Bytes: 16 << 20}
	crowd := []string{}
	for i := range 60 {
		crowd = append(crowd, fmt.Sprint(i), string(bomb(t, 1<<20-1, 1)))
	}
	tests := []struct {
		name, want string
		content    []byte
	}{
		{"ratio", "more than 50 times its size", bomb(t, 8<<20, 1)},
		{"ratio, twice", "more than 50 times its size", bomb(t, 8<<20, 2)},
		{"depth", "nested more than 6 deep", nest(t, zipOf(t, zip.Deflate, "pw", password), 10)},
		{"bytes", "more than 16777216 bytes of nested data", zipOf(t, zip.Store, crowd...)},
		{"xz", "more than 50 times its size", xzOf(t, make([]byte, 8<<20))},
		{"zstd", "more than 50 times its size", zst(t, make([]byte, 8<<20))},
		{"base64", "more than 50 times its size", []byte(b64(bomb(t, 8<<20, 1)))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.name == "bytes" { // each of them is stored with its size
				tt.content = tarOf(t, files(crowd)...)
			}
			s := blobs{}
			root := s.manifest(object{}, s.put(ociLayer, tarOf(t, file("opt/bomb", string(tt.content)), file("a", "b"))))
			for _, allowed := range [][]string{nil, {"opt/*"}} {
				sc := New(Options{Index: testIndex(), Nested: limits, AllowUnread: allowed})
				rep, err := sc.Report(t.Context(), root, s.open)
				if err != nil {
					t.Fatal(err)
				}
				for _, rec := range sc.records {
					if rec.found != nil && rec.total > 17<<20+int64(len(tt.content))+16<<10 {
						t.Errorf("unpacked %d bytes", rec.total)
					}
				}
				if allowed == nil && (rep.Verdict != finding.Incomplete || !slices.ContainsFunc(rep.Coverage.Unread, func(u finding.Unread) bool { return strings.Contains(u.Reason, tt.want) })) {
					t.Errorf("got %s %+v", rep.Verdict, rep.Coverage)
				}
				if allowed != nil && rep.Verdict != finding.Clean {
					t.Errorf("allowed: got %s %+v", rep.Verdict, rep.Coverage)
				}
			}
		})
	}
}

// TestLeftEarly: an archive is left where a budget is hit in it. Whoever allows the
// file that did it has said nothing of those that follow.
func TestLeftEarly(t *testing.T) {
	hidden := string(gz(t, []byte(strings.Repeat("some text that compresses well\n", 40)+password)))
	limits := nested.Limits{Depth: 6, Free: 1 << 20, Ratio: 50, Bytes: 16 << 20}
	for name, archive := range map[string][]byte{
		"zip": zipOf(t, zip.Store, "bomb", string(bomb(t, 8<<20, 1)), "hidden.gz", hidden),
		"tar": tarOf(t, file("bomb", string(bomb(t, 8<<20, 1))), file("hidden.gz", hidden)),
	} {
		s := blobs{}
		root := s.manifest(object{}, s.put(ociLayer, tarOf(t, file("in", string(archive)))))
		for allowed, want := range map[string]finding.Verdict{"": finding.Incomplete, "in!/bomb": finding.Incomplete, "in": finding.Clean} {
			rep, err := New(Options{Index: testIndex(), Nested: limits, AllowUnread: []string{allowed}}).Report(t.Context(), root, s.open)
			if err != nil || rep.Verdict != want {
				t.Errorf("%s, %q allowed: got %s %+v, want %s %v", name, allowed, rep.Verdict, rep.Coverage.Unread, want, err)
			}
		}
	}
}

// TestWindows: a decoder that would take more memory than it may have is a bound
// that was hit, and says nothing of the files beside it.
func TestWindows(t *testing.T) {
	large := strings.Repeat("\x00\x00\x08"+strings.Repeat("x", 64<<10), 2) + "\x29\x00\x00hello"
	for name, content := range map[string]string{
		"zstd":               "\x28\xb5\x2f\xfd\x00\x88" + large,
		"zstd, second frame": string(zst(t, []byte("x"))) + "\x28\xb5\x2f\xfd\x00\x88" + large,
		"xz":                 "\xfd7zXZ\x00\x00\x04\xe6\xd6\xb4\x46\x02\x00\x21\x01\x28\x00\x00\x00\x74\x2f\xe5\xa3",
		"lzma":               "\x5d\x00\x00\x00\x08\xff\xff\xff\xff\xff\xff\xff\xff\x00hello",
	} {
		s := blobs{}
		beside := file("pw.gz", string(gz(t, []byte(strings.Repeat("some text that compresses well\n", 40)+password))))
		for allowed, want := range map[string]finding.Verdict{"": finding.Incomplete, "in.tar/bad": finding.Incomplete, "**/in.tar!/bad": finding.Clean, "in.tar": finding.Clean} {
			for _, layer := range [][]byte{tarOf(t, file("in.tar", string(tarOf(t, file("bad", content))))), tarOf(t, file("in.tar", string(tarOf(t, file("bad", content), beside))))} {
				sc := New(Options{Index: testIndex(), AllowUnread: []string{allowed}})
				rep, err := sc.Report(t.Context(), s.manifest(object{}, s.put(ociLayer, layer)), s.open)
				if err != nil {
					t.Fatal(err)
				}
				if rep.Verdict != want {
					t.Errorf("%s, %q allowed: got %s, %+v", name, allowed, rep.Verdict, rep.Coverage)
				}
				want = finding.Leaked // what is beside it
			}
		}
	}
}

func files(pairs []string) (list []tar.Header) {
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, file(pairs[i], pairs[i+1]))
	}
	return list
}
