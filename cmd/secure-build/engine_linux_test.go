package main_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// docker-full: a stand-in for a Docker engine whose disk is full, on
// $WORK/docker.sock. It answers 200 to what is loaded, and then says in the
// stream that there is no space left, as Docker does (moby's image/tarexport).
func (s *scene) dockerFullCmd(ts *testscript.TestScript, _ []string) error {
	l, err := net.Listen("unix", filepath.Join(s.work, "docker.sock"))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/images/load" || r.Header.Get("Content-Type") != "application/x-tar" {
			http.Error(w, `{"message":"page not found"}`, http.StatusNotFound)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintln(w, `{"errorDetail":{"message":"no space left on device"},"error":"no space left on device"}`)
	})}
	ts.Defer(func() { _ = server.Close() })
	go func() { _ = server.Serve(l) }()
	return nil
}

// git-server DIR TOKEN: the folder as a repository on a git server, by git's own
// program for it, for who has the canary as a token, as on GitHub. Its address
// is in GIT_SERVER.
func (s *scene) gitServerCmd(ts *testscript.TestScript, args []string) error {
	if len(args) != 2 {
		return errors.New("usage: git-server DIR TOKEN")
	}
	server, err := gitServer(ts.MkAbs(args[0]), ts.Getenv(args[1]))
	if err != nil {
		return err
	}
	ts.Defer(server.Close)
	ts.Setenv("GIT_SERVER", server.URL)
	return nil
}

// gitServer makes the folder a repository and serves its parent; "" is no token.
func gitServer(dir, token string) (*httptest.Server, error) {
	for _, line := range []string{"init -q -b main", "add .", "-c user.name=t -c user.email=t@example.com commit -q -m first", "config http.uploadpack true"} {
		if out, err := exec.Command("git", append([]string{"-C", dir}, strings.Fields(line)...)...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("git %s: %w\n%s", line, err, out)
		}
	}
	core, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		return nil, err
	}
	backend := &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(core)), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + filepath.Dir(dir), "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"},
	}
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); token != "" && (user != "x-access-token" || password != token) {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, r)
	})), nil
}
