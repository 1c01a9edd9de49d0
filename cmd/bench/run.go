package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"filippo.io/age"
	"github.com/google/go-containerregistry/pkg/registry"
)

const dockerfile = `FROM scratch
COPY busybox /bin/sh
RUN --mount=type=secret,id=token ["/bin/sh", "-c", "test -s /run/secrets/token"]
COPY files /files
`

// folders is the number of folders that the files of a context are spread over.
const folders = 97

// wholeRuns compares secure-build with buildctl, cold and warm.
func (b *bench) wholeRuns(ctx context.Context, size int64, rounds int) error {
	srv := b.registry()
	defer srv.Close()

	fmt.Printf("start-up: secure-build version        %8.0f ms\n", ms(b.best(20, func() (time.Duration, error) { return b.command(ctx, b.self, "version") })))
	sides := []struct {
		name string
		args []string
	}{
		{"buildctl build, push=true", []string{filepath.Join(b.tools, "buildctl"), "--addr", b.daemon, "build", "--progress", "plain",
			"--frontend", "dockerfile.v0", "--local", "context=" + b.folder(), "--local", "dockerfile=" + b.folder(),
			"--secret", "id=token,src=" + filepath.Join(b.dir, "plain"),
			"--output", "type=image,name=" + b.host + "/bench/buildctl:1,push=true,registry.insecure=true"}},
		{"secure-build build --push", []string{b.self, "build", "--builder", b.daemon, "--progress", "plain",
			"--sops", filepath.Join(b.dir, "secrets.yaml"), "--tag", b.host + "/bench/ours:1", "--fail-on", "known-value", "--push", b.folder()}},
	}
	var cold, warm [2]time.Duration
	for range rounds {
		for i, s := range sides {
			if err := b.forget(ctx); err != nil {
				return err
			}
			for _, took := range []*time.Duration{&cold[i], &warm[i]} {
				d, err := b.command(ctx, s.args...)
				if err != nil {
					return fmt.Errorf("%s: %w", s.name, err)
				}
				if *took == 0 || d < *took {
					*took = d
				}
			}
		}
	}
	fmt.Printf("whole runs: about %d MB of files; fastest of %d\n", size>>20, rounds)
	for i, s := range sides {
		fmt.Printf("%-28s cold %7.2f s   warm %7.2f s\n", s.name, cold[i].Seconds(), warm[i].Seconds())
	}
	fmt.Printf("%-28s cold %7.2f     warm %7.2f\n", "ratio", cold[1].Seconds()/cold[0].Seconds(), warm[1].Seconds()/warm[0].Seconds())
	return nil
}

func (b *bench) folder() string { return filepath.Join(b.dir, "context") }

// context copies this machine's files until there are size bytes of them.
func (b *bench) context(size int64) error {
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return fmt.Errorf("%w (the package busybox-static has it)", err)
	}
	files := filepath.Join(b.folder(), "files")
	if err := os.MkdirAll(files, 0o755); err != nil {
		return err
	}
	if err := errors.Join(
		os.WriteFile(filepath.Join(b.folder(), "busybox"), busybox, 0o755),
		os.WriteFile(filepath.Join(b.folder(), "Dockerfile"), []byte(dockerfile), 0o644)); err != nil {
		return err
	}
	goroot, _ := exec.Command("go", "env", "GOROOT").Output()
	modules, _ := exec.Command("go", "env", "GOMODCACHE").Output()
	left, n := size, 0
	for _, root := range []string{strings.TrimSpace(string(goroot)), "/usr/lib", "/usr/share", strings.TrimSpace(string(modules))} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if left <= 0 {
				return fs.SkipAll
			}
			if err != nil || !d.Type().IsRegular() {
				return nil
			}
			n++
			copied, err := copyFile(filepath.Join(files, fmt.Sprintf("%02d", n%folders), fmt.Sprintf("%d-%s", n, d.Name())), path, left)
			left -= copied
			return err
		})
		if err != nil {
			return err
		}
	}
	if left > 0 {
		return fmt.Errorf("there are only %d MB of files here; -size takes fewer", (size-left)>>20)
	}
	return nil
}

func copyFile(to, from string, most int64) (int64, error) {
	in, err := os.Open(from)
	if err != nil {
		return 0, nil // not ours to read
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return 0, err
	}
	out, err := os.Create(to)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(out, io.LimitReader(in, most))
	return n, errors.Join(err, out.Close())
}

// secret makes one SOPS file with the real sops, and the same value in a plain
// file for the other side.
func (b *bench) secret(ctx context.Context) error {
	key, err := age.GenerateX25519Identity()
	if err != nil {
		return err
	}
	value := "bench-" + key.Recipient().String()
	yaml := filepath.Join(b.dir, "secrets.yaml")
	if err := errors.Join(
		os.WriteFile(filepath.Join(b.dir, "plain"), []byte(value), 0o600),
		os.WriteFile(yaml, []byte("token: "+value+"\n"), 0o600)); err != nil {
		return err
	}
	b.env = append(os.Environ(), "SOPS_AGE_KEY="+key.String(), "SOPS_AGE_RECIPIENTS="+key.Recipient().String())
	_, err = b.command(ctx, filepath.Join(b.tools, "sops"), "encrypt", "--in-place", yaml)
	return err
}

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

// forget empties the build cache and the registry's blobs.
func (b *bench) forget(ctx context.Context) error {
	return errors.Join(b.prune(ctx), os.RemoveAll(b.stored), os.Mkdir(b.stored, 0o700))
}
