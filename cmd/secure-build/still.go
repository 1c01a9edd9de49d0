package main

import (
	"fmt"
	"sync"
	"time"
)

// stillEvery is how long something may go on without a word.
const stillEvery = 10 * time.Second

// still says every so often what goes on, until stop is called. Nothing is said
// of what ends before. BuildKit's own progress covers a build; this is for what
// comes after.
func (a *app) still(every time.Duration, what func() string) (stop func()) {
	over, began := make(chan struct{}), time.Now()
	var ended sync.WaitGroup
	ended.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-over:
				return
			case <-tick.C:
				fmt.Fprintf(a.stderr, "secure-build: %s%s (%.0f s)\n", a.about(), what(), time.Since(began).Seconds())
			}
		}
	})
	return func() { close(over); ended.Wait() }
}

// stillTelling is still for a build, whose progress may be wanted by nobody, or in
// a form of its own.
func (b *build) stillTelling(what func() string) (stop func()) {
	if b.progress == "quiet" || b.progress == "rawjson" {
		return func() {}
	}
	return b.still(stillEvery, what)
}

// scanned is what a scan has done so far.
func scanned(bytes int64) string {
	return fmt.Sprintf("scanning: %.1f GB of packed layers read", float64(bytes)/1e9)
}
