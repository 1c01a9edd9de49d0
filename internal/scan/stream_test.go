package scan

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/org/secure-build/internal/finding"
)

// forms plants values all over a layer, around the borders of its blocks.
func forms(t testing.TB) []byte {
	var files []tar.Header
	for i := range 40 {
		pad := strings.Repeat("x", i*37)
		files = append(files, file(fmt.Sprintf("f%02d", i), pad+password+pad))
	}
	return tarOf(t, append(files, file("long/"+strings.Repeat("n/", 80)+password, pemKey))...)
}

func hitsOf(rec *record) string {
	var b strings.Builder
	for _, h := range rec.hits {
		fmt.Fprintf(&b, "%s %s %q %s %d\n", h.Secret, h.Encoding, h.path, h.field, h.offset)
	}
	return b.String()
}

// TestCutsDoNotMatter: the hits are the same however the stream is cut, on its
// way in and on its way to the matcher.
func TestCutsDoNotMatter(t *testing.T) {
	idx := testIndex()
	plain := forms(t)
	want := hitsOf(New(Options{Index: idx}).inspect("", bytes.NewReader(plain)))
	if n := strings.Count(want, "\n"); n != 42 {
		t.Fatalf("got %d hits:\n%s", n, want)
	}
	for _, cut := range []int{1, 7, 511, 512, 513, 4096} {
		sc := New(Options{Index: idx})
		sc.cut = cut
		for name, r := range map[string]io.Reader{
			"plain": bytes.NewReader(plain), "gzip": bytes.NewReader(gz(t, plain)),
			"byte by byte": iotest.OneByteReader(bytes.NewReader(plain)), "late EOF": iotest.DataErrReader(bytes.NewReader(plain)),
		} {
			if got := hitsOf(sc.inspect("", r)); got != want {
				t.Errorf("%s cut at %d: got\n%s", name, cut, got)
			}
		}
	}
	w := New(Options{Index: idx}).Blob("sha256:0").(*feed)
	for _, b := range plain {
		if _, err := w.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	_ = w.Close()
}

// TestChunkBorder: a value across the border of two chunks is in the right file.
func TestChunkBorder(t *testing.T) {
	for _, at := range []int{chunkSize - 30, chunkSize - 10, chunkSize - 1, chunkSize, 2*chunkSize - 5} {
		// The value ends a file, or the file's neighbours fill the rest of the chunk.
		content := strings.Repeat("a", at-512) + password + strings.Repeat("b", 600)
		rec := New(Options{Index: testIndex()}).inspect("", bytes.NewReader(tarOf(t, file("one", content), file("two", "x"))))
		if want := fmt.Sprintf("password raw \"one\"  %d\n", at-512); hitsOf(rec) != want {
			t.Errorf("at %d: got %s, want %s", at, hitsOf(rec), want)
		}
	}
}

// TestManyMembers: gzip files of several members, and what stands around them.
func TestManyMembers(t *testing.T) {
	plain := tarOf(t, file("a", "b"), file("pw", password))
	var named bytes.Buffer
	w := gzip.NewWriter(&named)
	w.Comment = "pw " + "Zq7-horse%battery/staple"
	_, _ = w.Write(tarOf(t, file("a", "b")))
	_ = w.Close()
	skippable := append([]byte("\x50\x2a\x4d\x18\x18\x00\x00\x00"+password), zst(t, tarOf(t, file("a", "b")))...)
	tests := []struct {
		name, want string
		blob       []byte
		unread     int
	}{
		{"cut in the value", `password raw "pw"  0`, append(gz(t, plain[:1540]), gz(t, plain[1540:])...), 0},
		{"padding", `password raw "pw"  0`, append(gz(t, plain), make([]byte, 1000)...), 0},
		{"tail", `password raw ""  `, append(gz(t, plain[:1024]), password...), 2},
		{"gzip comment", `password raw "" compression 13`, named.Bytes(), 0},
		{"zstd skippable frame", `password raw "" compression 8`, skippable, 0},
		{"zstd frames", `password raw "pw"  0`, append(zst(t, plain[:1540]), zst(t, plain[1540:])...), 0},
		{"after the end of the tar", `password raw ""  3072`, append(bytes.Clone(plain[:1024]), append(make([]byte, 2048), password...)...), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rec := New(Options{Index: testIndex()}).inspect("", bytes.NewReader(tt.blob))
			if !strings.HasPrefix(hitsOf(rec), strings.TrimSuffix(tt.want, "  ")) || len(rec.hits) != 1 || (len(rec.unread) > 0) != (tt.unread > 0) {
				t.Errorf("got %s unread %v, want %s", hitsOf(rec), rec.unread, tt.want)
			}
		})
	}
}

// TestManyFindings: the report of a blob is bounded, and says that it is.
func TestManyFindings(t *testing.T) {
	var files []tar.Header
	for i := range 1500 {
		files = append(files, file(fmt.Sprintf("f%d", i), password))
	}
	s := blobs{}
	rep := scanAll(t, s, s.manifest(object{}, s.put(ociLayer, tarOf(t, files...))), true)
	if len(rep.Findings) != maxHits || rep.Verdict != finding.Leaked ||
		!strings.Contains(fmt.Sprint(rep.Coverage.Unread), "500 further ones are not listed") {
		t.Errorf("got %d, %s, %v", len(rep.Findings), rep.Verdict, rep.Coverage.Unread)
	}
	crowd := strings.Repeat(password+"\n", 200_000) // more matches than a ledger keeps waiting
	rec := New(Options{Index: testIndex()}).inspect("", strings.NewReader("{"+crowd))
	if len(rec.hits) != 1 || rec.hits[0].offset != 1 {
		t.Errorf("got %s", hitsOf(rec))
	}
}

// TestMaxBytes: the budget of a blob ends in a report, not in silence.
func TestMaxBytes(t *testing.T) {
	sc := New(Options{Index: testIndex(), MaxBytes: 1 << 20})
	rec := sc.inspect("", bytes.NewReader(gz(t, make([]byte, 2<<20))))
	if len(rec.unread) != 1 || !strings.Contains(rec.unread[0], "more than 1048576 bytes") || rec.total > 2*chunkSize+1<<20 {
		t.Errorf("got %v after %d bytes", rec.unread, rec.total)
	}
}

// zeroTar writes a tar with one file of size bytes, that ends with the password.
func zeroTar(w io.Writer, size int64) error {
	tw := tar.NewWriter(w)
	if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "big", Size: size, Mode: 0o644}); err != nil {
		return err
	}
	block := make([]byte, 1<<20)
	for left := size - int64(len(password)); left > 0; {
		n := min(left, int64(len(block)))
		if _, err := tw.Write(block[:n]); err != nil {
			return err
		}
		left -= n
	}
	if _, err := io.WriteString(tw, password); err != nil {
		return err
	}
	return tw.Close()
}

// TestMemoryStaysFlat: four layers of 200 MB side by side, each with a value at
// its end, take little memory (32 MB under -short).
func TestMemoryStaysFlat(t *testing.T) {
	size := int64(200 << 20)
	if testing.Short() {
		size = 32 << 20
	}
	idx := testIndex()
	sc := New(Options{Index: idx})
	peak := peakHeap(func() {
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				w := sc.Blob(fmt.Sprintf("sha256:%d", i))
				if err := zeroTar(w, size); err != nil {
					t.Error(err)
				}
				_ = w.Close()
			})
		}
		wg.Wait()
	})
	for _, rec := range sc.records {
		if got, want := hitsOf(rec), fmt.Sprintf("password raw \"big\"  %d\n", size-int64(len(password))); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if peak > 64<<20 || len(sc.records) != 4 {
		t.Errorf("%d MB at the peak, %d records", peak>>20, len(sc.records))
	}
	t.Logf("peak heap %d MB", peak>>20)
}

// TestRandomLayers compares the streaming scan of random archives with a
// search of each file by itself.
func TestRandomLayers(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	idx := testIndex()
	for range 20 {
		var files []tar.Header
		var want []string
		for i := range 60 {
			name := fmt.Sprintf("f%02d", i)
			content := make([]byte, r.IntN(9000))
			for j := range content {
				content[j] = "ab \n\x00"[r.IntN(5)]
			}
			if at := r.IntN(3 * len(password)); r.IntN(3) == 0 && len(content) > at {
				content = append(content[:at:at], append([]byte(password), content[at:]...)...)
				want = append(want, fmt.Sprintf("password raw %q  %d", name, at))
			}
			files = append(files, file(name, string(content)))
		}
		sc := New(Options{Index: idx})
		sc.cut = 1 + r.IntN(2000)
		got := strings.TrimSpace(hitsOf(sc.inspect("", bytes.NewReader(tarOf(t, files...)))))
		if got != strings.Join(want, "\n") {
			t.Fatalf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
		}
	}
}

// TestPanicIsUnread: a decoder that panics ends its blob, not the process.
func TestPanicIsUnread(t *testing.T) {
	sc := New(Options{Index: testIndex()})
	rec := sc.inspect("sha256:0", readerFunc(func([]byte) (int, error) { panic("a decoder's bug") }))
	if rec.verified || len(rec.unread) != 1 || !strings.HasPrefix(rec.unread[0], "reading it ended in a panic") {
		t.Errorf("got %+v", rec)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestAbandon: a scan that nobody waits for any more ends, whatever the bytes that
// it has unpack to; what it has seen counts for nothing.
func TestAbandon(t *testing.T) {
	bomb := append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0x68}, bytes.Repeat([]byte{0x02, 0, 0x10, 0}, 100_000)...) // 128 KiB of zeros each (RFC 8878, RLE_Block)
	sc := New(Options{Index: testIndex()})
	w := sc.Blob(digestOf(bomb))
	if _, err := w.Write(bomb); err != nil {
		t.Fatal(err)
	}
	if err := w.Abandon(); err != nil {
		t.Fatal(err)
	}
	if sc.record(digestOf(bomb)) != nil {
		t.Error("it counts")
	}
	if _, err := w.Write(bomb); err == nil {
		t.Error("it takes more")
	}

	whole := []byte(`{"password": "` + password + `"}`)
	w = sc.Blob(digestOf(whole))
	_, _ = w.Write(whole)
	_ = w.Abandon()
	if rec := sc.record(digestOf(whole)); rec != nil && len(rec.hits) == 0 {
		t.Error("a blob that was not searched is one without findings")
	}

	rec := sc.inspect("", &stopping{Reader: bytes.NewReader(bomb[:feedPiece])})
	if rec.verified || rec.total > 16<<20 {
		t.Errorf("verified: %v; %d MB were read after its end", rec.verified, rec.total>>20)
	}
}

// stopping is a reader that ends after the first bytes.
type stopping struct {
	io.Reader
	read bool
}

func (s *stopping) Read(p []byte) (int, error) {
	if err := s.stopped(); err != nil {
		return 0, err
	}
	s.read = true
	return s.Reader.Read(p)
}

func (s *stopping) stopped() error {
	if s.read {
		return errAbandoned
	}
	return nil
}
