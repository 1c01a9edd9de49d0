package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/containerd/containerd/v2/core/content"
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
}

// Take returns a func that puts a blob into the layout before BuildKit exports
// it, which then need not send it. It goes through watch like the others. If
// BuildKit never asks for it, it is not the image's, and SetRoot drops it.
func (l *Layout) Take(watch Watch) func(context.Context, ocispecs.Descriptor, io.Reader) error {
	store := watchedStore{l.store, l, watch, true}
	return func(ctx context.Context, desc ocispecs.Descriptor, r io.Reader) error {
		done := l.taken.begin(desc.Digest)
		if done == nil {
			return nil // it is on its way
		}
		defer close(done)
		if l.fetch(desc.Digest) {
			return nil
		}
		ref := "taken-" + desc.Digest.String()
		w, err := store.Writer(ctx, content.WithRef(ref), content.WithDescriptor(desc))
		if err != nil {
			return fmt.Errorf("taking the blob %s: %w", desc.Digest, err)
		}
		_, err = io.CopyBuffer(w, r, make([]byte, takeBuffer))
		if err == nil {
			err = w.Commit(ctx, desc.Size, desc.Digest)
		}
		err = errors.Join(err, w.Close())
		if err != nil {
			return errors.Join(fmt.Errorf("taking the blob %s: %w", desc.Digest, err), l.store.Abort(context.WithoutCancel(ctx), ref))
		}
		return nil
	}
}

// begin says that a blob is being taken; nil if somebody else brings it.
func (t *taken) begin(d digest.Digest) (done chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.blobs[d] != nil || t.asked[d] {
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

// drop removes what was taken and never asked for.
func (l *Layout) drop() error {
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
