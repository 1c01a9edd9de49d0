package main_test

import (
	"errors"
	"sync"

	"github.com/org/secure-build/internal/dockertest"
	"github.com/rogpeppe/go-internal/testscript"
)

// The Docker engine that scripts share is real, and not the machine's. It has
// BuildKit's image, under the name that buildx looks for.
var docker struct {
	once   sync.Once
	engine *dockertest.Engine
	err    error
}

// sharedEngine returns the engine, which the first call starts.
func sharedEngine() (*dockertest.Engine, error) {
	docker.once.Do(func() {
		var tools string
		if tools, docker.err = toolsDir(); docker.err != nil {
			return
		}
		if docker.engine, docker.err = dockertest.Start(); docker.err == nil {
			docker.err = dockertest.LoadBuildKit(docker.engine, tools)
		}
	})
	return docker.engine, docker.err
}

// stopEngine ends the engine, if one was started, with whatever runs in it.
func stopEngine() error {
	docker.once.Do(func() { docker.err = errors.New("the tests are over") })
	if docker.engine == nil {
		return nil
	}
	return docker.engine.Stop()
}

// docker-engine: the real engine is where DOCKER_HOST points. It is shared, so
// a script gives its images, builders and containers names of its own.
func (s *scene) dockerEngineCmd(ts *testscript.TestScript, _ []string) error {
	e, err := sharedEngine()
	if err != nil {
		return err
	}
	ts.Setenv("DOCKER_HOST", e.Host)
	return nil
}
