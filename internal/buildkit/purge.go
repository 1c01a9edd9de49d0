package buildkit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/moby/buildkit/client"
)

// A trace is what tells which of a daemon's cache records are of one build.
// BuildKit does not say it itself; a record has the name of the file step, or
// the command of the RUN, that made it.
type trace struct {
	began  time.Time
	before map[string]time.Time // when the records that were there had last been used; nil on a daemon of ours
	shared bool                 // by several builds of one run, which a time does not tell apart

	mu    sync.Mutex
	names map[string]bool // of steps, and "from exec COMMAND"
}

// begin notes what a daemon that others use too has in its cache already.
func (e *Engine) begin(ctx context.Context) (*trace, error) {
	t := &trace{began: time.Now(), shared: e.shared, names: map[string]bool{}}
	if e.stop != nil { // ours alone
		return t, nil
	}
	var records []*client.UsageInfo
	err := e.alive(ctx, func(ctx context.Context) (err error) {
		records, err = e.client.DiskUsage(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("asking for the daemon's cache: %w", err)
	}
	t.before = map[string]time.Time{}
	for _, r := range records {
		t.before[r.ID] = lastUse(r)
	}
	return t, nil
}

func (t *trace) note(name string) {
	if t == nil { // nobody has built
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.names[name] = true
}

// of says whether a record is of this build. A private daemon has one run at a
// time: what is new there is of this build, and so is what an earlier one has
// left of the same steps. On any other, it has to be new and of the same steps,
// since another build may run there at this moment.
func (t *trace) of(r *client.UsageInfo) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, known := t.before[r.ID]
	if r.RecordType == client.UsageRecordTypeLocalSource {
		// The context as it was sent, which a later build of it brings up to date. If
		// it was another build's, that one sends its own again.
		if t.before == nil {
			return lastUse(r).After(t.began)
		}
		return !known || lastUse(r).After(t.before[r.ID])
	}
	_, exec, isExec := strings.Cut(r.Description, " from exec ")
	same := t.names[r.Description] || isExec && t.names["from exec "+exec]
	if t.before == nil {
		return same || !t.shared && r.CreatedAt.After(t.began)
	}
	return same && !known
}

// another says whether a record may be another build's, which uses it.
func (t *trace) another(r *client.UsageInfo) bool {
	return t.before != nil && r.RecordType == client.UsageRecordTypeLocalSource
}

// lastUse is when a record was last used or made, by the daemon's clock.
func lastUse(r *client.UsageInfo) time.Time {
	if r.LastUsedAt != nil {
		return *r.LastUsedAt
	}
	return r.CreatedAt
}

// purgePatience is how long a purge waits for records that are in use. The
// daemon lets go of those of a build a moment after its end.
const purgePatience = 5 * time.Second

// contextPatience is the same for a context that may be another build's by now.
const contextPatience = time.Second

// Purge removes what the daemon has kept of the last build, so that a layer
// with a secret in it neither lies there nor comes back from the cache. The
// build's history was never kept (Internal). What was there before this build and
// what other builds stand on stays. removed counts records.
func (e *Engine) Purge(ctx context.Context) (removed int, err error) {
	for _, one := range append([]*Engine{e}, e.others...) {
		n := 0
		perr := one.alive(ctx, func(ctx context.Context) (err error) {
			n, err = one.purge(ctx)
			return err
		})
		removed, err = removed+n, errors.Join(err, perr)
	}
	return removed, err
}

func (e *Engine) purge(ctx context.Context) (removed int, err error) {
	if e.trace == nil {
		return 0, nil
	}
	began := time.Now()
	for {
		records, err := e.client.DiskUsage(ctx)
		if err != nil {
			return removed, fmt.Errorf("removing this build from the daemon's cache: %w", err)
		}
		var left []string
		fresh, inUse := 0, false
		for _, r := range records {
			waits := time.Since(began) < contextPatience || !e.trace.another(r)
			if e.trace.of(r) && (waits || !r.InUse) {
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
			return removed, fmt.Errorf("removing this build from the daemon's cache: records that are in use or needed by others: %d", fresh)
		case len(left) == 0, late:
			return removed, nil
		}
		n, err := e.prune(ctx, left)
		if removed += n; err != nil {
			return removed, fmt.Errorf("removing this build from the daemon's cache: %w", err)
		}
		switch {
		case n > 0:
			continue // the next listing may be the last
		case fresh == 0 && !inUse:
			return removed, nil // steps that were there before, which another build's stand on
		}
		select {
		case <-ctx.Done():
			return removed, ctx.Err()
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
