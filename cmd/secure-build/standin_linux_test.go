package main_test

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// An engine stands in for a Docker engine, as far as docker load goes: it keeps
// the rules of POST /images/load (moby's api/swagger.yaml, image/tarexport).
type engine struct {
	mu   sync.Mutex
	tags []string
	full bool
}

// docker-engine [full]: listens on $WORK/docker.sock. A full one answers 200
// and then says in the stream that there is no space left, as Docker does.
func (s *scene) dockerEngineCmd(ts *testscript.TestScript, args []string) error {
	l, err := net.Listen("unix", filepath.Join(s.work, "docker.sock"))
	if err != nil {
		return err
	}
	s.engine = &engine{full: slices.Contains(args, "full")}
	server := &http.Server{Handler: s.engine}
	ts.Defer(func() { _ = server.Close() })
	go func() { _ = server.Serve(l) }()
	return nil
}

// docker-images: the names of what was loaded, to stdout.
func (s *scene) dockerImagesCmd(ts *testscript.TestScript, _ []string) error {
	s.engine.mu.Lock()
	defer s.engine.mu.Unlock()
	_, err := fmt.Fprintln(ts.Stdout(), strings.Join(s.engine.tags, "\n"))
	return err
}

func (e *engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != "/images/load" || r.Header.Get("Content-Type") != "application/x-tar" {
		http.Error(w, `{"message":"page not found"}`, http.StatusNotFound)
		return
	}
	tags, err := loadable(r.Body)
	w.Header().Set("Content-Type", "application/json")
	if e.full {
		err = errors.New("no space left on device")
	}
	if err != nil {
		_ = json.NewEncoder(w).Encode(map[string]any{"errorDetail": map[string]string{"message": err.Error()}, "error": err.Error()})
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.tags = append(e.tags, tags...)
	for _, t := range tags {
		_ = json.NewEncoder(w).Encode(map[string]string{"stream": "Loaded image: " + t + "\n"})
	}
}

// loadable holds an archive to what docker load needs: a manifest.json, and every
// file that it names.
func loadable(r io.Reader) ([]string, error) {
	files := map[string][]byte{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if files[h.Name], err = io.ReadAll(tr); err != nil {
			return nil, err
		}
	}
	var images []struct {
		Config           string
		RepoTags, Layers []string
	}
	if err := json.Unmarshal(files["manifest.json"], &images); err != nil {
		return nil, fmt.Errorf("reading manifest.json: %w", err)
	}
	var tags []string
	for _, img := range images {
		for _, name := range append(slices.Clone(img.Layers), img.Config) {
			if _, ok := files[name]; !ok {
				return nil, fmt.Errorf("%s is missing", name)
			}
		}
		tags = append(tags, img.RepoTags...)
	}
	return tags, nil
}
