//go:build unix && !linux

package command

import "syscall"

// dieWithUs does nothing: only Linux has a signal for it.
func dieWithUs(attr *syscall.SysProcAttr) *syscall.SysProcAttr { return attr }
