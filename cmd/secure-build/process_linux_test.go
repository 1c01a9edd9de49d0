package main_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A process is known by its number and its start, since numbers are used again.
type process struct {
	pid   int
	start string // field 22 of proc_pid_stat(5)
}

func (p process) alive() bool {
	ppid, start, zombie := stat(p.pid)
	return ppid != 0 && start == p.start && !zombie
}

func (p process) String() string {
	cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.pid))
	return fmt.Sprintf("%d %s", p.pid, bytes.ReplaceAll(cmdline, []byte{0}, []byte{' '}))
}

// stat reads the parent and the start of a process; the parent is 0 if there
// is no such process.
func stat(pid int) (ppid int, start string, zombie bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, "", false
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])) // from field 3 on
	ppid, _ = strconv.Atoi(fields[1])
	return ppid, fields[19], fields[0] == "Z"
}

func pids() []int {
	names, _ := filepath.Glob("/proc/[0-9]*")
	var all []int
	for _, name := range names {
		if pid, err := strconv.Atoi(filepath.Base(name)); err == nil {
			all = append(all, pid)
		}
	}
	return all
}

// A sampler watches the processes of the machine while a command runs: it
// looks for canaries in their arguments and environments, and keeps a list of
// all that the command started, by themselves or through others.
type sampler struct {
	mu      sync.Mutex
	seen    map[process]bool
	texts   map[string][]string // what was found, by the process' arguments or environment
	looked  map[process]string  // cmdline of the last look: it changes with an exec
	samples int
}

func newSampler() *sampler {
	return &sampler{seen: map[process]bool{}, texts: map[string][]string{}, looked: map[process]string{}}
}

func (s *sampler) found() (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for place, names := range s.texts {
		for _, name := range names {
			all = append(all, name+" in "+place)
		}
	}
	return all
}

// watch samples until stop is called. The command's own environment may hold
// what the script's user has put there, and nothing else may.
func (s *sampler) watch(command int, canaries []canary) (stop func()) {
	all := newNeedles(canaries)
	own := newNeedles(slices.DeleteFunc(slices.Clone(canaries), func(c canary) bool { return c.exported }))
	end, ended := make(chan struct{}), make(chan struct{})
	s.sample(command, all, own) // nobody has waited for it yet, so it is there
	go func() {
		defer close(ended)
		for last := false; !last; {
			select {
			case <-end:
				last = true
			case <-time.After(8 * time.Millisecond):
			}
			s.sample(command, all, own)
		}
	}()
	return func() { close(end); <-ended }
}

func (s *sampler) sample(command int, all, own *needles) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.samples++
	for _, pid := range append([]int{command}, pids()...) { // what its children show is compared with it
		ppid, start, _ := stat(pid)
		if ppid == 0 {
			continue
		}
		p := process{pid, start}
		_, ppidStart, _ := stat(ppid)
		if pid == command || s.seen[process{ppid, ppidStart}] {
			s.seen[p] = true
		}
		cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil || s.looked[p] == string(cmdline) || inContainer(pid) {
			continue
		}
		s.looked[p] = string(cmdline)
		environ, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		inEnv := all
		if pid == command || ppid == command && s.looked[process{ppid, ppidStart}] == string(cmdline) {
			// Between fork and exec, a child shows its parent's memory.
			inEnv = own
		}
		name, _, _ := strings.Cut(string(cmdline), "\x00")
		s.note("the arguments of "+name, all.in(cmdline))
		s.note("the environment of "+name, inEnv.in(environ))
	}
}

func (s *sampler) note(place string, names []string) {
	for _, name := range names {
		if !slices.Contains(s.texts[place], name) {
			s.texts[place] = append(s.texts[place], name)
		}
	}
}

// inContainer says whether a process is one of a build step, which may have in
// its environment what its Dockerfile asked for.
func inContainer(pid int) bool {
	theirs, err := os.Stat(fmt.Sprintf("/proc/%d/root", pid))
	if err != nil {
		return false
	}
	ours, err := os.Stat("/")
	return err == nil && !os.SameFile(theirs, ours)
}

// left lists the processes that the runs have started and that are still there,
// and any other that names this scene's folder.
func (s *scene) left() (all []string) {
	s.sampler.mu.Lock()
	defer s.sampler.mu.Unlock()
	for p := range s.sampler.seen {
		if p.alive() {
			all = append(all, p.String())
		}
	}
	for _, pid := range pids() {
		if pid == os.Getpid() {
			continue
		}
		dir := fmt.Sprintf("/proc/%d", pid)
		cmdline, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		environ, _ := os.ReadFile(filepath.Join(dir, "environ"))
		cwd, _ := os.Readlink(filepath.Join(dir, "cwd"))
		if strings.Contains(string(cmdline)+"\x00"+string(environ)+"\x00"+cwd+"/", s.work+"/") {
			_, start, _ := stat(pid)
			all = append(all, process{pid, start}.String())
		}
	}
	return all
}
