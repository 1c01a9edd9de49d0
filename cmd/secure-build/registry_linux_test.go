package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/rogpeppe/go-internal/testscript"
)

// A recorder is a real registry that keeps every request: what was sent
// counts, whether the registry took it or not.
type recorder struct {
	*httptest.Server
	inner http.Handler

	mu       sync.Mutex
	requests []request
	refusal  int // status that every write gets, or 0; -1 is none at all
	stalled  chan struct{}
	user     string // a login is asked for if it is set
	password string
}

type request struct {
	line   string // PUT /v2/app/manifests/1.2
	status int
	body   []byte
}

func (r request) write() bool {
	return !strings.HasPrefix(r.line, "GET ") && !strings.HasPrefix(r.line, "HEAD ")
}

func newRecorder() *recorder {
	r := &recorder{stalled: make(chan struct{}, 100), inner: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}
	r.Server = httptest.NewServer(http.HandlerFunc(r.serve))
	return r
}

func (r *recorder) host() string { return strings.TrimPrefix(r.URL, "http://") }

func (r *recorder) serve(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	entry := request{line: req.Method + " " + req.URL.RequestURI(), status: http.StatusOK, body: body}
	sw := &statusWriter{w, &entry.status}
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.requests = append(r.requests, entry)
	}()
	r.mu.Lock()
	refusal, user, password := r.refusal, r.user, r.password
	r.mu.Unlock()
	gotUser, gotPassword, _ := req.BasicAuth()
	switch {
	case user != "" && (gotUser != user || gotPassword != password):
		sw.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		refuse(sw, http.StatusUnauthorized)
	case refusal == -1 && entry.write():
		entry.status = http.StatusGatewayTimeout
		r.stalled <- struct{}{}
		<-req.Context().Done()
	case refusal != 0 && entry.write():
		refuse(sw, refusal)
	default:
		r.inner.ServeHTTP(sw, req)
	}
}

// refuse answers as registries do (distribution-spec, "Error Codes").
func refuse(w http.ResponseWriter, status int) {
	code := map[int]string{http.StatusUnauthorized: "UNAUTHORIZED", http.StatusForbidden: "DENIED"}[status]
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"errors":[{"code":%q,"message":"the test's registry refuses"}]}`, code)
}

type statusWriter struct {
	http.ResponseWriter
	status *int
}

func (w *statusWriter) WriteHeader(status int) {
	*w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (r *recorder) log() []request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]request(nil), r.requests...)
}

// refuse STATUS|stall: every write gets it from now on, or no answer.
func (s *scene) refuseCmd(_ *testscript.TestScript, args []string) (err error) {
	if len(args) != 1 {
		return fmt.Errorf("usage: refuse STATUS|stall")
	}
	status := -1
	if args[0] != "stall" {
		if status, err = strconv.Atoi(args[0]); err != nil {
			return err
		}
	}
	s.registry.mu.Lock()
	defer s.registry.mu.Unlock()
	s.registry.refusal = status
	return nil
}

// registry-login USER CANARY: from now on only this login gets in.
func (s *scene) registryLoginCmd(_ *testscript.TestScript, args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: registry-login USER CANARY")
	}
	c, err := s.canary(args[1])
	s.registry.mu.Lock()
	defer s.registry.mu.Unlock()
	s.registry.user, s.registry.password = args[0], c.value
	return err
}

// registry-log: every request so far, one a line with its status, to stdout.
func (s *scene) registryLogCmd(ts *testscript.TestScript, _ []string) error {
	for _, r := range s.registry.log() {
		fmt.Fprintf(ts.Stdout(), "%s %d\n", r.line, r.status)
	}
	return nil
}

// registry-writes none|refused|some: what the registry saw that was no question.
func (s *scene) registryWritesCmd(_ *testscript.TestScript, args []string) error {
	var writes, taken []string
	for _, r := range s.registry.log() {
		if r.write() {
			writes = append(writes, fmt.Sprintf("%s %d", r.line, r.status))
			if r.status < 400 {
				taken = append(taken, r.line)
			}
		}
	}
	ok := map[string]bool{
		"none":    len(writes) == 0,
		"refused": len(writes) > 0 && len(taken) == 0,
		"some":    len(taken) > 0,
	}[strings.Join(args, " ")]
	if !ok {
		return fmt.Errorf("want %s, the registry saw: %s", strings.Join(args, " "), strings.Join(writes, "\n"))
	}
	return nil
}

func (r *recorder) manifest(ref string) (body []byte, digest string, err error) {
	repo, tag, ok := strings.Cut(ref, ":")
	if !ok {
		return nil, "", fmt.Errorf("%q is not REPOSITORY:TAG", ref)
	}
	req := httptest.NewRequest(http.MethodGet, "/v2/"+repo+"/manifests/"+tag, nil)
	w := httptest.NewRecorder()
	r.inner.ServeHTTP(w, req) // past the log: this is not the command that asks
	if w.Code != http.StatusOK {
		return nil, "", fmt.Errorf("the registry has no %s: %d", ref, w.Code)
	}
	return w.Body.Bytes(), w.Header().Get("Docker-Content-Digest"), nil
}

// registry-has REPOSITORY:TAG [VARIABLE]: the manifest to stdout, its digest
// to a variable.
func (s *scene) registryHasCmd(ts *testscript.TestScript, args []string) error {
	if len(args) < 1 || len(args) > 2 {
		return fmt.Errorf("usage: registry-has REPOSITORY:TAG [VARIABLE]")
	}
	body, digest, err := s.registry.manifest(args[0])
	if err != nil {
		return err
	}
	_, _ = ts.Stdout().Write(body)
	if len(args) == 2 {
		ts.Setenv(args[1], digest)
	}
	return nil
}

// registry-layers REPOSITORY:TAG: the layers' digests, one a line, to stdout.
func (s *scene) registryLayersCmd(ts *testscript.TestScript, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: registry-layers REPOSITORY:TAG")
	}
	body, _, err := s.registry.manifest(args[0])
	if err != nil {
		return err
	}
	var manifest struct {
		Layers []struct{ MediaType, Digest string }
	}
	if err := json.Unmarshal(body, &manifest); err != nil {
		return err
	}
	if len(manifest.Layers) == 0 {
		return fmt.Errorf("%s has no layers", args[0])
	}
	for _, l := range manifest.Layers {
		fmt.Fprintln(ts.Stdout(), l.MediaType, l.Digest)
	}
	return nil
}
