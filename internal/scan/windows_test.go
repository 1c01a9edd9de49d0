package scan

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// noise does not compress, so that a compressed file is as long as it says.
func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// bigXz asks for a dictionary of 16 MiB.
func bigXz(t testing.TB, content []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := xz.WriterConfig{DictCap: 16 << 20}.NewWriter(&out)
	if err == nil {
		_, err = w.Write(content)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// within fails a test that hangs.
func within(t *testing.T, most time.Duration, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	select {
	case <-done:
	case <-time.After(most):
		t.Fatal("it hangs")
	}
}

// TestLargeWindowsTakeTurns: a blob with a large window waits until another's is
// done with; one without waits for nobody.
func TestLargeWindowsTakeTurns(t *testing.T) {
	layer := tarOf(t, file("a", string(noise(1<<20))+password))
	for _, tt := range []struct {
		name  string
		blob  []byte
		waits bool
	}{
		{"usual", streamed(t, layer, zstd.WithWindowSize(roomyWindow)), false},
		{"large", streamed(t, layer, zstd.WithWindowSize(2*roomyWindow)), true},
		{"large after usual", slices.Concat(streamed(t, layer[:9000]), streamed(t, layer[9000:], zstd.WithWindowSize(maxWindow))), true},
		{"large twice", slices.Concat(streamed(t, layer[:9000], zstd.WithWindowSize(2*roomyWindow)), streamed(t, layer[9000:], zstd.WithWindowSize(maxWindow))), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sc := New(Options{Index: testIndex()})
			other := sc.limits.Memory.Turn()
			other.Take()
			done := make(chan *record, 1)
			go func() { done <- sc.inspect("", bytes.NewReader(tt.blob)) }()
			var rec *record
			if tt.waits {
				select {
				case rec = <-done:
					t.Error("did not wait")
				case <-time.After(200 * time.Millisecond):
				}
				other.Give()
			}
			within(t, time.Minute, func() {
				if rec == nil {
					rec = <-done
				}
			})
			if len(rec.hits) != 1 || len(rec.unread) > 0 {
				t.Errorf("got %d hits, unread %q", len(rec.hits), rec.unread)
			}
			if !tt.waits {
				other.Give()
			}
			within(t, time.Minute, func() { // it was given back
				next := sc.limits.Memory.Turn()
				next.Take()
				next.Give()
			})
		})
	}
}

// TestLargeWindowsWithin: files in a layer want memory while the layer's own
// window has some, or get theirs before it does. Neither waits for the other, in
// one blob or in several, and all is read.
func TestLargeWindowsWithin(t *testing.T) {
	layer := tarOf(t, file("a.xz", string(bigXz(t, noise(1<<20)))), file("b.xz", string(bigXz(t, append(noise(300<<10), password...)))), file("c", "x"))
	large := zstd.WithWindowSize(2 * roomyWindow)
	forms := [][]byte{
		streamed(t, layer, large),
		slices.Concat(streamed(t, layer[:800<<10]), streamed(t, layer[800<<10:], large)), // within a.xz
		slices.Concat(streamed(t, layer[:800<<10], large), streamed(t, layer[800<<10:])),
		layer,
	}
	sc := New(Options{Index: testIndex()})
	within(t, 2*time.Minute, func() {
		var wg sync.WaitGroup
		for i, blob := range slices.Concat(forms, forms) {
			wg.Go(func() {
				rec := sc.inspect("", bytes.NewReader(blob))
				if len(rec.hits) != 1 || len(rec.unread) > 0 || len(rec.found.unread.list) > 0 || len(rec.found.remarks.list) > 0 {
					t.Errorf("%d: got %d hits, unread %q, %v, %v", i, len(rec.hits), rec.unread, rec.found.unread.list, rec.found.remarks.list)
				}
			})
		}
		wg.Wait()
	})
}
