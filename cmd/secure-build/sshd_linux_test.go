package main_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/ssh"
)

// ssh-server KEY: a machine on which the shared daemon listens, for who has the
// private key in the file. It is x/crypto's server; the client is the real ssh,
// which takes the key and the host's key from a file of the script's, where it
// would take them from the user's own. SSH_BUILDER is the daemon's address.
func (s *scene) sshServerCmd(ts *testscript.TestScript, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: ssh-server KEY")
	}
	address, _, err := sharedDaemon()
	if err != nil {
		return err
	}
	key := ts.MkAbs(args[0])
	public, _, _, _, err := ssh.ParseAuthorizedKey([]byte(ts.ReadFile(args[0] + ".pub")))
	if err != nil {
		return err
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	host, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return err
	}
	conf := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, got ssh.PublicKey) (*ssh.Permissions, error) {
		if string(got.Marshal()) != string(public.Marshal()) {
			return nil, fmt.Errorf("a stranger")
		}
		return nil, nil
	}}
	conf.AddHostKey(host)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ts.Defer(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go serveSSH(conn, conf)
		}
	}()
	port := l.Addr().(*net.TCPAddr).Port
	real, err := exec.LookPath("ssh")
	if err != nil {
		return err
	}
	bin := filepath.Join(s.work, "bin")
	known := fmt.Sprintf("[127.0.0.1]:%d %s", port, ssh.MarshalAuthorizedKey(host.PublicKey()))
	config := fmt.Sprintf("IdentityFile %s\nIdentitiesOnly yes\nIdentityAgent none\nUserKnownHostsFile %s\nGlobalKnownHostsFile none\nBatchMode yes\n", key, filepath.Join(bin, "known"))
	if err := os.Mkdir(bin, 0o755); err != nil {
		return err
	}
	for name, text := range map[string]string{
		"known": known, "config": config, "ssh": fmt.Sprintf("#!/bin/sh\nexec %s -F %s/config \"$@\"\n", real, bin),
	} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(text), 0o700); err != nil {
			return err
		}
	}
	ts.Setenv("PATH", bin+":"+ts.Getenv("PATH"))
	ts.Setenv("SSH_BUILDER", fmt.Sprintf("ssh://127.0.0.1:%d%s", port, strings.TrimPrefix(address, "unix://")))
	return nil
}

// serveSSH runs what the client asks for, which has to be buildctl's dial-stdio.
func serveSSH(conn net.Conn, conf *ssh.ServerConfig) {
	defer conn.Close()
	_, channels, requests, err := ssh.NewServerConn(conn, conf)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for c := range channels {
		if c.ChannelType() != "session" {
			_ = c.Reject(ssh.UnknownChannelType, "sessions only")
			continue
		}
		ch, requests, err := c.Accept()
		if err != nil {
			return
		}
		go func() {
			for r := range requests {
				var run struct{ Line string }
				ok := r.Type == "exec" && ssh.Unmarshal(r.Payload, &run) == nil
				_ = r.Reply(ok, nil)
				if ok {
					go runSSH(ch, run.Line)
				}
			}
		}()
	}
}

func runSSH(ch ssh.Channel, line string) {
	defer ch.Close()
	status := uint32(127)
	words := strings.Fields(line)
	tools, err := toolsDir()
	if err == nil && len(words) == 4 && words[0] == "buildctl" && words[1] == "--addr" && words[3] == "dial-stdio" {
		cmd := exec.Command(filepath.Join(tools, "buildctl"), words[1:]...)
		cmd.Env = []string{"PATH=/usr/bin:/bin"}
		cmd.Stdout, cmd.Stderr = ch, ch.Stderr()
		if in, err := cmd.StdinPipe(); err == nil && cmd.Start() == nil {
			go func() { _, _ = io.Copy(in, ch); _ = in.Close() }()
			_ = cmd.Wait()
			status = uint32(cmd.ProcessState.ExitCode())
		}
	} else {
		fmt.Fprintf(ch.Stderr(), "%s: not found\n", line)
	}
	_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
}
