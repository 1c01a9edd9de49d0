package main_test

import (
	"errors"
	"regexp"
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
	s.engine = e
	return nil
}

// docker-kills CONTAINER PATTERN COMMAND ARG…: kills the container as soon as
// the pattern is in stderr. The command has to end soon, with an error.
func (s *scene) dockerKillsCmd(ts *testscript.TestScript, args []string) error {
	if len(args) < 3 || s.engine == nil {
		return errors.New("usage: docker-kills CONTAINER PATTERN COMMAND ARG…, after docker-engine")
	}
	when, err := regexp.Compile(args[1])
	if err != nil {
		return err
	}
	return s.play(ts, call{want: "1", when: when, within: soon, args: args[2:], act: func() error {
		_, err := s.engine.Docker("kill", args[0])
		return err
	}})
}
