package buildkit

import (
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moby/buildkit/session/filesync"
	fstypes "github.com/tonistiigi/fsutil/types"
)

// A demanding is a daemon that wants n files, and then no more.
type demanding struct {
	filesync.FileSync_DiffCopyServer
	n, told uint32
	taken   atomic.Uint32
}

func (a *demanding) RecvMsg(m any) error {
	p, _ := m.(*fstypes.Packet)
	a.taken.Add(1)
	switch a.told++; {
	case a.told <= a.n:
		p.Type, p.ID = fstypes.PACKET_REQ, a.told-1
	case a.told == a.n+1:
		p.Type = fstypes.PACKET_FIN
	default:
		return io.EOF
	}
	return nil
}

// TestRequestsAreTaken: what a daemon asks for is taken at once, though nobody
// has room for it yet, and stays in its order.
func TestRequestsAreTaken(t *testing.T) {
	const files = 10_000
	a := &demanding{n: files}
	e := newEager(a)
	for deadline := time.Now().Add(10 * time.Second); a.taken.Load() < files+1; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d requests are taken, and nobody has asked for one", a.taken.Load())
		}
	}
	var p fstypes.Packet
	for i := range uint32(files) {
		if err := e.RecvMsg(&p); err != nil || p.Type != fstypes.PACKET_REQ || p.ID != i {
			t.Fatalf("request %d: got %v of %d, %v", i, p.Type, p.ID, err)
		}
	}
	if err := e.RecvMsg(&p); err != nil || p.Type != fstypes.PACKET_FIN || p.ID != 0 {
		t.Errorf("the end: got %v, %v", p.Type, err)
	}
	if err := newEager(&demanding{n: 0, told: 1}).RecvMsg(&p); err != io.EOF {
		t.Errorf("a stream that breaks: got %v", err)
	}
}
