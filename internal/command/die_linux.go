package command

import "syscall"

// dieWithUs lets the kernel tell the command to end when we are gone.
func dieWithUs(attr *syscall.SysProcAttr) *syscall.SysProcAttr {
	attr.Pdeathsig = syscall.SIGTERM
	return attr
}
