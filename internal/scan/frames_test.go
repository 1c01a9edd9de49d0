package scan

import (
	"bufio"
	"bytes"
	"io"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func zstdFrame(t testing.TB, data []byte, opts ...zstd.EOption) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil, append(opts, zstd.WithEncoderConcurrency(1))...)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(data, nil)
}

// streamed is a frame as BuildKit writes it, which does not say how much is in it.
func streamed(t testing.TB, data []byte, opts ...zstd.EOption) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, append(opts, zstd.WithEncoderConcurrency(1))...)
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var (
	skippableFrame = []byte("\x5a\x2a\x4d\x18\x04\x00\x00\x00skip")
	// rleFrame has one block, of 500 times x: its size is not what it takes.
	rleFrame = []byte("\x28\xb5\x2f\xfd\x00\x00\xa3\x0f\x00x")
)

// FuzzFrames: frame by frame, the same comes out as from the decoder by itself.
func FuzzFrames(f *testing.F) {
	text := bytes.Repeat([]byte("a secret is not for the log. "), 9000)
	zeros := make([]byte, 1<<20)
	for _, parts := range [][][]byte{
		{streamed(f, text)}, {zstdFrame(f, text)}, {zstdFrame(f, zeros)}, {zstdFrame(f, []byte("x"))},
		{zstdFrame(f, text, zstd.WithEncoderCRC(false)), streamed(f, text, zstd.WithWindowSize(16<<20))},
		{skippableFrame, streamed(f, zeros), skippableFrame, zstdFrame(f, nil), streamed(f, text)},
		{rleFrame, streamed(f, text), rleFrame},
		{streamed(f, text), []byte("tail")}, {streamed(f, text)[:100]}, {streamed(f, text), streamed(f, text)[:9]}, {},
	} {
		f.Add(slices.Concat(parts...), uint16(len(parts)))
	}
	f.Fuzz(func(t *testing.T, packed []byte, piece uint16) {
		if len(packed) > 1<<20 {
			return
		}
		zr, err := zstd.NewReader(bytes.NewReader(packed), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			t.Fatal(err)
		}
		defer zr.Close()
		const most = 2 << 20 // one frame may be a bomb
		want, wantErr := io.ReadAll(io.LimitReader(zr, most))
		fr := newFrames(bufio.NewReaderSize(bytes.NewReader(packed), 64), newDecoders(), nil)
		defer fr.Close()
		got, gotErr := io.ReadAll(io.LimitReader(onlySo(fr, int(piece)+99), most))
		if (gotErr == nil) != (wantErr == nil) {
			t.Fatalf("got the error %v, want %v", gotErr, wantErr)
		}
		if wantErr == nil && !bytes.Equal(got, want) {
			t.Fatalf("got %d bytes, want %d", len(got), len(want))
		}
	})
}

// sized reads at most so much at once.
type sized struct {
	r io.Reader
	n int
}

func onlySo(r io.Reader, n int) io.Reader { return sized{r, n} }

func (s sized) Read(p []byte) (int, error) { return s.r.Read(p[:min(len(p), s.n)]) }

// TestFrameWindows: only a window that is not large has twice its room, whatever
// the frames before it had, and only so many at a time.
func TestFrameWindows(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 4<<16)
	large := streamed(t, data, zstd.WithWindowSize(2*roomyWindow))
	usual := streamed(t, data, zstd.WithWindowSize(roomyWindow))
	for _, tt := range []struct {
		name         string
		frames       []byte
		taken        bool // by another blob
		roomy, tight bool
	}{
		{"usual", usual, false, true, false},
		{"large", large, false, false, true},
		{"both", slices.Concat(usual, large), false, true, true},
		{"after a block that takes one byte", slices.Concat(rleFrame, large), false, true, true},
		{"others have the room", usual, true, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all := newDecoders()
			if tt.taken {
				for range roomyDecoders {
					<-all.roomy
				}
			}
			before := len(all.roomy)
			fr := newFrames(bufio.NewReader(bytes.NewReader(tt.frames)), all, nil)
			n, err := io.Copy(io.Discard, fr)
			want := int64(len(data)*bytes.Count(tt.frames, zstdMagic) - (len(data)-500)*bytes.Count(tt.frames, rleFrame))
			if err != nil || n != want {
				t.Errorf("got %d bytes, %v, want %d", n, err, want)
			}
			if got := [2]bool{fr.roomy != nil, fr.tight != nil}; got != [2]bool{tt.roomy, tt.tight} || fr.place != tt.roomy {
				t.Errorf("got the decoders %v and a place %v, want %v and %v", got, fr.place, tt.roomy, tt.tight)
			}
			fr.Close()
			if after := len(all.roomy); after != before {
				t.Errorf("after it, %d roomy decoders are there, of %d", after, before)
			}
		})
	}
}
