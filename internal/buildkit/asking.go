package buildkit

import (
	"context"
	"io"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	askFrom   = 4 << 20 // bytes of a blob that is asked for
	askAtOnce = 2       // blobs that are read side by side
)

// asking is the store of an export that reads large blobs from the daemon's own
// content store when BuildKit is about to send them, and so need not be sent.
//
// What is sent comes through the session, a connection within a connection, in
// messages of 32 KiB that each wait for an answer. What is read comes in one
// stream.
type asking struct {
	content.Store
	from  reading
	slots chan struct{}
}

// A reading takes blobs from a daemon's content store.
type reading struct {
	open func(context.Context, digest.Digest) io.Reader // until the context ends
	take func(context.Context, ocispecs.Descriptor, io.Reader) error
}

// read takes one blob. If that fails, BuildKit sends it.
func (r reading) read(ctx context.Context, desc ocispecs.Descriptor) {
	ctx, cancel := context.WithCancel(ctx) // ends a stream that was not read to its end
	defer cancel()
	_ = r.take(ctx, desc, r.open(ctx, desc.Digest))
}

// asks makes the store of r ask this engine, if the request says where to put
// what comes, and if it does not lie in a folder that is lent (see Blobs).
func (e *Engine) asks(r Request) content.Store {
	if r.Take == nil || e.root != "" {
		return r.Store
	}
	return asking{r.Store, reading{e.blob, r.Take}, make(chan struct{}, askAtOnce)}
}

// Writer is how BuildKit begins to send a blob. If the blob is there already,
// the answer of the store below says so, and BuildKit goes on to the next.
func (s asking) Writer(ctx context.Context, opts ...content.WriterOpt) (content.Writer, error) {
	var wo content.WriterOpts
	for _, opt := range opts {
		if err := opt(&wo); err != nil {
			return nil, err
		}
	}
	if wo.Desc.Size >= askFrom && wo.Desc.Digest != "" {
		select {
		case s.slots <- struct{}{}:
			s.from.read(ctx, wo.Desc)
			<-s.slots
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return s.Store.Writer(ctx, opts...)
}

// blob reads one from the daemon's content store.
func (e *Engine) blob(ctx context.Context, d digest.Digest) io.Reader {
	return &download{ctx: ctx, from: e.client.ContentClient(), digest: d}
}

// A download is one blob in one stream. It is asked for with the first Read.
type download struct {
	ctx    context.Context
	from   contentapi.ContentClient
	digest digest.Digest

	stream contentapi.Content_ReadClient
	left   []byte
}

func (d *download) Read(p []byte) (n int, err error) {
	if d.stream == nil {
		if d.stream, err = d.from.Read(d.ctx, &contentapi.ReadContentRequest{Digest: d.digest.String()}); err != nil {
			return 0, err
		}
	}
	for len(d.left) == 0 {
		m, err := d.stream.Recv()
		if err != nil {
			return 0, err
		}
		d.left = m.Data
	}
	n = copy(p, d.left)
	d.left = d.left[n:]
	return n, nil
}
