package buildkit

import (
	"io"

	"github.com/moby/buildkit/client"
	"github.com/tonistiigi/fsutil"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/mem"
)

// pieceSize is how much of a file goes into one message to the daemon, in bytes.
//
// fsutil reads 32 KiB at a time, and the message around them is a few bytes
// longer than grpc's buffers of that size (mem.DefaultBufferPool). The next ones
// have 1 MiB, which both ends then take, and clear, for every message: more work
// than all the rest of sending a context. 64 bytes less leave room for the
// message's own fields.
const pieceSize = 32<<10 - 64

// pieces is a folder whose files are read in pieces of pieceSize.
type pieces struct{ fsutil.FS }

func (p pieces) Open(name string) (io.ReadCloser, error) {
	f, err := p.FS.Open(name)
	if err != nil {
		return nil, err
	}
	return piece{f}, nil
}

type piece struct{ io.ReadCloser }

func (p piece) Read(b []byte) (int, error) {
	return p.ReadCloser.Read(b[:min(len(b), pieceSize)])
}

// buffers lets us take what the daemon sends of a blob, which is messages of
// 32 KiB and a few bytes, with buffers of 64 KiB, for the same reason.
func buffers() client.ClientOpt {
	sizes := []int{256, 4 << 10, 16 << 10, 32 << 10, 64 << 10, 1 << 20} // grpc's own, and that one
	return client.WithGRPCDialOption(experimental.WithBufferPool(mem.NewTieredBufferPool(sizes...)))
}
