package buildkit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moby/buildkit/client"
)

// purgePatience is how long a purge waits for records that are in use. The
// daemon lets go of those of a build a moment after its end.
const purgePatience = 5 * time.Second

// contextPatience is the same for a context that may be another build's by now.
const contextPatience = time.Second

// Purge removes what the daemon has kept of the last build, so that a layer
// with a secret in it neither lies there nor comes back from the cache. The
// build's history was never kept (Internal). What this build took from the cache
// goes too, unless other builds stand on it: a layer with a secret in it may be
// from an earlier run, which was killed, or from another client. Both counts are
// of records; stay are those that others stand on.
func (e *Engine) Purge(ctx context.Context) (removed, stay int, err error) {
	for _, one := range append([]*Engine{e}, e.others...) {
		n, others := 0, 0
		perr := one.alive(ctx, func(ctx context.Context) (err error) {
			n, others, err = one.purge(ctx)
			return err
		})
		removed, stay, err = removed+n, stay+others, errors.Join(err, perr)
	}
	return removed, stay, err
}

func (e *Engine) purge(ctx context.Context) (removed, stay int, err error) {
	if e.trace == nil {
		return 0, 0, nil
	}
	began := time.Now()
	for {
		records, err := e.client.DiskUsage(ctx)
		if err != nil {
			return removed, 0, fmt.Errorf("removing this build from the daemon's cache: %w", err)
		}
		var left []string
		fresh, inUse := 0, false
		for _, r := range e.trace.of(records) {
			waits := time.Since(began) < contextPatience || !e.trace.another(r)
			if waits || !r.InUse {
				left = append(left, "id=="+r.ID)
				inUse = inUse || r.InUse
				if r.CreatedAt.After(e.trace.began) && !e.trace.another(r) {
					fresh++
				}
			}
		}
		late := time.Since(began) > purgePatience
		switch {
		case late && fresh > 0:
			return removed, len(left) - fresh, fmt.Errorf("removing this build from the daemon's cache: records that are in use or needed by others: %d", fresh)
		case len(left) == 0, late:
			return removed, len(left), nil
		}
		n, err := e.prune(ctx, left)
		if removed += n; err != nil {
			return removed, 0, fmt.Errorf("removing this build from the daemon's cache: %w", err)
		}
		switch {
		case n > 0:
			continue // the next listing may be the last
		case fresh == 0 && !inUse:
			return removed, len(left), nil // steps that were there before, which another build's stand on
		}
		select {
		case <-ctx.Done():
			return removed, 0, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (e *Engine) prune(ctx context.Context, filter []string) (removed int, err error) {
	gone, counted := make(chan client.UsageInfo), make(chan struct{})
	go func() {
		defer close(counted)
		for range gone {
			removed++
		}
	}()
	err = e.client.Prune(ctx, gone, client.PruneAll, client.WithFilter(filter))
	close(gone)
	<-counted
	return removed, err
}
