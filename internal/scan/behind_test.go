package scan

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	"github.com/org/secure-build/internal/finding"
)

// TestBehindBlob: what is behind the end of a layer is opened, or said to be
// unread: it is in the blob, whether a container shows it or not.
func TestBehindBlob(t *testing.T) {
	pad := strings.Repeat("some text that compresses well\n", 40)
	layer := tarOf(t, file("etc/x", pad))
	leak := string(gz(t, tarOf(t, file("etc/pw", pad+password))))
	bz, err := base64.StdEncoding.DecodeString(bzippedNothing)
	if err != nil {
		t.Fatal(err)
	}
	for name, first := range map[string]string{
		"tar": string(layer), "xz": string(xzOf(t, layer)), "bzip2": string(bz), "zip": string(zipOf(t, zip.Deflate, "x", string(layer))),
		"cpio": string(cpioOf("x", pad, "TRAILER!!!", "")), "lzma": string(lzmaOf(t, layer)),
	} {
		for behind, want := range map[string]finding.Verdict{
			"":                                 finding.Clean,
			strings.Repeat("\x00", 5000):       finding.Clean,
			"\x00\x00\x00" + leak:              finding.Leaked,
			string(tarOf(t, file("pw", leak))): finding.Leaked,
			"junk":                             finding.Incomplete,
			"\x00junk":                         finding.Incomplete,
		} {
			if name == "tar" && want == finding.Incomplete {
				want = finding.Clean // it is remarked on
			}
			s := blobs{}
			rep := scanAll(t, s, s.manifest(object{}, s.put(ociLayer, []byte(first+behind))), true)
			if rep.Verdict != want {
				t.Errorf("%s and %.10q: got %s, want %s: %+v", name, behind, rep.Verdict, want, rep.Coverage)
			}
			if isJunk := strings.HasSuffix(behind, "junk"); isJunk != (len(rep.Coverage.Packed) > 0) {
				t.Errorf("%s and %.10q: got %+v", name, behind, rep.Coverage.Packed)
			}
		}
	}
}

// TestPackedHeader: a value in the header of a compression is in that file, and
// not in what is unpacked; in one that is behind another too.
func TestPackedHeader(t *testing.T) {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Name = password
	_, _ = w.Write([]byte("nothing"))
	_ = w.Close()
	for _, before := range []string{"", string(gz(t, []byte("x"))) + "\x00"} {
		rec := New(Options{Index: testIndex()}).inspect("", bytes.NewReader(tarOf(t, file("a.gz", before+out.String()))))
		if len(rec.hits) != 1 || rec.hits[0].path != "a.gz" || rec.hits[0].field != finding.FieldCompression {
			t.Errorf("behind %d bytes: got %s", len(before), hitsOf(rec))
		}
	}
}
