package image

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestTrailsKeepFewFiles: blobs that wait for their turn need none, and nothing is
// open afterwards.
func TestTrailsKeepFewFiles(t *testing.T) {
	l, seen := create(t), newSlow()
	before := openFiles(t)
	for i := range 50 {
		blob := fmt.Sprintf("layer %d", i)
		if err := l.Take(seen.watch)(t.Context(), describe([]byte(blob)), strings.NewReader(blob)); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Store(seen.watch).Info(t.Context(), describe([]byte(blob)).Digest); err != nil {
			t.Fatal(err)
		}
	}
	for range trailsAtOnce {
		<-seen.begun
	}
	if got := openFiles(t) - before; got > trailsAtOnce {
		t.Errorf("%d files are open, want at most %d", got, trailsAtOnce)
	}
	close(seen.release)
	if err := l.SetRoot(t.Context(), describe([]byte("layer 0"))); err != nil {
		t.Fatal(err)
	}
	if got := openFiles(t) - before; got > 0 {
		t.Errorf("%d files are open in the end", got)
	}
}

// openFiles counts those of this process that are in a layout.
func openFiles(t *testing.T) (n int) {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range all {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.Contains(to, "/layout/") {
			n++
		}
	}
	return n
}
