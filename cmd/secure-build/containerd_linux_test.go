package main_test

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"
)

// withContainerd starts a containerd in the folder $0, and a buildkitd that works
// on it. Its images are what a build may take instead of asking a registry.
const withContainerd = `
cd "$0"
cat >containerd.toml <<END
version = 2
root = "$0/containerd"
state = "$0/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "$0/containerd.sock"
END
containerd --config containerd.toml &
until [ -S containerd.sock ]; do sleep 0.05; done
buildkitd=$1
shift
exec "$buildkitd" --root "$0/buildkit" --addr "unix://$0/bk.sock" --otel-socket-path "$0/otel.sock" \
  --oci-worker=false --containerd-worker=true --containerd-worker-addr "$0/containerd.sock" "$@"
`

// containerd: a BuildKit daemon that works on containerd, and has its image store,
// is where BUILDKIT_HOST points.
func (s *scene) containerdCmd(ts *testscript.TestScript, _ []string) error {
	tools, err := toolsDir()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "cd") // sockets have short names
	if err != nil {
		return err
	}
	args := inNamespaces("sh", "-c", withContainerd, dir, filepath.Join(tools, "buildkitd"))
	if os.Geteuid() != 0 {
		args = append(args, "--rootless")
	}
	p, err := startBackground(args, dir, filepath.Join(dir, "bk.sock"))
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	ts.Defer(func() {
		p.stop()
		ts.Check(os.RemoveAll(dir))
	})
	ts.Setenv("BUILDKIT_HOST", "unix://"+filepath.Join(dir, "bk.sock"))
	return nil
}
