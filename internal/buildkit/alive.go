package buildkit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/org/secure-build/internal/hint"
)

// A pulse says how a daemon is watched while it works. A connection alone does
// not tell: one to a daemon that was stopped, or to a machine that has gone,
// stays open for hours.
type pulse struct {
	every  time.Duration // between two questions
	within time.Duration // for an answer
	most   time.Duration // without any, before the daemon is given up
}

// usualPulse gives a daemon up after 30 s. A machine under load does not trip
// it: an answer costs the daemon next to nothing, and three questions in a row,
// 10 s each, have to be without one.
var usualPulse = pulse{every: 5 * time.Second, within: 10 * time.Second, most: 30 * time.Second}

// missedMost is how many questions in a row have to be without an answer. (When
// our own process was stopped for a while, the first one is.)
const missedMost = 3

// closePatience is how long a call may go on after it was cancelled, before the
// connection is closed under it. BuildKit's client waits 5 s for last words.
const closePatience = 10 * time.Second

// errHangs says that a daemon has stopped answering.
var errHangs = errors.New("it does not answer any more")

// alive runs a call to the daemon, and ends it with an error when the daemon
// stops answering. A daemon that dies ends the call by itself.
func (e *Engine) alive(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := make(chan error, 1)
	go func() { ended <- call(ctx) }()
	gone := e.watch(ctx)
	for {
		select {
		case err := <-ended:
			if cause := context.Cause(ctx); err != nil && errors.Is(cause, errHangs) {
				return cause
			}
			return err
		case err := <-gone:
			cancel(err)
			gone = nil
			if e.kill != nil {
				go e.kill() // asking it to end is in vain
			}
			defer time.AfterFunc(closePatience, func() { _ = e.client.Close() }).Stop()
		}
	}
}

// watch asks the daemon for its version, again and again, and tells once if it
// gets no answer.
func (e *Engine) watch(ctx context.Context) <-chan error {
	p := e.pulse
	if p == (pulse{}) {
		p = usualPulse
	}
	gone := make(chan error, 1)
	go func() {
		answered, missed := time.Now(), 0
		for wait := p.every; ; {
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
			}
			began := time.Now()
			asking, cancel := context.WithTimeout(ctx, p.within)
			_, err := e.client.Info(asking)
			cancel()
			if err == nil {
				answered, missed, wait = time.Now(), 0, p.every
				continue
			}
			// The next one at once, unless this one was refused.
			missed, wait = missed+1, max(0, p.within-time.Since(began))
			if silent := time.Since(answered); missed >= missedMost && silent >= p.most && ctx.Err() == nil {
				gone <- hint.Wrap(fmt.Errorf("waiting for %s: %w, for %v now", e, errHangs, silent.Round(time.Second)),
					"was it stopped, or is its machine out of memory, or out of reach? nothing was pushed; what there was of the secrets here is erased")
				return
			}
		}
	}()
	return gone
}
