package main

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
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

func (b *bench) registry() *httptest.Server {
	b.stored = filepath.Join(b.dir, "registry")
	srv := httptest.NewServer(registry.New(
		registry.Logger(log.New(io.Discard, "", 0)), registry.WithBlobHandler(registry.NewDiskBlobHandler(b.stored))))
	b.host = strings.TrimPrefix(srv.URL, "http://")
	return srv
}

// forget empties the build cache, the registry, and what secure-build remembers
// of the layers that it has seen: a cold run of it has nothing to go by.
func (b *bench) forget(ctx context.Context) error {
	err := errors.Join(b.prune(ctx), os.RemoveAll(b.stored), os.Mkdir(b.stored, 0o700), os.RemoveAll(b.cacheDir()))
	syscall.Sync() // so that no run pays for what was written before it
	return err
}
