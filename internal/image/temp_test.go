package image

import (
	"sync"
	"testing"
)

// TestTempTogether: runs that begin and end at the same time leave one another
// alone. Between the making of a lock's file and the lock, a run looks like one
// that was killed.
func TestTempTogether(t *testing.T) {
	dir := t.TempDir()
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 50 {
				l, err := Temp(dir)
				if err != nil {
					t.Error(err)
					return
				}
				if err := l.Remove(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wait.Wait()
}
