package dockertest

import (
	"fmt"
	"os"
	"path/filepath"
)

// LoadJob makes an image that a job of CI can run in, as NAME: a shell, node for
// actions, and docker with buildx.
func LoadJob(e *Engine, name, tools string) error {
	archive := filepath.Join(e.dir, "job.tar")
	defer os.Remove(archive)
	programs := map[string]string{
		"usr/bin/node": "node", "usr/bin/docker": "docker",
		"usr/libexec/docker/cli-plugins/docker-buildx": filepath.Join(tools, "buildx"),
	}
	for _, applet := range []string{"sh", "cat", "mkdir", "sleep", "tail", "uname"} {
		programs["bin/"+applet] = "/bin/busybox"
	}
	err := writeArchive(archive, programs)
	if err == nil {
		_, err = e.Docker("import", "--change", "VOLUME /tmp", "--change", "ENV PATH=/usr/bin:/bin", archive, name)
	}
	if err != nil {
		return fmt.Errorf("making the image %s: %w", name, err)
	}
	return nil
}
