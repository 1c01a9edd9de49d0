package buildkit

import (
	"errors"
	"fmt"
	"sync"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/session/filesync"
	"github.com/tonistiigi/fsutil"
	fstypes "github.com/tonistiigi/fsutil/types"
	"google.golang.org/grpc"
)

// folders is a session's service that sends the folders of a build, as BuildKit's
// client has it, but for what the daemon asks for: that is taken from it at once.
//
// A daemon asks for all files that it lacks, as fast as we tell of them, and
// fsutil takes a request when it has room for one more. What waits in between
// does so in grpc, and each in a buffer of 16 KiB (serverHandlerTransport): with a
// disk slower than we are, 100,000 files took 60 MB. Here a request takes 16 bytes.
type folders struct{ filesync.FileSyncServer }

// attach makes the folders of a build a service of its session.
func attach(opt *client.SolveOpt) error {
	dirs := filesync.StaticDirSource{}
	for name, dir := range opt.LocalMounts {
		// Owners are of this machine only (client/solve.go, prepareSyncedFiles).
		mapped, err := fsutil.NewFilterFS(dir, &fsutil.FilterOpt{Map: func(_ string, st *fstypes.Stat) fsutil.MapResult {
			st.Uid, st.Gid = 0, 0
			return fsutil.MapResultKeep
		}})
		if err != nil {
			return fmt.Errorf("reading the build context: %w", err)
		}
		dirs[name] = mapped
	}
	server, ok := filesync.NewFSSyncProvider(dirs).(filesync.FileSyncServer)
	if !ok {
		return errors.New("reading the build context: BuildKit's client serves folders in another way")
	}
	if opt.LocalMounts = nil; len(dirs) > 0 {
		opt.Session = append(opt.Session, folders{server})
	}
	return nil
}

// Register adds the service to a session.
func (f folders) Register(server *grpc.Server) { filesync.RegisterFileSyncServer(server, f) }

// DiffCopy sends a folder.
func (f folders) DiffCopy(stream filesync.FileSync_DiffCopyServer) error {
	return f.FileSyncServer.DiffCopy(newEager(stream))
}

// An eager takes what comes in as soon as it comes.
type eager struct {
	filesync.FileSync_DiffCopyServer

	mu    sync.Mutex
	more  *sync.Cond
	queue []incoming
	err   error // after everything in the queue
}

// An incoming is a request for a file, or anything else that came.
type incoming struct {
	id    uint32
	other *fstypes.Packet
}

func newEager(stream filesync.FileSync_DiffCopyServer) *eager {
	e := &eager{FileSync_DiffCopyServer: stream}
	e.more = sync.NewCond(&e.mu)
	go e.take() // ends with the stream, if not before
	return e
}

func (e *eager) take() {
	for {
		p := new(fstypes.Packet)
		err := e.FileSync_DiffCopyServer.RecvMsg(p)
		e.mu.Lock()
		switch {
		case err != nil:
			e.err = err
		case p.Type == fstypes.PACKET_REQ:
			e.queue = append(e.queue, incoming{id: p.ID})
		default:
			e.queue = append(e.queue, incoming{other: p})
		}
		e.more.Signal()
		e.mu.Unlock()
		if err != nil || p.Type == fstypes.PACKET_FIN { // the last one
			return
		}
	}
}

// RecvMsg returns what came next.
func (e *eager) RecvMsg(m any) error {
	p, ok := m.(*fstypes.Packet)
	if !ok {
		return fmt.Errorf("reading a request for a file: it is wanted as %T", m)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(e.queue) == 0 {
		if e.err != nil {
			return e.err
		}
		e.more.Wait()
	}
	next := e.queue[0]
	e.queue = e.queue[1:]
	p.Reset()
	if p.Type, p.ID = fstypes.PACKET_REQ, next.id; next.other != nil {
		p.Type, p.ID, p.Stat, p.Data = next.other.Type, next.other.ID, next.other.Stat, next.other.Data
	}
	return nil
}
