package nested

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
)

// FuzzOpen: no bytes make any decoder panic, hang, or give out more than the
// budget, whatever format they are taken for.
func FuzzOpen(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed)
	}
	formats := []Format{Gzip, Zlib, Bzip2, Xz, Lzma, Zstd, Zip, Ar, Cpio, Rpm, Pack}
	f.Fuzz(func(t *testing.T, b []byte) {
		limits := Limits{Free: 1 << 20, Ratio: 20, Bytes: 8 << 20}
		var d Decoders
		r := NewReader(bytes.NewReader(nil), 4096)
		for _, format := range append(formats, Detect(b, ".git/objects/")) {
			budget := NewBudget(limits)
			r.Reset(bytes.NewReader(b))
			var out int64
			if format.Compressed() {
				if c, err := d.Open(format, r, budget); err == nil {
					out, _ = io.Copy(io.Discard, budget.Meter(c, r.Pos))
				}
			} else if a, err := d.OpenArchive(format, r, budget); err == nil {
				out = entries(t, a, r, budget)
			}
			if out > 9<<20 || r.Pos() > int64(len(b)) {
				t.Errorf("%s: %d bytes out, %d of %d in", format, out, r.Pos(), len(b))
			}
		}
	})
}

// entries reads an archive to its end, as far as the budget goes.
func entries(t *testing.T, a Archive, r *Reader, budget *Budget) (out int64) {
	last := int64(-1)
	for n := 0; ; n++ {
		e, err := a.Next()
		if err != nil {
			return out
		}
		if e.Header <= last && n > 0 || e.Data < e.Header || e.Data > r.Pos() && e.Data > 0 {
			t.Fatalf("entry %d: header at %d, after %d, data at %d, read up to %d", n, e.Header, last, e.Data, r.Pos())
		}
		last = e.Header
		if e.Content == nil {
			continue
		}
		m, err := io.Copy(io.Discard, budget.Meter(e.Content, r.Pos))
		out += m
		if _, over := errors.AsType[*Exceeded](err); over {
			return out
		}
	}
}

func seeds(t testing.TB) [][]byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write([]byte("some text, some text"))
	_ = w.Close()
	return [][]byte{
		out.Bytes(),
		[]byte("\x78\x9c\x01\x05\x00\xfa\xffhello\x06\x2c\x02\x15"),
		[]byte("BZh91AY&SY\x73\x17\x13\x4b\x00\x00\x08\xdb"),
		[]byte("\xfd7zXZ\x00\x00\x04\xe6\xd6\xb4\x46\x02\x00\x21\x01\x16\x00\x00\x00\x74\x2f\xe5\xa3\x01\x00\x04hello\x00\x00\x00"),
		[]byte("\x28\xb5\x2f\xfd\x04\x00\x29\x00\x00hello"),
		[]byte("PK\x03\x04\x14\x00\x08\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00a\x4b\x04\x00PK\x07\x08\x00\x00\x00\x00\x03\x00\x00\x00\x01\x00\x00\x00PK\x01\x02"),
		[]byte("!<arch>\na/              0           0     0     644     2         `\nhi"),
		[]byte("070701000000010000000000000000000000000000000000000002000000000000000000000000000000000000000200000000a\x00hi\x00\x00"),
		append([]byte("\xed\xab\xee\xdb"), make([]byte, 120)...),
		append([]byte("PACK\x00\x00\x00\x02\x00\x00\x00\x01\x35\x78\x9c\x01\x05\x00\xfa\xffhello\x06\x2c\x02\x15"), make([]byte, 20)...),
	}
}

func TestDetect(t *testing.T) {
	tests := []struct {
		start, path string
		want        Format
	}{
		{"\x1f\x8b\x08\x00", "", Gzip},
		{"\x1f\x8b\x08\xff", "", None}, // reserved flags
		{"\x78\x9c\x01\x05\x00\xfa\xffhello", "", Zlib},
		{"x^2 + y^2 = z^2, as everybody knows", "", None},
		{"\x78\x9d\x00\x00", "", None}, // wrong sum
		{"\x58\x85\x01\x05\x00\xfa\xffhello", "", None},
		{"\x58\x85\x01\x05\x00\xfa\xffhello", "a/.git/objects/00/11", Zlib},
		{"BZh91AY&SY", "", Bzip2},
		{"BZhello wo", "", None},
		{"PK\x03\x04", "", Zip},
		{"PACK\x00\x00\x00\x02", "", Pack},
		{"\x28\xb5\x2f\xfd", "", Zstd},
		{"\x5f\x2a\x4d\x18\x04\x00\x00\x00", "", Zstd},
		{"\x60\x2a\x4d\x18\x04\x00\x00\x00", "", None},
		{"\x5d\x00\x00\x80\x00\xff\xff\xff\xff\xff\xff\xff\xff\x00", "", Lzma},
		{"\x5d\x00\x00\xc0\x00\x05\x00\x00\x00\x00\x00\x00\x00\x00", "", Lzma},
		{"\x5d\x00\x00\xa0\x00\x05\x00\x00\x00\x00\x00\x00\x00\x00", "", None},
		{"\x5d\x00\x00\x80\x00\x05\x00\x00\x00\x00\x00\x00\x01\x00", "", None},
		{"", "", None},
		{"abc", "", None},
	}
	for _, tt := range tests {
		if got := Detect([]byte(tt.start), tt.path); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.start, got, tt.want)
		}
	}
}

// TestWindow: a header that asks for much memory gets none, and that is a bound
// which was hit.
func TestWindow(t *testing.T) {
	large := strings.Repeat("\x00\x00\x02"+strings.Repeat("x", 16<<10), 2) + "\x29\x00\x00hello"
	for name, h := range map[string]struct {
		format Format
		b      string
	}{
		"xz with 4 GiB":                 {Xz, "\xfd7zXZ\x00\x00\x04\xe6\xd6\xb4\x46\x02\x00\x21\x01\x28\x00\x00\x00\x74\x2f\xe5\xa3"},
		"zstd with 2 GiB":               {Zstd, "\x28\xb5\x2f\xfd\x00\xa8" + large},
		"zstd with 2 GiB, second frame": {Zstd, "\x28\xb5\x2f\xfd\x20\x00\x01\x00\x00\x28\xb5\x2f\xfd\x00\xa8" + large},
		"zstd of 2 GiB in one segment":  {Zstd, "\x28\xb5\x2f\xfd\xa0\x00\x00\x00\x80" + large},
		"lzma with 2 GiB":               {Lzma, "\x5d\x00\x00\x00\x80\xff\xff\xff\xff\xff\xff\xff\xffhello"},
	} {
		var d Decoders
		r := NewReader(bytes.NewReader([]byte(h.b)), 4096)
		c, err := d.Open(h.format, r, NewBudget(Limits{}))
		if err == nil {
			_, err = c.Read(make([]byte, 10))
		}
		if over, ok := errors.AsType[*Exceeded](err); !ok || over.Total {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestShortWindow: a frame that is in the buffer needs no more than it holds,
// whatever it asks for, and one that is cut is damaged.
func TestShortWindow(t *testing.T) {
	many := strings.Repeat("\x02\x00\x10x", 600) // 128 KiB each, of one byte
	for name, tt := range map[string]struct {
		b    string
		want int64
		err  error
	}{
		"whole":               {"\x28\xb5\x2f\xfd\x00\xa8\x29\x00\x00hello", 5, nil},
		"repeated":            {"\x28\xb5\x2f\xfd\x00\xff\x02\x00\x10x\x03\x00\x10x", 256 << 10, nil},
		"cut":                 {"\x28\xb5\x2f\xfd\x00\xa8\x29\x00\x00hel", 0, io.ErrUnexpectedEOF},
		"cut in its header":   {"\x28\xb5\x2f\xfd\x00\xa8\x29\x00", 0, io.ErrUnexpectedEOF},
		"of a wrong size":     {"\x28\xb5\x2f\xfd\xa0\x00\x00\x00\x80\x29\x00\x00hello", 0, errDamaged},
		"unpacks to too much": {"\x28\xb5\x2f\xfd\x00\xa8" + many + "\x03\x00\x10x", 0, &Exceeded{}},
	} {
		var d Decoders
		c, err := d.Open(Zstd, NewReader(strings.NewReader(tt.b), 4096), NewBudget(Limits{}))
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, c)
		_, over := errors.AsType[*Exceeded](err)
		_, wantOver := tt.err.(*Exceeded)
		if n != tt.want || over != wantOver || !over && !errors.Is(err, tt.err) {
			t.Errorf("%s: got %d bytes, %v, want %d, %v", name, n, err, tt.want, tt.err)
		}
	}
}

// TestMemory: a second blob waits for its large window until the first is done
// with its own; small windows wait for nobody.
func TestMemory(t *testing.T) {
	shared := NewMemory()
	one, two := NewBudget(Limits{Memory: shared}), NewBudget(Limits{Memory: shared})
	take := func(b *Budget, window int64) {
		t.Helper()
		if err := b.reserve(window); err != nil {
			t.Error(err)
		}
	}
	take(one, Large+1)
	take(one, Large+1) // nested in itself
	take(two, Large)
	if one.Held() != 2*Large+2 || two.Held() != 0 {
		t.Fatalf("got %v, %v", one.Held(), two.Held())
	}
	done := make(chan struct{})
	go func() {
		take(two, Large+1)
		close(done)
	}()
	waits := func() {
		t.Helper()
		select {
		case <-done:
			t.Error("did not wait")
		case <-time.After(20 * time.Millisecond):
		}
	}
	waits()
	one.Release(Large + 1) // the inner one
	waits()
	one.Release(0)
	one.Release(0)
	<-done
	if two.Held() != Large+1 {
		t.Error("did not get it")
	}
}

// TestMemoryWithin: what is packed in packed data takes memory beside it, so
// the sum is bounded too.
func TestMemoryWithin(t *testing.T) {
	b := NewBudget(Limits{Memory: NewMemory()})
	if err := b.reserve(maxWindow); err != nil {
		t.Fatal(err)
	}
	if err := b.reserve(Large); err != nil {
		t.Errorf("a small one within it: %v", err)
	}
	if _, ok := errors.AsType[*Exceeded](b.reserve(Large + 1)); !ok || b.Held() != maxWindow {
		t.Errorf("a large one within it was let through; %d held", b.Held())
	}
	b.Release(0)
	if err := b.reserve(maxWindow); err != nil {
		t.Errorf("one after it: %v", err)
	}
}
