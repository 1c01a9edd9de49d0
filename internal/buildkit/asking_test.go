package buildkit

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	contentlocal "github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// sends notes what BuildKit sends to a store, which is what it gets a writer for.
type sends struct {
	content.Store
	mu  sync.Mutex
	all []ocispecs.Descriptor
}

func (s *sends) Writer(ctx context.Context, opts ...content.WriterOpt) (content.Writer, error) {
	var wo content.WriterOpts
	for _, opt := range opts {
		if err := opt(&wo); err != nil {
			return nil, err
		}
	}
	w, err := s.Store.Writer(ctx, opts...)
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all = append(s.all, wo.Desc)
	}
	return w, err
}

func (s *sends) most() (size int64) {
	for _, desc := range s.all {
		size = max(size, desc.Size)
	}
	return size
}

// TestAskingABuild: a large layer of a real daemon is read, and what is small is
// sent. Where reading fails, BuildKit sends that too.
func TestAskingABuild(t *testing.T) {
	e := private(t, t.TempDir())
	defer e.Close()
	e.root = "" // as if it was somewhere else
	dir := buildContext(t, shell+"RUN head -c 20000000 /dev/urandom > /a\n")
	for name, fails := range map[string]bool{"read": false, "not to be read": true} {
		t.Run(name, func(t *testing.T) {
			local, err := contentlocal.NewStore(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			sent := &sends{Store: local}
			res, err := e.Solve(t.Context(), Request{
				Context: dir, Store: sent, Take: func(ctx context.Context, desc ocispecs.Descriptor, r io.Reader) error {
					if fails {
						return errors.New("the disk is full")
					}
					return content.WriteBlob(ctx, local, "taken", r, desc)
				},
			}, output(io.Discard))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := local.Info(t.Context(), digest.Digest(lastLayers(t, local, res)[1])); err != nil {
				t.Error(err)
			}
			if got := sent.most() >= askFrom; got != fails {
				t.Errorf("a large layer was sent: %v, want %v", got, fails)
			}
			if len(sent.all) < 2 { // the config and the manifest
				t.Errorf("%d blobs were sent", len(sent.all))
			}
		})
	}
}

// TestAskingBounds: only so many blobs are read at one time, and a build that has
// ended waits for none.
func TestAskingBounds(t *testing.T) {
	local, err := contentlocal.NewStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	begun, release := make(chan struct{}), make(chan struct{})
	s := asking{local, reading{func(context.Context, digest.Digest) io.Reader { return iotest.ErrReader(io.EOF) }, func(context.Context, ocispecs.Descriptor, io.Reader) error {
		begun <- struct{}{}
		<-release
		return nil
	}}, make(chan struct{}, askAtOnce)}
	ctx, cancel := context.WithCancel(t.Context())
	write := func(size int64, name string) error {
		w, err := s.Writer(ctx, content.WithRef(name), content.WithDescriptor(ocispecs.Descriptor{Digest: digest.FromString(name), Size: size}))
		if err != nil {
			return err
		}
		return w.Close()
	}
	if err := write(askFrom-1, "small"); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	for _, name := range strings.Fields("a b c")[:askAtOnce+1] {
		go func() { ended <- write(askFrom, name) }()
	}
	for range askAtOnce {
		<-begun
	}
	select {
	case <-begun:
		t.Fatal("more are read at one time")
	case <-time.After(50 * time.Millisecond):
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(release)
	for range askAtOnce {
		<-ended
	}
}

// TestAskingInTurn: a place is free again after each, and a stream that was not
// read to its end is not left open.
func TestAskingInTurn(t *testing.T) {
	local, err := contentlocal.NewStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var streams []context.Context
	s := asking{local, reading{func(ctx context.Context, _ digest.Digest) io.Reader {
		streams = append(streams, ctx)
		return strings.NewReader("the beginning of a blob")
	}, func(_ context.Context, _ ocispecs.Descriptor, r io.Reader) error {
		_, _ = r.Read(make([]byte, 1))
		return errors.New("the disk is full")
	}}, make(chan struct{}, askAtOnce)}
	for i := range askAtOnce + 1 {
		name := strings.Repeat("x", i+1)
		ended := make(chan error)
		go func() {
			w, err := s.Writer(t.Context(), content.WithRef(name), content.WithDescriptor(ocispecs.Descriptor{Digest: digest.FromString(name), Size: askFrom}))
			if err == nil {
				err = w.Close()
			}
			ended <- err
		}()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("it waits for a place that nobody has")
		}
		if len(streams) != i+1 || streams[i].Err() == nil {
			t.Fatal("the stream is open although nobody reads it")
		}
	}
}

// TestAskingWhoLends: a daemon whose folders we can see need not be asked.
func TestAskingWhoLends(t *testing.T) {
	local, err := contentlocal.NewStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	take := func(context.Context, ocispecs.Descriptor, io.Reader) error { return nil }
	if got := (&Engine{root: "/somewhere"}).asks(Request{Store: local, Take: take}); got != content.Store(local) {
		t.Errorf("got %T, want the store itself", got)
	}
	if got := (&Engine{}).asks(Request{Store: local}); got != content.Store(local) {
		t.Errorf("got %T, want the store itself", got)
	}
}
