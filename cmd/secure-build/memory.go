package main

import (
	"os"
	"runtime/debug"
)

// How much memory Go may have before it frees what it can at once, in bytes. It is
// a wish, not a bound. Beside it are some 50 MiB of the program itself.
const (
	maxWalking  = 64 << 20 // a context of 100,000 files takes some 40
	maxScanning = 76 << 20 // one xz window is 64 MiB, and half of that again would be slack too
)

// lean is for a scan, whose memory is buffers and decoders that live for its
// whole time. At a quarter of Go's usual slack it stays below 96 MiB for images of
// any size, and a whole run below 128 (make bench).
func lean() { slack(25, maxScanning) }

// generous is for what comes before the first byte is scanned: walking and
// sending a build context makes a lot of what is soon garbage, and that is most
// of a run in which nothing has changed. The bound decides, with anything but a
// small context.
func generous() { slack(400, maxWalking) }

func slack(percent int, most int64) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(most)
	}
}
