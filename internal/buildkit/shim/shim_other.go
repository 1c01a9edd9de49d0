//go:build !linux

package shim

import "errors"

func run([]string) error { return errors.New("a private buildkitd runs on Linux only") }
