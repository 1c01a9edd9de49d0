package buildkit

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// A stdio is a connection to a daemon through the input and output of a command.
// Docker's library has one too, which BuildKit's uses: there the command is
// given our whole environment.
type stdio struct {
	name    string
	in, out *os.File
	said    *tail
	process *os.Process
	ended   chan struct{}
	close   sync.Once
}

var _ net.Conn = (*stdio)(nil)

// dialStdio starts docker with an environment that has what it needs, in a
// session of its own: a Ctrl-C is ours to act on.
func dialStdio(args ...string) (net.Conn, error) {
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, theirIn.Close(), in.Close())
	}
	c := &stdio{name: "docker", in: in, out: out, said: &tail{max: logTail}, ended: make(chan struct{})}
	cmd := exec.Command("docker", args...)
	cmd.Env, cmd.SysProcAttr = dockerEnviron(), ownSession()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirIn, theirOut, c.said
	cmd.WaitDelay = time.Second
	started := make(chan error)
	go func() {
		defer close(c.ended)
		inThread(func() { // see ownSession
			err := cmd.Start()
			_, _ = theirIn.Close(), theirOut.Close()
			started <- err
			if err == nil {
				_ = cmd.Wait()
			}
		})
	}()
	if err := <-started; err != nil {
		return nil, errors.Join(err, in.Close(), out.Close())
	}
	c.process = cmd.Process
	return c, nil
}

// why makes an error of the end of the command.
func (c *stdio) why(err error) error {
	if !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "broken pipe") {
		return err
	}
	select {
	case <-c.ended: // after its last words
	case <-time.After(time.Second):
	}
	if said := c.said.String(); said != "" {
		return fmt.Errorf("%s ended: %s", c.name, said)
	}
	return err
}

func (c *stdio) Read(p []byte) (int, error) {
	n, err := c.out.Read(p)
	if err != nil {
		err = c.why(err)
	}
	return n, err
}

func (c *stdio) Write(p []byte) (int, error) {
	n, err := c.in.Write(p)
	if err != nil {
		err = c.why(err)
	}
	return n, err
}

// Close ends the command.
func (c *stdio) Close() (err error) {
	c.close.Do(func() {
		err = errors.Join(c.in.Close(), c.out.Close())
		_ = c.process.Kill()
		<-c.ended
	})
	return err
}

type stdioAddr string

func (a stdioAddr) Network() string { return "stdio" }
func (a stdioAddr) String() string  { return string(a) }

func (c *stdio) LocalAddr() net.Addr                { return stdioAddr(c.name) }
func (c *stdio) RemoteAddr() net.Addr               { return stdioAddr(c.name) }
func (c *stdio) SetReadDeadline(t time.Time) error  { return c.out.SetReadDeadline(t) }
func (c *stdio) SetWriteDeadline(t time.Time) error { return c.in.SetWriteDeadline(t) }
func (c *stdio) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}
