package scan

import (
	"archive/tar"
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// TestCutArchive: an archive that says of its last file that it is larger than
// what is there does not lend its name to what follows in the layer, and nothing
// is remembered of the files that the matcher has passed. (Go's own sources have
// such a file of 16 GiB, in 1 KiB.)
func TestCutArchive(t *testing.T) {
	var cut bytes.Buffer
	w := tar.NewWriter(&cut)
	if err := w.WriteHeader(&tar.Header{Name: "16gig.txt", Mode: 0o600, Size: 16 << 30, Format: tar.FormatGNU}); err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(make([]byte, tarBlock))
	files, want := []tar.Header{file("big.tar", cut.String())}, ""
	for i := range 20 {
		name := fmt.Sprintf("f%02d", i)
		files = append(files, file(name, strings.Repeat("x", 300_000)+password))
		want += fmt.Sprintf("password raw %q  300000\n", name)
	}
	if got := hitsOf(New(Options{Index: testIndex()}).inspect("", bytes.NewReader(tarOf(t, files...)))); got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
}

// TestMarksStayFew: a mark that was too far ahead gives way to those that follow.
func TestMarksStayFew(t *testing.T) {
	l := newLedger(newHits())
	l.mark(mark{start: 1 << 40, place: place{path: "ahead"}})
	for i := range int64(100_000) {
		l.mark(mark{start: i * 1024, place: place{path: "file"}})
		if i%1024 == 0 {
			l.settle()
		}
		l.total += 1024
	}
	if got := l.markOf(99_999 * 1024).place.path; got != "file" || len(l.marks) > 4*lookBack/1024 {
		t.Errorf("%d marks are kept, and the last is of %q", len(l.marks), got)
	}
}
