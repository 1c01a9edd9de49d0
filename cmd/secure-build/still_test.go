package main

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"
)

// TestStill: what goes on for long is told, what ends soon is not, and nothing is
// said afterwards.
func TestStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		a := &app{stderr: &said}
		stop := a.still(stillEvery, func() string { return "pushing" })
		time.Sleep(stillEvery - time.Second)
		stop()
		if said.Len() > 0 {
			t.Errorf("said %q", said.String())
		}
		stop = a.still(stillEvery, func() string { return scanned(1_250_000_000) })
		time.Sleep(2*stillEvery + time.Second)
		stop()
		time.Sleep(5 * stillEvery)
		want := "secure-build: scanning: 1.2 GB of packed layers read (10 s)\nsecure-build: scanning: 1.2 GB of packed layers read (20 s)\n"
		if got := said.String(); got != want {
			t.Errorf("said %q, want %q", got, want)
		}
	})
}
