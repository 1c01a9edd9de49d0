package image

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
)

// trailsAtOnce is how many blobs that were taken are watched side by side. A scan
// has buffers of its own, and there are seldom more idle cores.
const trailsAtOnce = 2

// errDropped is what the watcher of a blob that nobody wants reads.
var errDropped = errors.New("the blob is not the image's")

// A trail follows a blob in its file while it is written, at the pace of who reads
// it. What writes it never waits: the daemon that sends a layer could do nothing
// else meanwhile, and the scan would starve whenever it sends slower.
type trail struct {
	names []string // of the file: while it is written, and then
	f     *os.File // nil until it is read

	mu   sync.Mutex
	more *sync.Cond
	size int64 // bytes that were written
	read int64
	over bool // nothing more is written
	err  error
}

// newTrail follows the file that has one of these names.
func newTrail(names ...string) *trail {
	t := &trail{names: names}
	t.more = sync.NewCond(&t.mu)
	return t
}

// open opens the file, which may get its second name meanwhile.
func (t *trail) open() (err error) {
	for _, name := range t.names {
		if t.f, err = os.Open(name); err == nil {
			return nil
		}
	}
	return err
}

// grow says that n more bytes are in the file.
func (t *trail) grow(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.size += int64(n)
	t.more.Signal()
}

// end says that nothing more comes, and that what came counts for nothing if err
// is not nil. The first error counts.
func (t *trail) end(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		t.over, t.err = true, err
	}
	t.more.Signal()
}

// failed is the error that the trail was ended with.
func (t *trail) failed() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

func (t *trail) Read(p []byte) (int, error) {
	t.mu.Lock()
	for t.read == t.size && !t.over {
		t.more.Wait()
	}
	left, err := t.size-t.read, t.err
	t.mu.Unlock()
	switch {
	case err != nil:
		return 0, err
	case left == 0:
		return 0, io.EOF
	}
	n, err := t.f.Read(p[:min(int64(len(p)), left)])
	t.read += int64(n) // only here
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// trails are those of one layout.
type trails struct {
	wg    sync.WaitGroup
	slots chan struct{}

	mu   sync.Mutex
	all  map[string]*trail // by digest
	over bool              // no more are followed
}

// follow lets watch see what comes of the blob d, as soon as there is room.
func (ts *trails) follow(d string, t *trail, watch Watch) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.over {
		return
	}
	if ts.all == nil {
		ts.all, ts.slots = map[string]*trail{}, make(chan struct{}, trailsAtOnce)
	}
	ts.all[d] = t
	ts.wg.Go(func() {
		ts.slots <- struct{}{}
		defer func() { <-ts.slots }()
		if t.failed() != nil || t.open() != nil {
			return // nobody's word: the scan reads it from the layout, if it is there
		}
		defer t.f.Close()
		to, end := watch(d)
		_, err := io.CopyBuffer(lossy{to}, t, make([]byte, trailBuffer))
		end(err == nil)
	})
}

// trailBuffer is how much of a blob is read at once, in bytes.
const trailBuffer = 64 << 10

// drop ends the trails that are not wanted, and waits for the others, which ctx
// ends too. There are no more after it.
func (ts *trails) drop(ctx context.Context, wanted func(d string) bool) {
	end := func(err error, kept func(d string) bool) {
		ts.mu.Lock()
		defer ts.mu.Unlock()
		ts.over = true
		for d, t := range ts.all {
			if !kept(d) {
				t.end(err)
			}
		}
	}
	end(errDropped, wanted)
	stop := context.AfterFunc(ctx, func() { end(ctx.Err(), func(string) bool { return false }) })
	defer stop()
	ts.wg.Wait()
}
