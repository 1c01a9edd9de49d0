package scan

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"strings"
	"testing"
)

// streamedZip is a zip as it is written to a pipe: the sizes follow each file,
// with a signature or without, in 4 bytes or in 8. The files come packed by the
// method.
func streamedZip(method uint16, signature bool, width int, files ...string) []byte {
	var out, directory []byte
	for i := 0; i < len(files); i += 2 {
		name, data := files[i], files[i+1]
		h := []byte("PK\x03\x04\x2d\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")
		binary.LittleEndian.PutUint16(h[8:], method)
		binary.LittleEndian.PutUint16(h[26:], uint16(len(name)))
		out = append(append(append(out, h...), name...), data...)
		if signature {
			out = append(out, "PK\x07\x08"...)
		}
		out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE([]byte(data)))
		for range 2 {
			out = append(binary.LittleEndian.AppendUint32(out, uint32(len(data))), make([]byte, width-4)...)
		}
		directory = append(append(append(directory, "PK\x01\x02"...), make([]byte, 42)...), name...)
		directory[len(directory)-len(name)-46+28] = byte(len(name))
	}
	return append(append(out, directory...), "PK\x05\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"...)
}

// TestStreamedZip: what is stored in a zip that tells its sizes afterwards is
// opened, and so is what follows it, however the sizes are told.
func TestStreamedZip(t *testing.T) {
	pad := strings.Repeat("some text that compresses well\n", 40)
	packed := string(gz(t, []byte(pad+password)))
	noise := "noise" + strings.Repeat("PK\x03\x04PK\x07\x08PK\x01\x02 and more ", 5000)
	inner := string(streamedZip(zip.Store, true, 4, "a", "b", "c", noise))
	bzip2, err := base64.StdEncoding.DecodeString(bzipped)
	if err != nil {
		t.Fatal(err)
	}
	bz := string(bzip2)
	for _, signature := range []bool{true, false} {
		for _, width := range []int{4, 8} {
			for name, tt := range map[string]struct {
				content, path string
			}{
				"gzip":           {string(streamedZip(zip.Store, signature, width, "f.gz", packed)), "!/f.gz!"},
				"after a folder": {string(streamedZip(zip.Store, signature, width, "d/", "", "d/f.gz", packed)), "!/d/f.gz!"},
				"after a zip":    {string(streamedZip(zip.Store, signature, width, "in.zip", inner, "f.gz", packed)), "!/f.gz!"},
				"after an empty": {string(streamedZip(zip.Store, signature, width, "empty", "", "f.gz", packed)), "!/f.gz!"},
				"tar.gz":         {string(streamedZip(zip.Store, signature, width, "f.tgz", string(gz(t, tarOf(t, file("q", pad+password)))))), "!/f.tgz!/q"},
				"git object":     {string(streamedZip(zip.Store, signature, width, "r/.git/objects/ab/cd", string(zlibOf([]byte("blob 9\x00"+pad+password))))), "!/r/.git/objects/ab/cd!"},
				"long":           {string(streamedZip(zip.Store, signature, width, "long", noise+strings.Repeat("P", 40_000), "f.gz", packed)), "!/f.gz!"},
				"xz":             {string(streamedZip(95, signature, width, "a", string(xzOf(t, []byte(pad))), "f", string(xzOf(t, []byte(pad+password))))), "!/f"},
				"zstd":           {string(streamedZip(93, signature, width, "a", string(zst(t, []byte(pad))), "f", string(zst(t, []byte(pad+password))))), "!/f"},
				"bzip2":          {string(streamedZip(12, signature, width, "a", bz, "f", bz)), "!/f"},
			} {
				for _, cut := range []int{0, 7} {
					sc := New(Options{Index: testIndex()})
					sc.cut = cut
					rec := sc.inspect("", bytes.NewReader(tarOf(t, file("a.zip", tt.content), file("after", "x"))))
					if got := hitsOf(rec); !strings.Contains(got, `"a.zip`+tt.path+`"`) {
						t.Errorf("%s, signature %v, %d: got %s", name, signature, width, got)
					}
					if len(rec.unread)+len(rec.found.unread.list)+len(rec.found.remarks.list) > 0 {
						t.Errorf("%s, signature %v, %d: unread %v, remarks %v", name, signature, width, rec.unread, rec.found.remarks.list)
					}
				}
			}
		}
	}
	// Its end is told wrongly: what comes behind is not opened, and that is said.
	wrong := bytes.Replace(streamedZip(zip.Store, true, 4, "a", "12345", "f.gz", packed), []byte("\x05\x00\x00\x00\x05\x00\x00\x00"), []byte("\x04\x00\x00\x00\x05\x00\x00\x00"), 1)
	rec := New(Options{Index: testIndex()}).inspect("", bytes.NewReader(tarOf(t, file("a.zip", string(wrong)))))
	if len(rec.found.remarks.list) != 1 || !strings.Contains(rec.found.remarks.list[0].Reason, "whose end nobody tells") {
		t.Errorf("got %+v", rec.found.remarks.list)
	}
}
