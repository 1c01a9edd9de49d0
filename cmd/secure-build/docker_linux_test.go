package main_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
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

// docker-kills [-clean] CONTAINER PATTERN COMMAND ARG…: kills the container, by
// its name or by a label (label=NAME), as soon as the pattern is in stderr. With
// -clean, the engine has no canary on its disk at that moment. The command has to
// end soon, with an error.
func (s *scene) dockerKillsCmd(ts *testscript.TestScript, args []string) error {
	clean := len(args) > 0 && args[0] == "-clean"
	if clean {
		args = args[1:]
	}
	if len(args) < 3 || s.engine == nil {
		return errors.New("usage: docker-kills [-clean] CONTAINER PATTERN COMMAND ARG…, after docker-engine")
	}
	when, err := regexp.Compile(args[1])
	if err != nil {
		return err
	}
	return s.play(ts, call{want: "1", when: when, within: soon, args: args[2:], act: func() error {
		id := args[0]
		if strings.HasPrefix(id, "label=") {
			if id, err = s.engine.Docker("ps", "--quiet", "--filter", id); err != nil {
				return err
			}
		}
		if h := newHunt(s.canaries); clean {
			if err := h.walk("engine", s.engine.State()); err != nil || len(h.found) > 0 {
				return fmt.Errorf("the engine has, while a step runs: %q %w", h.found, err)
			}
		}
		_, err := s.engine.Docker("kill", id)
		return err
	}})
}

// engineImageVariable tells the command of a script which image of BuildKit
// docker is to start.
const engineImageVariable = "TEST_BUILDKIT_IMAGE"

// docker-image: an image of BuildKit is in a registry, and nowhere else, and
// secure-build is pinned to it by its digest. Nothing in PATH makes a private
// daemon. It has no network: the engine has no bridge.
func (s *scene) dockerImageCmd(ts *testscript.TestScript, _ []string) error {
	if err := s.dockerEngineCmd(ts, nil); err != nil {
		return err
	}
	r := newRecorder()
	ts.Defer(r.Close)
	tools, err := toolsDir()
	if err != nil {
		return err
	}
	ref, err := dockertest.PushBuildKit(r.host()+"/moby/buildkit:test", tools)
	if err != nil {
		return err
	}
	ts.Setenv(engineImageVariable, ref)
	s.vars = append(s.vars, engineImageVariable)
	dirs := filepath.SplitList(ts.Getenv("PATH"))
	ts.Setenv("PATH", strings.Join(slices.DeleteFunc(dirs, func(dir string) bool {
		_, err := os.Stat(filepath.Join(dir, "buildkitd")) // ours, and that of who runs the tests
		return err == nil
	}), ":"))
	return nil
}
