//go:build unix

package command

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/creack/pty"
)

// resize keeps the command's terminal as large as ours until stop is called.
func resize(from, to *os.File) (stop func()) {
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-changed:
				_ = pty.InheritSize(from, to)
			case <-done:
				return
			}
		}
	}()
	return func() { signal.Stop(changed); close(done) }
}
