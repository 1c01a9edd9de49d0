package buildkit

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb"
	gateway "github.com/moby/buildkit/frontend/gateway/client"
)

// A fence stands between the steps of a build and its export: that begins only
// when we have heard of all steps, of which a daemon tells while it goes on.
//
// It is one more step, which is done when the others are. A daemon tells of its
// steps in the order of what happened (util/progress sorts by time), so who has
// heard of the fence has heard of them.
type fence struct {
	heard chan struct{}
	once  sync.Once
}

const fenceName = "[internal] nothing has run again"

func newFence() *fence { return &fence{heard: make(chan struct{})} }

// saw is told of everything that BuildKit says, after somebody has looked at it.
func (f *fence) saw(s *client.SolveStatus) {
	if f == nil {
		return
	}
	for _, v := range s.Vertexes {
		if v.Name == fenceName && v.Completed != nil {
			f.once.Do(func() { close(f.heard) })
		}
	}
}

// stand makes what was asked for, and returns when all that was done for it was
// heard of, or ctx has ended. A nil fence is none.
func (f *fence) stand(ctx context.Context, c gateway.Client, res *gateway.Result) error {
	if f == nil {
		return nil
	}
	if err := res.EachRef(func(ref gateway.Reference) error { return ref.Evaluate(ctx) }); err != nil {
		return err
	}
	def, err := llb.Scratch().File(llb.Mkdir("/fence", 0o755), llb.WithCustomName(fenceName)).Marshal(ctx)
	if err == nil {
		_, err = c.Solve(ctx, gateway.SolveRequest{Definition: def.ToPB(), Evaluate: true})
	}
	if err != nil {
		return fmt.Errorf("waiting for the steps: %w", err)
	}
	select {
	case <-f.heard:
	case <-ctx.Done():
	case <-time.After(maxSilence):
		return fmt.Errorf("waiting for the steps: BuildKit has said nothing of them for %s", maxSilence)
	}
	return context.Cause(ctx)
}

// maxSilence is how long a daemon may take to tell of what is done.
const maxSilence = time.Minute
