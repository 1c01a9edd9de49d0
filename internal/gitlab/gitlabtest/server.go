// Package gitlabtest is a stand-in for GitLab's variables API that keeps its
// rules, for tests: which values can be masked, that a variable is hidden at
// its creation or never, how scopes and filters work, pages, limits and the
// words of its errors (lib/api/ci/variables.rb, lib/api/group_variables.rb,
// Ci::Maskable, Ci::HidableVariable, Ci::HasVariable, Limitable).
package gitlabtest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Tokens that the server knows.
const (
	Token    = "glpat-maintainer-token"
	ReadOnly = "glpat-read-only-token-"
)

// A Variable is one of an owner, as the database has it.
type Variable struct {
	Key              string
	Value            string
	VariableType     string
	Protected        bool
	Masked           bool
	Hidden           bool
	Raw              bool
	EnvironmentScope string
	Description      string
}

// A Request is one that came in.
type Request struct {
	Method, Path, Query, Body string
	Header                    http.Header
	Status                    int
	Gone                      <-chan struct{} // closed when the client is
}

// Changes says whether the request is one that writes.
func (r Request) Changes() bool { return r.Method != http.MethodGet }

// A Server answers for projects and groups. Set its fields before it is used.
type Server struct {
	Token       string                  // in place of the constant
	Limit       int                     // variables of one owner; 0 is GitLab's own
	NoHidden    bool                    // a GitLab before 17.4, which drops masked_and_hidden
	FreeGroups  bool                    // a GitLab without Premium, which drops the scopes of groups
	AllBranches bool                    // the pattern "*" is protected
	Before      func(r Request) *Answer // decides instead of the server, if it is not nil
	After       func(r Request)         // runs when the server has done it, before it answers

	mu         sync.Mutex
	owners     map[string][]Variable
	requests   []Request
	unexpected []string
}

// An Answer is one that a test gives in place of the server.
type Answer struct {
	Status int
	Header map[string]string
	Body   string
}

// Add makes an owner ("projects/team%2Fapp", "groups/7") with variables.
func (s *Server) Add(owner string, vars ...Variable) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owners == nil {
		s.owners = map[string][]Variable{}
	}
	for _, v := range vars {
		if v.EnvironmentScope == "" {
			v.EnvironmentScope = "*"
		}
		if v.VariableType == "" {
			v.VariableType = "env_var"
		}
		s.owners[owner] = append(s.owners[owner], v)
	}
	s.owners[owner] = slices.Clip(s.owners[owner])
}

// Variables are those of an owner at present.
func (s *Server) Variables(owner string) []Variable {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.owners[owner])
}

// Remove deletes variables by name, as a person does.
func (s *Server) Remove(owner, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owners[owner] = slices.DeleteFunc(s.owners[owner], func(v Variable) bool { return v.Key == name })
}

// Requests are those so far.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Unexpected lists requests that no client of the variables API makes. A test
// fails if there are any.
func (s *Server) Unexpected() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.unexpected)
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	req := Request{Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery, Body: string(body), Header: r.Header.Clone(), Gone: r.Context().Done()}
	var a Answer
	switch given := s.before(req); {
	case err != nil:
		a = Answer{Status: http.StatusBadRequest}
	case given != nil:
		a = *given
	default:
		a = s.serve(r, body)
	}
	req.Status = a.Status
	s.mu.Lock()
	s.requests = append(s.requests, req)
	s.mu.Unlock()
	if s.After != nil {
		s.After(req)
	}
	w.Header().Set("Content-Type", "application/json")
	for name, value := range a.Header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(a.Status)
	_, _ = io.WriteString(w, a.Body)
}

func (s *Server) before(req Request) *Answer {
	if s.Before == nil {
		return nil
	}
	return s.Before(req)
}

// serve checks who asks and for what, and hands on.
func (s *Server) serve(r *http.Request, body []byte) Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch token := r.Header.Get("Private-Token"); {
	case r.Header.Get("Job-Token") != "" || token != cmp.Or(s.Token, Token) && token != ReadOnly:
		return message(http.StatusUnauthorized, "401 Unauthorized")
	case token == ReadOnly:
		return message(http.StatusForbidden, "403 Forbidden")
	}
	path, ok := strings.CutPrefix(r.URL.EscapedPath(), "/api/v4/")
	parts := strings.Split(path, "/")
	if !ok || len(parts) < 3 || parts[0] != "projects" && parts[0] != "groups" {
		return s.strange(r, "no such route")
	}
	owner := parts[0] + "/" + parts[1]
	if _, ok := s.owners[owner]; !ok {
		return message(http.StatusNotFound, "404 "+strings.ToUpper(parts[0][:1])+parts[0][1:len(parts[0])-1]+" Not Found")
	}
	query := r.URL.Query()
	for name := range query {
		if !slices.Contains([]string{"page", "per_page", "filter[environment_scope]"}, name) {
			return s.strange(r, "the parameter "+name)
		}
	}
	scope := query.Get("filter[environment_scope]")
	switch {
	case parts[0] == "projects" && r.Method == http.MethodGet && strings.Join(parts[2:], "/") == "protected_branches/%2A":
		if !s.AllBranches {
			return message(http.StatusNotFound, "404 Not found")
		}
		return encode(http.StatusOK, map[string]any{"id": 1, "name": "*"})
	case parts[2] != "variables" || len(parts) > 4:
		return s.strange(r, "no such route")
	case len(parts) == 3 && r.Method == http.MethodGet:
		return s.list(owner, query.Get("page"), query.Get("per_page"))
	case len(parts) == 3 && r.Method == http.MethodPost:
		return s.post(r, owner, body)
	case len(parts) == 4 && r.Method == http.MethodGet:
		i, a := s.find(owner, parts[3], scope)
		if i >= 0 {
			a = encode(http.StatusOK, entity(s.owners[owner][i]))
		}
		return a
	case len(parts) == 4 && r.Method == http.MethodPut:
		return s.put(r, owner, parts[3], body)
	case len(parts) == 4 && r.Method == http.MethodDelete:
		i, a := s.find(owner, parts[3], scope)
		if i >= 0 {
			s.owners[owner] = slices.Delete(s.owners[owner], i, i+1)
			a = Answer{Status: http.StatusNoContent}
		}
		return a
	}
	return s.strange(r, "no such method")
}

// strange notes a request that a client should not have made.
func (s *Server) strange(r *http.Request, what string) Answer {
	s.unexpected = append(s.unexpected, r.Method+" "+r.URL.EscapedPath()+": "+what)
	return message(http.StatusTeapot, what)
}

// list gives one page; at most 100 of them.
func (s *Server) list(owner, page, perPage string) Answer {
	n, size := max(1, number(page)), number(perPage)
	if size == 0 {
		size = 20
	}
	size = min(size, 100)
	all := s.owners[owner]
	out := []any{}
	for _, v := range all[min(len(all), (n-1)*size):min(len(all), n*size)] {
		out = append(out, entity(v))
	}
	next := ""
	if n*size < len(all) {
		next = strconv.Itoa(n + 1)
	}
	a := encode(http.StatusOK, out)
	a.Header = map[string]string{"X-Page": strconv.Itoa(n), "X-Per-Page": strconv.Itoa(size), "X-Next-Page": next, "X-Total": strconv.Itoa(len(all))}
	return a
}

func number(text string) int { n, _ := strconv.Atoi(text); return n }

// find is VariablesHelpers#find_variable.
func (s *Server) find(owner, key, scope string) (int, Answer) {
	found := -1
	for i, v := range s.owners[owner] {
		if v.Key != key || scope != "" && v.EnvironmentScope != scope && !s.drops(owner) {
			continue
		}
		if found >= 0 {
			return -1, message(http.StatusConflict, "There are multiple variables with provided parameters. Please use 'filter[environment_scope]'")
		}
		found = i
	}
	if found < 0 {
		return -1, message(http.StatusNotFound, "404 Variable Not Found")
	}
	return found, Answer{}
}

// drops says whether scopes are not known here.
func (s *Server) drops(owner string) bool {
	return s.FreeGroups && strings.HasPrefix(owner, "groups/")
}

func message(status int, text string) Answer {
	return encode(status, map[string]any{"message": text})
}

func encode(status int, v any) Answer {
	var b bytes.Buffer
	out := json.NewEncoder(&b)
	if err := out.Encode(v); err != nil {
		return Answer{Status: http.StatusInternalServerError, Body: fmt.Sprint(err)}
	}
	return Answer{Status: status, Body: b.String()}
}
