package main_test

import (
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// A standIn plays the services that keep a build cache: GitHub's cache service
// (version 2), S3 and Azure's blobs, by the rules that BuildKit's clients meet.
// What it was not told to expect, it refuses, and the script fails.
//
// Rules of GitHub's: an entry is reserved, uploaded to the address that the
// reservation names, and finalized with its right size; only then can it be
// found, by its key or the beginning of it, the newest first; a key that was
// reserved is never given again.
type standIn struct {
	*httptest.Server
	token string // of GitHub's service

	mu       sync.Mutex
	entries  []*cacheEntry
	objects  map[string][]byte // by path
	blocks   map[string][]byte // by path and block
	requests []request
	wrong    []string
}

type cacheEntry struct {
	Key, Version string
	committed    bool
}

func newStandIn() *standIn {
	s := &standIn{objects: map[string][]byte{}, blocks: map[string][]byte{}}
	enc := base64.RawURLEncoding.EncodeToString
	now := time.Now()
	claims := fmt.Sprintf(`{"ac":"[{\"Scope\":\"refs/heads/main\",\"Permission\":3}]","nbf":%d,"exp":%d}`, now.Add(-time.Hour).Unix(), now.Add(time.Hour).Unix())
	s.token = enc([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + enc([]byte(claims)) + "." + enc([]byte(newValue("")))
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	return s
}

func (s *standIn) serve(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	entry := request{line: req.Method + " " + req.URL.RequestURI(), status: http.StatusOK, body: body}
	sw := &statusWriter{w, &entry.status}
	switch path := req.URL.Path; {
	case strings.HasPrefix(path, "/twirp/github.actions.results.api.v1.CacheService/"):
		s.github(sw, req, body)
	case strings.HasPrefix(path, "/gha-blob/"), strings.HasPrefix(path, "/azure/"):
		s.azure(sw, req, body)
	case strings.HasPrefix(path, "/s3/"):
		s.s3(sw, req, body)
	default:
		s.refuse(sw, req, "no service is there")
	}
	s.requests = append(s.requests, entry)
}

func (s *standIn) refuse(w http.ResponseWriter, req *http.Request, why string) {
	s.wrong = append(s.wrong, fmt.Sprintf("%s %s: %s", req.Method, req.URL.RequestURI(), why))
	http.Error(w, why, http.StatusNotImplemented)
}

func (s *standIn) github(w http.ResponseWriter, req *http.Request, body []byte) {
	var in struct {
		Key         string
		Version     string
		RestoreKeys []string `json:"restore_keys"`
		SizeBytes   int64    `json:"size_bytes"`
	}
	if err := json.Unmarshal(body, &in); err != nil || in.Key == "" || in.Version == "" || req.Method != http.MethodPost {
		s.refuse(w, req, "not a request of this service: "+string(body))
		return
	}
	if req.Header.Get("Authorization") != "Bearer "+s.token {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	at := slices.IndexFunc(s.entries, func(e *cacheEntry) bool { return e.Key == in.Key && e.Version == in.Version })
	address := func(i int) string { return fmt.Sprintf("%s/gha-blob/%d?sig=for-%d", s.URL, i, i) }
	answer := map[string]any{"ok": false}
	switch _, method, _ := strings.Cut(req.URL.Path, "CacheService/"); method {
	case "CreateCacheEntry":
		if at >= 0 {
			w.WriteHeader(http.StatusConflict)
			answer = map[string]any{"code": "already_exists", "msg": "cache entry with the same key, version, and scope already exists"}
			break
		}
		s.entries = append(s.entries, &cacheEntry{Key: in.Key, Version: in.Version})
		answer = map[string]any{"ok": true, "signed_upload_url": address(len(s.entries) - 1)}
	case "FinalizeCacheEntryUpload":
		if at < 0 || s.entries[at].committed || int64(len(s.objects[fmt.Sprintf("/gha-blob/%d", at)])) != in.SizeBytes {
			s.refuse(w, req, "finalizes what was not reserved or not uploaded whole")
			return
		}
		s.entries[at].committed = true
		answer = map[string]any{"ok": true, "entry_id": strconv.Itoa(at)}
	case "GetCacheEntryDownloadURL":
		for _, key := range append([]string{in.Key}, in.RestoreKeys...) {
			for i, e := range slices.Backward(s.entries) {
				if e.committed && e.Version == in.Version && strings.HasPrefix(e.Key, key) && answer["ok"] == false {
					answer = map[string]any{"ok": true, "signed_download_url": address(i), "matched_key": e.Key}
				}
			}
		}
	default:
		s.refuse(w, req, "no such method")
		return
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// azure speaks for block blobs (https://learn.microsoft.com/rest/api/storageservices).
func (s *standIn) azure(w http.ResponseWriter, req *http.Request, body []byte) {
	path, q := req.URL.Path, req.URL.Query()
	w.Header().Set("x-ms-request-id", "1")
	w.Header().Set("x-ms-version", req.Header.Get("x-ms-version"))
	if id, ok := strings.CutPrefix(path, "/gha-blob/"); ok && q.Get("sig") != "for-"+id || !ok && !strings.HasPrefix(req.Header.Get("Authorization"), "SharedKey account:") {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	_, there := s.objects[path]
	missing := func(code string) { w.Header().Set("x-ms-error-code", code); w.WriteHeader(http.StatusNotFound) }
	switch {
	case q.Get("restype") == "container" && req.Method == http.MethodGet:
		if !there {
			missing("ContainerNotFound")
		}
	case q.Get("restype") == "container" && req.Method == http.MethodPut:
		s.objects[path] = []byte{}
		w.WriteHeader(http.StatusCreated)
	case req.Method == http.MethodPut && q.Get("comp") == "block":
		s.blocks[path+" "+q.Get("blockid")] = body
		w.WriteHeader(http.StatusCreated)
	case req.Method == http.MethodPut && there && req.Header.Get("If-None-Match") == "*":
		w.Header().Set("x-ms-error-code", "BlobAlreadyExists")
		w.WriteHeader(http.StatusConflict)
	case req.Method == http.MethodPut && q.Get("comp") == "blocklist":
		var list struct{ Latest []string }
		if err := xml.Unmarshal(body, &list); err != nil {
			s.refuse(w, req, err.Error())
			return
		}
		var whole []byte
		for _, id := range list.Latest {
			whole = append(whole, s.blocks[path+" "+id]...)
		}
		s.objects[path] = whole
		w.WriteHeader(http.StatusCreated)
	case req.Method == http.MethodPut && req.Header.Get("x-ms-blob-type") == "BlockBlob":
		s.objects[path] = body
		w.WriteHeader(http.StatusCreated)
	case (req.Method == http.MethodGet || req.Method == http.MethodHead) && !there:
		missing("BlobNotFound")
	case req.Method == http.MethodGet || req.Method == http.MethodHead:
		s.content(w, req, req.Header.Get("x-ms-range"))
	default:
		s.refuse(w, req, "not told to expect this")
	}
}

func (s *standIn) s3(w http.ResponseWriter, req *http.Request, body []byte) {
	path := req.URL.Path
	if !strings.HasPrefix(req.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=access/") {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	_, there := s.objects[path]
	switch {
	case req.Method == http.MethodPut && req.URL.Query().Get("x-id") == "PutObject":
		s.objects[path] = body
		w.Header().Set("ETag", `"1"`)
	case (req.Method == http.MethodGet || req.Method == http.MethodHead) && !there:
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, "<Error><Code>NoSuchKey</Code><Message>none</Message></Error>")
	case req.Method == http.MethodGet || req.Method == http.MethodHead:
		w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
		s.content(w, req, req.Header.Get("Range"))
	default:
		s.refuse(w, req, "not told to expect this")
	}
}

// content answers with an object, from the offset of a range BYTES=OFFSET-.
func (s *standIn) content(w http.ResponseWriter, req *http.Request, byteRange string) {
	data, status := s.objects[req.URL.Path], http.StatusOK
	if from, ok := strings.CutPrefix(byteRange, "bytes="); ok {
		first, last, _ := strings.Cut(from, "-")
		n, err := strconv.Atoi(first)
		if err != nil || n > len(data) || last != "" {
			s.refuse(w, req, "not told to expect the range "+byteRange)
			return
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", n, len(data)-1, len(data)))
		data, status = data[n:], http.StatusPartialContent
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(status)
	if req.Method == http.MethodGet {
		_, _ = w.Write(data)
	}
}

// standin: starts the stand-in for this script, and tells the job about it as
// GitHub's runner and AWS' users do. The address is in $STANDIN.
func (s *scene) standInCmd(ts *testscript.TestScript, _ []string) error {
	s.services = newStandIn()
	ts.Defer(s.services.Close)
	key := newValue("")
	s.canaries = append(s.canaries, canary{"ACTIONS_RUNTIME_TOKEN", s.services.token, true}, canary{"AWS_SECRET_ACCESS_KEY", key, true})
	for name, value := range map[string]string{
		"STANDIN": s.services.URL, "ACTIONS_RUNTIME_TOKEN": s.services.token, "ACTIONS_RESULTS_URL": s.services.URL + "/", "ACTIONS_CACHE_SERVICE_V2": "true",
		"AWS_ACCESS_KEY_ID": "access", "AWS_SECRET_ACCESS_KEY": key, "AWS_REGION": "eu-central-1",
	} {
		ts.Setenv(name, value)
		s.vars = append(s.vars, name)
	}
	return nil
}

// standin-writes none|some SERVICE…: what /twirp, /s3, /azure or /gha-blob were
// sent that is no question. Nothing unexpected may have been asked of any.
func (s *scene) standInWritesCmd(_ *testscript.TestScript, args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("usage: standin-writes none|some SERVICE…")
	}
	s.services.mu.Lock()
	defer s.services.mu.Unlock()
	if len(s.services.wrong) > 0 {
		return fmt.Errorf("unexpected: %s", strings.Join(s.services.wrong, "\n"))
	}
	for _, service := range args[1:] {
		var writes []string
		for _, r := range s.services.requests {
			_, uri, _ := strings.Cut(r.line, " ")
			if strings.HasPrefix(uri, "/"+service) && r.write() && !strings.HasSuffix(uri, "/GetCacheEntryDownloadURL") {
				writes = append(writes, fmt.Sprintf("%s %d", r.line, r.status))
			}
		}
		if (len(writes) > 0) != (args[0] == "some") {
			return fmt.Errorf("%s: want %s, it saw: %s", service, args[0], strings.Join(writes, "\n"))
		}
	}
	return nil
}
