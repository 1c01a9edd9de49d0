//go:build !linux

package buildkit

import (
	"context"
	"errors"
	"syscall"
	"time"
)

var errLinux = errors.New("a private buildkitd runs on Linux only")

func (d *daemon) start([]string) (func(time.Duration) bool, <-chan error, error) {
	return nil, nil, errLinux
}

func privileged() bool { return true }

func (d *daemon) advice() string { return "set BUILDKIT_HOST" }

func lock(context.Context, string, func()) (func() error, error) { return nil, errLinux }

func ownSession() *syscall.SysProcAttr { return nil }

func inThread(f func()) { f() }
