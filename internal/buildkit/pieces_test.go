package buildkit

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/moby/buildkit/client"
	"github.com/tonistiigi/fsutil"
	fstypes "github.com/tonistiigi/fsutil/types"
)

// grpcBuffer is the size of grpc's buffers below those of 1 MiB, in bytes.
const grpcBuffer = 32 << 10

// TestPieces: a message with a piece of a file fits the buffers of grpc that
// fsutil's own are a few bytes too long for, and no byte of the file is lost.
func TestPieces(t *testing.T) {
	dir := t.TempDir()
	want := bytes.Repeat([]byte("0123456789abcdef!"), 10_000)
	if err := os.WriteFile(filepath.Join(dir, "file"), want, 0o600); err != nil {
		t.Fatal(err)
	}
	opt := client.SolveOpt{FrontendAttrs: map[string]string{}, LocalMounts: map[string]fsutil.FS{}}
	if err := (Request{Context: dir}).inputs(&opt); err != nil {
		t.Fatal(err)
	}
	f, err := opt.LocalMounts["context"].Open("file")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var got []byte
	buf := make([]byte, grpcBuffer)
	for {
		n, err := f.Read(buf)
		got = append(got, buf[:n]...)
		p := fstypes.Packet{Type: fstypes.PACKET_DATA, ID: math.MaxUint32, Data: buf[:n]}
		if p.SizeVT() > grpcBuffer {
			t.Fatalf("a message of %d bytes, want at most %d", p.SizeVT(), grpcBuffer)
		}
		if err != nil {
			break
		}
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got %d bytes, want the %d of the file", len(got), len(want))
	}
}
