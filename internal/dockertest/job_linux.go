package dockertest

import (
	"fmt"
	"os"
	"path/filepath"
)

// LoadJob makes an image that a job of CI can run in, as NAME: a shell, and with
// the options that are returned for docker run, which save copying them, node
// for actions and docker with buildx.
func LoadJob(e *Engine, name, tools string) (options []string, err error) {
	archive := filepath.Join(e.dir, "job.tar")
	defer os.Remove(archive)
	programs := map[string]string{"tmp/sh": "/bin/busybox"} // which makes the folder; a volume would be seen from elsewhere
	mounts := map[string]string{}
	for _, applet := range []string{"sh", "cat", "mkdir", "sleep", "tail", "uname"} {
		programs["bin/"+applet] = "/bin/busybox"
	}
	for place, program := range map[string]string{
		"/usr/bin/node": "node", "/usr/bin/docker": "docker",
		"/usr/libexec/docker/cli-plugins/docker-buildx": filepath.Join(tools, "buildx"),
	} {
		path, loads, err := libraries(program)
		if err != nil {
			return nil, fmt.Errorf("making the image %s: %w", name, err)
		}
		mounts[place] = path
		for _, library := range loads {
			mounts[library] = library
		}
	}
	for place, path := range mounts {
		options = append(options, "--volume", path+":"+place+":ro")
	}
	err = writeArchive(archive, programs)
	if err == nil {
		_, err = e.Docker("import", "--change", "ENV PATH=/usr/bin:/bin", archive, name)
	}
	if err != nil {
		return nil, fmt.Errorf("making the image %s: %w", name, err)
	}
	return options, nil
}
