package buildkit

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/pkg/labels"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	followPoll   = 100 * time.Millisecond // at least, between two lists of the daemon's layers
	followShare  = 20                     // a list takes at most one part in this of the time
	followAtOnce = 2                      // layers that are read side by side
	followBytes  = 4 << 30                // of one build; the others come with the export
)

// follow reads the layers that appear in a daemon's content store, which it
// serves to be read at the address where it takes builds.
//
// The daemon may serve others too. Of their layers only those are read that are
// packed while our build runs; which are ours, the export tells.
func follow(ctx context.Context, store content.Manager, from reading) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	f := &follower{store: store, from: from, seen: map[digest.Digest]bool{}, slots: make(chan struct{}, followAtOnce)}
	f.wg.Go(func() { f.watch(ctx) })
	return func() { cancel(); f.wg.Wait() } // the export has waited for those that it wants
}

type follower struct {
	store content.Manager
	from  reading

	seen  map[digest.Digest]bool
	bytes int64 // given out
	slots chan struct{}
	wg    sync.WaitGroup
}

// watch lists the layers again and again, until the daemon cannot or ctx ends.
func (f *follower) watch(ctx context.Context) {
	for first := true; ; first = false {
		began := time.Now()
		fresh, err := f.list(ctx)
		if err != nil {
			return // no such service, for one: the export brings everything
		}
		for _, desc := range fresh {
			if desc.Size >= 0 && desc.Size <= followBytes-f.bytes && !first {
				f.bytes += desc.Size
				f.wg.Go(func() { f.read(ctx, desc) })
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(followPoll, followShare*time.Since(began))):
		}
	}
}

// list returns the layers that were not there before. What was packed here has
// the digest of its content as a label, and what was pulled has the name of its
// registry too.
func (f *follower) list(ctx context.Context) (fresh []ocispecs.Descriptor, err error) {
	err = f.store.Walk(ctx, func(info content.Info) error {
		if f.seen[info.Digest] {
			return nil
		}
		f.seen[info.Digest] = true
		for name := range info.Labels {
			if strings.HasPrefix(name, labels.LabelDistributionSource+".") {
				return nil
			}
		}
		fresh = append(fresh, ocispecs.Descriptor{Digest: info.Digest, Size: info.Size})
		return nil
	}, `labels."`+labels.LabelUncompressed+`"`)
	return fresh, err
}

// read gives one layer out. If that fails, it comes with the export.
func (f *follower) read(ctx context.Context, desc ocispecs.Descriptor) {
	select {
	case f.slots <- struct{}{}:
		defer func() { <-f.slots }()
	case <-ctx.Done():
		return
	}
	f.from.read(ctx, desc)
}
