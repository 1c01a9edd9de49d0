package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// start runs a daemon for both sides.
func (b *bench) start(ctx context.Context) (stop func(), err error) {
	sock := filepath.Join(b.dir, "bk.sock")
	b.daemon = "unix://" + sock
	cmd := exec.CommandContext(ctx, filepath.Join(b.tools, "buildkitd"), "--root", filepath.Join(b.dir, "buildkit"), "--addr", b.daemon)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	for range 200 {
		if _, err := b.command(ctx, filepath.Join(b.tools, "buildctl"), "--addr", b.daemon, "debug", "workers"); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	return func() { _ = cmd.Process.Signal(syscall.SIGTERM); _ = cmd.Wait() }, nil
}

// registry runs the CNCF's, on disk. (go-containerregistry's keeps a layer that
// is sent in pieces in memory before it writes it, so it measures itself.)
func (b *bench) registry(ctx context.Context) (stop func(), err error) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b.host, b.stored = free.Addr().String(), filepath.Join(b.dir, "registry")
	config := filepath.Join(b.dir, "registry.yml")
	if err := errors.Join(free.Close(), os.WriteFile(config, fmt.Appendf(nil, `version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %q}, delete: {enabled: true}}
http: {addr: %q}
`, b.stored, b.host), 0o600)); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(b.tools, "registry"), "serve", config)
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w (make bench builds it)", err)
	}
	stop = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	for range 200 {
		if resp, err := http.Get("http://" + b.host + "/v2/"); err == nil {
			return stop, resp.Body.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	stop()
	return nil, errors.New("the registry does not answer")
}

// forget empties the build cache, the registry, and what secure-build remembers
// of the layers that it has seen: a cold run of it has nothing to go by.
func (b *bench) forget(ctx context.Context) error {
	err := errors.Join(b.prune(ctx), os.RemoveAll(b.stored), os.Mkdir(b.stored, 0o700), os.RemoveAll(b.cacheDir()))
	syscall.Sync() // so that no run pays for what was written before it
	return err
}
