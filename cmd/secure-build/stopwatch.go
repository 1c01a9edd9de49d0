package main

import "time"

// stopwatch keeps the time of each stage, in the order in which they began.
type stopwatch struct{ laps []lap }

type lap struct {
	name   string
	within string // the stage that it was a part of, "" for a stage
	took   time.Duration
}

func (w *stopwatch) start(name string) (stop func()) {
	began, i := time.Now(), len(w.laps)
	w.laps = append(w.laps, lap{name: name})
	return func() { w.laps[i].took = time.Since(began) }
}

// part is something within a stage whose time is known from elsewhere.
func (w *stopwatch) part(name, stage string, took time.Duration) {
	w.laps = append(w.laps, lap{name, stage, took})
}
