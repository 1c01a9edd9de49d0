package vault

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A victim is who is killed.
type victim string

const (
	theWorker     victim = "worker"
	theSupervisor victim = "supervisor"
	both          victim = "both"
	theGroup      victim = "group"
)

// An execution is one run of a worker that is killed at a random moment.
type execution struct {
	person person
	rung   Kind
	victim victim
	moment string        // the phase after whose begin the blow falls
	delay  time.Duration // and how long after
	canary []byte
}

func randomExecution(p person, rung Kind, v victim, canary []byte) execution {
	from := 0
	if v == theSupervisor || v == both { // there has to be one
		from = map[Kind]int{Memfd: slices.Index(phases, "exposed"), Tmpfs: slices.Index(phases, "opened")}[rung]
	}
	moment := phases[from+mathrand.IntN(len(phases)-1-from)]
	return execution{p, rung, v, moment, time.Duration(mathrand.Int64N(int64(8 * time.Millisecond))), canary}
}

// run plays it, and returns what is wrong afterwards.
func (e execution) run(base string) error {
	c := e.person.command(string(e.rung), base)
	c.Stdin = bytes.NewReader(append(bytes.Clone(e.canary), '\n'))
	out, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != e.moment {
		if strings.HasPrefix(lines.Text(), "error:") {
			_ = c.Wait()
			return errors.New(lines.Text())
		}
	}
	time.Sleep(e.delay)
	e.kill(c.Process.Pid, base)
	rest, _ := io.ReadAll(out)
	err = c.Wait()
	if e.victim == theSupervisor && err != nil {
		return fmt.Errorf("the worker did not survive its supervisor: %w: %s", err, rest)
	}
	if err := noneLeft(base, c.Process.Pid); err != nil {
		return err
	}
	return e.inspect(base)
}

func (e execution) kill(worker int, base string) {
	var supervisors []int
	if e.victim == theSupervisor || e.victim == both {
		supervisors = processes(base)
	}
	if e.victim == theGroup {
		worker = -worker
	}
	strike := func() { _ = syscall.Kill(worker, syscall.SIGKILL) }
	if e.victim == theSupervisor {
		strike = func() {}
	}
	if e.delay%2 == 0 {
		strike()
		strike = func() {}
	}
	for _, pid := range supervisors {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	strike()
}

// inspect looks at what a run left behind: never plaintext, and nothing at all
// unless the supervisor was killed together with the worker.
func (e execution) inspect(base string) error {
	if found := hunt(e.canary, time.Time{}, base); found != nil {
		return fmt.Errorf("plaintext in %q", found)
	}
	var left []string
	_ = filepath.WalkDir(base, func(path string, d fs.DirEntry, _ error) error {
		if depth := strings.Count(strings.TrimPrefix(path, base), "/"); depth > 1 {
			left = append(left, path)
		}
		return nil
	})
	if len(left) > 0 && e.victim != both {
		return fmt.Errorf("there is %q", left)
	}
	if len(left) == 0 {
		return nil
	}
	out, err := e.person.command("sweep", base).Output()
	if err != nil || string(out) != "1\n" {
		return fmt.Errorf("sweeping %q: %s, %w", left, out, err)
	}
	if entries, _ := os.ReadDir(filepath.Join(base, "run")); len(entries) > 0 {
		return fmt.Errorf("after sweeping there is %v", entries)
	}
	return nil
}

// TestKill is the promise that the vault is gone after a SIGKILL (I6). On rung
// 1 that holds for whoever is killed; on rung 2 the killed supervisor is the
// exception that TestKilledTmpfs shows.
func TestKill(t *testing.T) {
	start, canary := time.Now(), newCanary()
	for _, p := range people() {
		for rung, victims := range map[Kind][]victim{
			Memfd: {theWorker, theSupervisor, both, theGroup},
			Tmpfs: {theWorker, theSupervisor, theGroup},
		} {
			t.Run(string(rung)+" as "+p.name, func(t *testing.T) {
				n := map[Kind]int{Memfd: 200, Tmpfs: 60}[rung]
				if testing.Short() {
					n /= 10
				}
				killMany(t, p, rung, victims, n, canary)
			})
		}
	}
	if found := hunt(canary, start, everywhere(t)...); found != nil {
		t.Errorf("plaintext in %q", found)
	}
}

func killMany(t *testing.T, p person, rung Kind, victims []victim, n int, canary []byte) {
	var mu sync.Mutex
	moments := map[string]int{}
	var wg sync.WaitGroup
	work := make(chan execution)
	for range 8 {
		wg.Go(func() {
			for e := range work {
				base := p.home(t)
				if err := e.run(base); err != nil {
					t.Errorf("%s killed %v after %q: %v", e.victim, e.delay, e.moment, err)
				}
				mu.Lock()
				moments[e.moment]++
				mu.Unlock()
				os.RemoveAll(base)
			}
		})
	}
	for i := range n {
		work <- randomExecution(p, rung, victims[i%len(victims)], canary)
	}
	close(work)
	wg.Wait()
	t.Logf("%d runs, killed after: %v", n, moments)
}

// TestKilledTmpfs kills the worker of rung 2 and its supervisor at once. It
// shows that the hunt finds plaintext where there is some, and that the next
// run erases it.
func TestKilledTmpfs(t *testing.T) {
	for _, p := range people() {
		base, canary := p.home(t), newCanary()
		c := p.command("tmpfs", base)
		in, err1 := c.StdinPipe()
		out, err2 := c.StdoutPipe()
		if err := errors.Join(err1, err2, c.Start()); err != nil {
			t.Fatal(err)
		}
		if _, err := in.Write(append(bytes.Clone(canary), '\n')); err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "exposed"; {
		}
		supervisors := processes(base)
		_ = syscall.Kill(c.Process.Pid, syscall.SIGSTOP) // or it starts another
		for _, pid := range append(supervisors, c.Process.Pid) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		_ = c.Wait()
		if err := noneLeft(base, c.Process.Pid); err != nil || len(supervisors) != 1 {
			t.Errorf("%s: the supervisors %v: %v", p.name, supervisors, err)
		}
		if found := hunt(canary, time.Time{}, base); len(found) != 3 {
			t.Errorf("%s: the hunt finds %q, want three files", p.name, found)
		}
		if got, err := p.command("sweep", base).Output(); string(got) != "1\n" || err != nil {
			t.Errorf("%s: swept %s, %v", p.name, got, err)
		}
		if found := hunt(canary, time.Time{}, base); found != nil {
			t.Errorf("%s: after sweeping there is plaintext in %q", p.name, found)
		}
	}
}
