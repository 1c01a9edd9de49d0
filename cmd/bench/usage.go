package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// usage is what a command took.
type usage struct {
	Took time.Duration
	CPU  time.Duration // of all cores
	Peak int64         // resident memory, in bytes
	Exit int
}

// measured runs a command by way of this program itself, started anew: on Linux
// the peak memory of a process counts that of its parent, as far as that was
// grown when it started it, and by then this one has written an image.
func (b *bench) measured(ctx context.Context, args ...string) (u usage, stderr []byte, err error) {
	self, err := os.Executable()
	if err != nil {
		return u, nil, err
	}
	var errs bytes.Buffer
	cmd := exec.CommandContext(ctx, self, append([]string{measureFlag}, args...)...)
	cmd.Env, cmd.Stderr = b.environ(), &errs
	out, err := cmd.Output()
	return u, errs.Bytes(), errors.Join(err, json.Unmarshal(out, &u))
}

// measureFlag, as the first argument, makes this program run the others as a
// command and print its usage.
const measureFlag = "-measure"

func measure(args []string) error {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	began := time.Now()
	err := cmd.Run()
	u := usage{Took: time.Since(began)}
	exit, failed := errors.AsType[*exec.ExitError](err)
	if failed {
		u.Exit = exit.ExitCode()
	} else if err != nil {
		return err
	}
	r, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return fmt.Errorf("measuring %s: no usage", args[0])
	}
	u.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	u.Peak = r.Maxrss << 10 // getrusage(2): in kilobytes
	return json.NewEncoder(os.Stdout).Encode(u)
}

// processorTime is what this process has used so far, and those that it has
// started and seen end, on all cores.
func processorTime() (own, children time.Duration) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err == nil {
		own = time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &r); err == nil {
		children = time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	return own, children
}
