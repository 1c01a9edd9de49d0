package image

import (
	"context"
	"io"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/opencontainers/go-digest"
)

// Watch is told of each blob as its first byte arrives. It returns where the
// blob's bytes are to be copied to, and a func that is called once at its end:
// whole is true if the blob arrived from its first byte to its last and its
// digest is right. A blob that did not is nobody's word: read it again from
// the layout.
type Watch func(digest string) (w io.Writer, end func(whole bool))

// Store returns the content store that BuildKit exports into. Every blob that
// is written to it goes through watch on its way.
func (l *Layout) Store(watch Watch) content.Store {
	return watchedStore{l.store, l, watch}
}

type watchedStore struct {
	content.Store
	layout *Layout
	watch  Watch
}

// Info is how BuildKit asks whether a blob has to be sent, once it has begun to.
func (s watchedStore) Info(ctx context.Context, dgst digest.Digest) (content.Info, error) {
	s.layout.taken.ask(ctx, dgst)
	info, err := s.Store.Info(ctx, dgst)
	if err != nil && s.layout.fetch(dgst) {
		return s.Store.Info(ctx, dgst)
	}
	return info, err
}

func (s watchedStore) Writer(ctx context.Context, opts ...content.WriterOpt) (content.Writer, error) {
	var wo content.WriterOpts
	for _, opt := range opts {
		if err := opt(&wo); err != nil {
			return nil, err
		}
	}
	if wo.Desc.Digest != "" {
		s.layout.taken.ask(ctx, wo.Desc.Digest) // if it is there then, BuildKit sends nothing
	}
	var w content.Writer
	err := s.layout.write(func() (err error) {
		w, err = s.Store.Writer(ctx, opts...)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.layout.taken.send(wo.Desc.Digest)
	w = layoutWriter{w, s.layout}
	st, err := w.Status()
	if err != nil {
		_ = w.Close()
		return nil, err
	}
	// A resumed write has bytes that nobody watched, and one without a digest
	// cannot be named: the scan reads those from the layout afterwards.
	if st.Offset != 0 || wo.Desc.Digest == "" {
		return w, nil
	}
	return &watchedWriter{Writer: w, watch: s.watch, digest: wo.Desc.Digest}, nil
}

// layoutWriter makes and moves files only while there is a layout.
type layoutWriter struct {
	content.Writer
	layout *Layout
}

func (w layoutWriter) Commit(ctx context.Context, size int64, expected digest.Digest, opts ...content.Opt) error {
	return w.layout.write(func() error { return w.Writer.Commit(ctx, size, expected, opts...) })
}

// Close writes down when the blob was written last, before it closes.
func (w layoutWriter) Close() error {
	w.layout.open.RLock()
	defer w.layout.open.RUnlock()
	return w.Writer.Close() // without a folder it makes none
}

type watchedWriter struct {
	content.Writer
	watch  Watch
	digest digest.Digest
	copy   io.Writer
	end    func(bool)
	broken bool
}

func (w *watchedWriter) Write(p []byte) (int, error) {
	if w.end == nil && !w.broken {
		w.copy, w.end = w.watch(w.digest.String())
	}
	n, err := w.Writer.Write(p)
	if err != nil {
		w.finish(false)
		return n, err
	}
	if w.end != nil {
		if _, err := w.copy.Write(p[:n]); err != nil {
			w.finish(false) // the layout has the bytes, so the build goes on and the scan reads them there
		}
	}
	return n, nil
}

// Truncate starts the blob again, so what was watched is void.
func (w *watchedWriter) Truncate(size int64) error {
	w.finish(false)
	return w.Writer.Truncate(size)
}

func (w *watchedWriter) Commit(ctx context.Context, size int64, expected digest.Digest, opts ...content.Opt) error {
	err := w.Writer.Commit(ctx, size, expected, opts...)
	w.finish(err == nil && (expected == "" || expected == w.digest) && w.Writer.Digest() == w.digest)
	return err
}

func (w *watchedWriter) Close() error {
	w.finish(false)
	return w.Writer.Close()
}

// finish ends the watching, once.
func (w *watchedWriter) finish(whole bool) {
	if w.end != nil {
		w.end(whole)
	}
	w.copy, w.end, w.broken = nil, nil, true
}
