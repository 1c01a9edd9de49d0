package scan

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/org/secure-build/internal/finding"
)

// marked finds the word KEY, in texts and in names, and panics at the word PANIC.
type marked struct{}

type markedStream struct {
	seen  []byte
	found func(Hit)
}

func (m *markedStream) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("PANIC")) {
		panic("as asked")
	}
	m.seen = append(m.seen, p...)
	return len(p), nil
}

func (m *markedStream) Close() error {
	for at := 0; ; {
		i := bytes.Index(m.seen[at:], []byte("KEY"))
		if i < 0 {
			return nil
		}
		m.found(Hit{Rule: "key", Offset: int64(at + i)})
		at += i + 3
	}
}

func (marked) Stream(_ Place, _ int64, found func(Hit)) PatternStream {
	return &markedStream{found: found}
}

func (marked) Name(path string, _ int64, _ bool) []Hit {
	if strings.Contains(path, "KEY") {
		return []Hit{{Rule: "name", Severity: finding.Warning}}
	}
	return nil
}

func (marked) Text(Place, string) []Hit { return nil }

// wrapped is a packed file as a text has it: base64 in rows.
func wrappedText(t *testing.T, content string) string {
	t.Helper()
	text := base64.StdEncoding.EncodeToString(gz(t, []byte(content)))
	var b strings.Builder
	for len(text) > 64 {
		b.WriteString(text[:64] + "\n")
		text = text[64:]
	}
	return b.String() + text + "\n"
}

// TestBeside: what patterns find is the same, and in the same order, whether
// they are searched for beside the walk or by it.
func TestBeside(t *testing.T) {
	var files []tar.Header
	inner := wrappedText(t, strings.Repeat("some text ", 20_000)+"KEY\n"+wrappedText(t, "deeper KEY "+strings.Repeat("filler", 9000)))
	for i := range 60 {
		files = append(files,
			file(fmt.Sprintf("plain%02d", i), strings.Repeat("filler ", i*997)+"KEY and KEY"),
			file(fmt.Sprintf("KEY%02d", i), "nothing"),
			file(fmt.Sprintf("wrapped%02d", i), "before KEY\n"+inner+"after KEY\n"),
			file(fmt.Sprintf("packed%02d.gz", i), string(gz(t, []byte(strings.Repeat("x", 70_000)+"KEY")))))
	}
	layer := tarOf(t, files...)
	scanned := func(besideAt int64) *record {
		sc := New(Options{Index: testIndex(), Patterns: marked{}})
		sc.besideAt = besideAt
		rec := sc.inspect("", bytes.NewReader(layer))
		if !rec.verified || len(rec.unread) > 0 {
			t.Fatalf("unread: %v", rec.unread)
		}
		return rec
	}
	want := scanned(math.MaxInt64).found.guesses.list
	if len(want) != 60*(2+1+2+1+1+1) {
		t.Fatalf("got %d guesses", len(want))
	}
	for _, at := range []int64{0, 100_000, besideFrom} {
		if got := scanned(at).found.guesses.list; !reflect.DeepEqual(got, want) {
			t.Errorf("beside from %d bytes on: got %d guesses, want %d, or another order", at, len(got), len(want))
		}
	}
}

// TestBesidePanic: patterns that panic in their goroutine leave the blob unread.
func TestBesidePanic(t *testing.T) {
	for _, where := range []string{"first", "last"} {
		files := []tar.Header{file("a", strings.Repeat("x", 2<<20)), file("b", strings.Repeat("y", 2<<20))}
		if where == "first" {
			files[0] = file("a", "PANIC"+strings.Repeat("x", 2<<20))
		} else {
			files[1] = file("b", strings.Repeat("x", 2<<20)+"PANIC")
		}
		rec := New(Options{Index: testIndex(), Patterns: marked{}}).inspect("", bytes.NewReader(tarOf(t, files...)))
		if len(rec.unread) == 0 {
			t.Errorf("%s: it counts as read", where)
		}
	}
}

// TestRecordOutlivesTheWalk: a record, which is kept until the run ends, holds
// on to nothing that the walk has used, with whatever was unpacked on the way.
func TestRecordOutlivesTheWalk(t *testing.T) {
	layer := tarOf(t, file("a", "KEY "+wrappedText(t, strings.Repeat("some text ", 5000)+"KEY")))
	for _, besideAt := range []int64{0, math.MaxInt64} {
		sc := New(Options{Index: testIndex(), Patterns: marked{}})
		sc.besideAt = besideAt
		for name, blob := range map[string][]byte{"layer": layer, "packed": gz(t, layer), "panic": tarOf(t, file("a", "PANIC")), "empty": nil} {
			rec := sc.inspect("", bytes.NewReader(blob))
			if rec.found.guesses.wait != nil {
				t.Errorf("%s, beside from %d bytes on: it still waits", name, besideAt)
			}
			rec.found.guesses.include("later", &guesses{list: []guess{{}}}) // nobody is there to answer
		}
	}
}

// TestCaptureLetsGo: what a capture found keeps nothing of the walk either, once
// it was handed over.
func TestCaptureLetsGo(t *testing.T) {
	sc := New(Options{Index: testIndex(), Patterns: marked{}})
	w := sc.newWalk(newHits())
	st := w.open(strings.NewReader(""), 0)
	c := newCapture(w, st, 0)
	c.feed([]byte(base64.RawStdEncoding.EncodeToString(gz(t, []byte("KEY")))))
	c.end()
	if under := st.ledger.pending[0].under; under.guesses.wait != nil || len(under.guesses.list) != 1 {
		t.Errorf("got %d guesses, waits: %v", len(under.guesses.list), under.guesses.wait != nil)
	}
}
