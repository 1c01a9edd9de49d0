package scan

import (
	"errors"
	"io"
	"sync/atomic"
)

// A feed carries a blob's bytes from whoever receives it to the goroutine that
// scans it. Its memory is feedPieces × feedPiece bytes: when they are full the
// writer waits, so a slow scan slows the export instead of growing.
const (
	feedPiece  = 64 << 10
	feedPieces = 8
)

var (
	errFeedClosed = errors.New("writing to a blob that was closed")
	errAbandoned  = errors.New("the rest of the blob does not come")
)

type feed struct {
	full chan []byte   // pieces to scan; closed at the end of the blob
	free chan []byte   // pieces to fill
	done chan struct{} // closed when the scan has ended

	gone atomic.Bool // nobody wants to know any more

	filling []byte // the writer's
	closed  bool   // the writer's
	piece   []byte // the reader's
	left    []byte // the reader's: what of piece was not read yet
}

// newFeed starts scan on the other end of the feed. Whatever scan leaves
// unread is drained, so that Write never blocks for ever.
func newFeed(scan func(io.Reader)) *feed {
	f := &feed{
		full: make(chan []byte, feedPieces),
		free: make(chan []byte, feedPieces),
		done: make(chan struct{}),
	}
	for range feedPieces {
		f.free <- nil // allocated when it is first needed: most blobs are small
	}
	go func() {
		defer close(f.done)
		scan(feedReader{f})
		for range f.full { // the channels have room for every piece, so dropping them is safe …
			f.free <- nil // … but the writer waits for this one
		}
	}()
	return f
}

// Write copies p, so the caller may use it again at once.
func (f *feed) Write(p []byte) (int, error) {
	if f.closed {
		return 0, errFeedClosed
	}
	for rest := p; len(rest) > 0; {
		if f.filling == nil {
			if f.filling = (<-f.free)[:0]; f.filling == nil {
				f.filling = make([]byte, 0, feedPiece)
			}
		}
		n := min(len(rest), feedPiece-len(f.filling))
		f.filling = append(f.filling, rest[:n]...)
		rest = rest[n:]
		if len(f.filling) == feedPiece {
			f.full <- f.filling
			f.filling = nil
		}
	}
	return len(p), nil
}

// Close says that the blob is complete and waits until it is scanned.
func (f *feed) Close() error {
	if !f.closed {
		f.closed = true
		if len(f.filling) > 0 {
			f.full <- f.filling
			f.filling = nil
		}
		close(f.full)
	}
	<-f.done
	return nil
}

// Abandon ends the scan at once, with what it has: a few bytes that are fed may
// unpack to gigabytes.
func (f *feed) Abandon() error {
	f.gone.Store(true)
	return f.Close()
}

type feedReader struct{ f *feed }

func (r feedReader) stopped() error {
	if r.f.gone.Load() {
		return errAbandoned
	}
	return nil
}

func (r feedReader) Read(p []byte) (int, error) {
	f := r.f
	if err := r.stopped(); err != nil {
		return 0, err
	}
	for len(f.left) == 0 {
		if f.piece != nil {
			f.free <- f.piece
			f.piece = nil
		}
		piece, ok := <-f.full
		if !ok {
			return 0, io.EOF
		}
		f.piece, f.left = piece, piece
	}
	n := copy(p, f.left)
	f.left = f.left[n:]
	return n, nil
}
