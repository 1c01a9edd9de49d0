package buildkit

import (
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/core/content/proxy"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	growingPoll  = 20 * time.Millisecond // between two looks for new layers
	growingPause = 5 * time.Millisecond  // between two looks for more of one
	growingAtOne = 4                     // layers that are read side by side
	growingMost  = 500                   // layers of one build; the others are not read ahead
)

// Reading says what to do with the layers that are there before the export
// sends them.
type Reading struct {
	// Growing is given a layer that is still being packed. Its digest is known
	// when all of it was read.
	Growing func(io.Reader)
	// Packed is given a layer that is whole, as the daemon says.
	Packed func(context.Context, ocispecs.Descriptor, io.Reader) error
}

// Ahead hands out the layers that the daemon packs from now on, before the
// export sends them: BuildKit packs all of them, one core each, before it sends
// the first. Those of our private daemon are given out while they grow, since we
// can see its files; those of another as soon as they are whole, if it lets us
// read its content store. Some may be another build's.
//
// Each is given out in a goroutine of its own. When the build is over, stop waits
// for those that are being read; ctx ends them early.
func (e *Engine) Ahead(ctx context.Context, to Reading) (stop func()) {
	if e.root == "" {
		return follow(ctx, proxy.NewContentStore(e.client.ContentClient()), reading{e.blob, to.Packed})
	}
	a := &ahead{
		root: e.root, read: to.Growing, seen: map[string]fs.FileInfo{},
		slots: make(chan struct{}, growingAtOne), over: make(chan struct{}),
	}
	for path, fi := range a.list() { // left by a run that was killed: nobody writes them
		a.seen[path] = fi
	}
	a.wg.Go(func() { a.watch(ctx) })
	return func() { close(a.over); a.wg.Wait() }
}

// ahead finds the layers that our private daemon packs, in the files that it
// writes in its content store.
//
// It reads files of somebody else's while they are written, so it promises
// nothing about them: what was read is a layer of the image if, and only if,
// its digest says so.
type ahead struct {
	root string // of the daemon's state
	read func(io.Reader)

	seen  map[string]fs.FileInfo // by path
	slots chan struct{}
	over  chan struct{} // closed when nothing is packed any more
	wg    sync.WaitGroup
}

// Blobs lists the folders in which the daemon keeps its blobs, by algorithm and
// digest, as far as we can see them.
func (e *Engine) Blobs() []string {
	if e.root == "" {
		return nil
	}
	dirs, _ := filepath.Glob(filepath.Join(e.root, "*", "content", "blobs")) // the only error is a bad pattern
	return dirs
}

// State is the folder that our private daemon keeps everything in between runs,
// "" for any other. It may be removed while no run uses it.
func (e *Engine) State() string { return e.root }

func (a *ahead) watch(ctx context.Context) {
	tick := time.NewTicker(growingPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.over:
			return
		case <-tick.C:
		}
		for path, fi := range a.list() {
			if old := a.seen[path]; (old == nil || !os.SameFile(old, fi)) && len(a.seen) < growingMost {
				a.seen[path] = fi
				a.start(ctx, path)
			}
		}
	}
}

// list finds what is being written to the daemon's content store
// (containerd's plugins/content/local). Blobs with a name are left out: they are
// pulled, and who knows whether they become part of the image.
func (a *ahead) list() map[string]fs.FileInfo {
	all := map[string]fs.FileInfo{}
	paths, _ := filepath.Glob(filepath.Join(a.root, "*", "content", "ingest", "*", "data"))
	for _, path := range paths {
		ref, err := os.ReadFile(filepath.Join(filepath.Dir(path), "ref"))
		if err != nil || strings.Contains(string(ref), "sha256:") {
			continue
		}
		if fi, err := os.Lstat(path); err == nil && fi.Mode().IsRegular() {
			all[path] = fi
		}
	}
	return all
}

// start opens a file, which may lose its name at any moment, and reads it when
// there is room.
func (a *ahead) start(ctx context.Context, path string) {
	f, err := os.Open(path)
	if err != nil {
		return
	}
	a.wg.Go(func() {
		defer f.Close()
		select {
		case a.slots <- struct{}{}:
			defer func() { <-a.slots }()
			a.read(&growing{ctx: ctx, f: f, path: path, over: a.over})
		case <-a.over: // it comes with the export
		}
	})
}

// growing reads a file that somebody writes to, up to where he ends: then the
// file gets another name, or none.
type growing struct {
	ctx  context.Context
	f    *os.File
	path string
	over <-chan struct{}
	last bool // nobody writes to it any more
}

func (g *growing) Read(p []byte) (int, error) {
	for {
		n, err := g.f.Read(p)
		if n > 0 || err != io.EOF || g.last {
			return n, err
		}
		if g.last = g.ended(); g.last {
			continue // to read what came between
		}
		select {
		case <-g.ctx.Done():
			return 0, g.ctx.Err()
		case <-g.over:
		case <-time.After(growingPause):
		}
	}
}

func (g *growing) ended() bool {
	select {
	case <-g.over:
		return true
	default:
	}
	mine, err := g.f.Stat()
	if err != nil {
		return true
	}
	there, err := os.Lstat(g.path)
	return err != nil || !os.SameFile(mine, there)
}
