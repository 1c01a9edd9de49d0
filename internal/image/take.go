package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// takeBuffer is how much of a blob is asked for at once, in bytes.
const takeBuffer = 1 << 20

// taken are the blobs that came before BuildKit asked for them.
type taken struct {
	mu    sync.Mutex
	blobs map[digest.Digest]chan struct{} // closed when the blob is there, or is not going to be
	asked map[digest.Digest]bool          // by BuildKit
	sent  map[digest.Digest]bool          // by BuildKit, or it has begun to

	trails trails
}

// Take returns a func that puts a blob into the layout before BuildKit sends it,
// which then need not do so. It goes through watch like the others, but at the
// watcher's pace: it may be there before all of it was seen, and SetRoot waits for
// that. If BuildKit never asks for it, it is not the image's, and SetRoot drops it.
func (l *Layout) Take(watch Watch) func(context.Context, ocispecs.Descriptor, io.Reader) error {
	return func(ctx context.Context, desc ocispecs.Descriptor, r io.Reader) error {
		if err := desc.Digest.Validate(); err != nil { // a path, say, which drop would remove
			return fmt.Errorf("taking the blob %q: %w", desc.Digest, err)
		}
		done := l.taken.begin(desc.Digest)
		if done == nil {
			return nil // it is on its way
		}
		defer close(done)
		if l.fetch(desc.Digest) {
			return nil
		}
		if err := l.take(ctx, desc, r, watch); err != nil {
			return fmt.Errorf("taking the blob %s: %w", desc.Digest, err)
		}
		return nil
	}
}

// take writes a blob as the content store would, but without waiting for the
// disk: a layout that a power cut loses was of no use to anybody.
func (l *Layout) take(ctx context.Context, desc ocispecs.Descriptor, r io.Reader, watch Watch) (err error) {
	var f *os.File
	if err := l.write(func() (err error) {
		f, err = os.CreateTemp(l.dir, "taken-")
		return err
	}); err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	behind := newTrail(f.Name(), l.path(desc.Digest))
	defer func() { behind.end(err) }()
	l.taken.trails.follow(desc.Digest.String(), behind, watch)
	seen := desc.Digest.Verifier()
	for buf, size := make([]byte, takeBuffer), int64(0); ; {
		n, rerr := r.Read(buf)
		if _, err := io.MultiWriter(f, seen).Write(buf[:n]); err != nil {
			return err
		}
		behind.grow(n)
		size += int64(n)
		switch {
		case rerr == io.EOF && size == desc.Size && seen.Verified():
			return errors.Join(f.Chmod(0o400), l.write(func() error { return l.place(f.Name(), desc.Digest) }))
		case rerr == io.EOF:
			return errors.New("other bytes came than its digest says")
		case rerr != nil:
			return rerr
		case size > desc.Size:
			return errors.New("more bytes came than it has")
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// place makes a file the blob d.
func (l *Layout) place(file string, d digest.Digest) error {
	if err := os.MkdirAll(filepath.Dir(l.path(d)), 0o700); err != nil {
		return err
	}
	return os.Rename(file, l.path(d))
}

// lossy is a writer whose errors do not matter: the layout has the bytes, and the
// scan reads them there.
type lossy struct{ io.Writer }

func (w lossy) Write(p []byte) (int, error) {
	_, _ = w.Writer.Write(p)
	return len(p), nil
}

// begin says that a blob is being taken; nil if somebody else brings it.
func (t *taken) begin(d digest.Digest) (done chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.blobs[d] != nil || t.sent[d] {
		return nil
	}
	if t.blobs == nil {
		t.blobs = map[digest.Digest]chan struct{}{}
	}
	done = make(chan struct{})
	t.blobs[d] = done
	return done
}

// ask says that BuildKit is about to bring a blob, and waits if it is being
// taken.
func (t *taken) ask(ctx context.Context, d digest.Digest) {
	t.mu.Lock()
	if t.asked == nil {
		t.asked = map[digest.Digest]bool{}
	}
	t.asked[d] = true
	done := t.blobs[d]
	t.mu.Unlock()
	if done == nil {
		return
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// send says that BuildKit begins to send a blob itself.
func (t *taken) send(d digest.Digest) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sent == nil {
		t.sent = map[digest.Digest]bool{}
	}
	t.sent[d] = true
}

// wanted says whether BuildKit has asked for a blob.
func (t *taken) wanted(d string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.asked[digest.Digest(d)]
}

// drop removes what was taken and never asked for, and waits until what was asked
// for is seen by its watchers.
func (l *Layout) drop(ctx context.Context) error {
	l.taken.trails.drop(ctx, l.taken.wanted)
	l.taken.mu.Lock()
	defer l.taken.mu.Unlock()
	var errs []error
	for d := range l.taken.blobs {
		if !l.taken.asked[d] {
			if err := os.Remove(l.path(d)); err != nil && !errors.Is(err, fs.ErrNotExist) { // it may not have come whole
				errs = append(errs, fmt.Errorf("removing another image's blob: %w", err))
			}
		}
	}
	return errors.Join(errs...)
}
