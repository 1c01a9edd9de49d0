package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// usage is what a command took.
type usage struct {
	Took time.Duration
	CPU  time.Duration // of all cores
	Peak int64         // resident memory of the program, in bytes: not of what else it starts
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
	if err := cmd.Start(); err != nil {
		return err
	}
	ended, peak := make(chan struct{}), make(chan int64)
	go watch(cmd.Process.Pid, args[0], ended, peak)
	err := cmd.Wait()
	u := usage{Took: time.Since(began)}
	close(ended)
	u.Peak = <-peak
	exit, failed := errors.AsType[*exec.ExitError](err)
	if failed {
		u.Exit = exit.ExitCode()
	} else if err != nil {
		return err
	}
	u.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return json.NewEncoder(os.Stdout).Encode(u)
}

// Between two looks at a program's memory, and between two looks for processes
// of it that are new. What a process has had most only grows, so what is missed
// is the last of these. Looking for more costs some 1 ms, since each thread of a
// process lists its own children.
const (
	watchPause  = 5 * time.Millisecond
	searchPause = 100 * time.Millisecond
)

// watch looks at a program's memory until it has ended. (What wait4(2) tells
// would be the daemon's that the program has started, and waited for.)
func watch(pid int, program string, ended <-chan struct{}, peak chan<- int64) {
	var most int64
	var pids []int
	var searched time.Time
	for {
		if time.Since(searched) >= searchPause {
			pids, searched = processes(pid, program, nil), time.Now()
		}
		for _, pid := range pids {
			most = max(most, residentMost(pid))
		}
		select {
		case <-ended:
			peak <- most
			return
		case <-time.After(watchPause):
		}
	}
}

// residentMost is the most that a process has had in memory so far, in bytes. See
// proc_pid_status(5), VmHWM.
func residentMost(pid int) (most int64) {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if _, rest, ok := strings.Cut(string(status), "VmHWM:"); ok {
		_, _ = fmt.Sscan(rest, &most)
	}
	return most << 10
}

// processes adds a process to all, if it is of this program, and those that it
// has started.
func processes(pid int, program string, all []int) []int {
	proc := fmt.Sprintf("/proc/%d", pid)
	if exe, err := os.Readlink(proc + "/exe"); err != nil || exe != program {
		return all
	}
	all = append(all, pid)
	lists, _ := filepath.Glob(proc + "/task/*/children")
	for _, list := range lists {
		children, _ := os.ReadFile(list)
		for _, child := range strings.Fields(string(children)) {
			if pid, err := strconv.Atoi(child); err == nil {
				all = processes(pid, program, all)
			}
		}
	}
	return all
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
