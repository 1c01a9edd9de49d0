package main_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/org/secure-build/internal/gitlab/gitlabtest"
	"github.com/rogpeppe/go-internal/testscript"
)

// gitlab-api start CANARY: a GitLab that lets in who has that canary for a token;
// its address is put into CI_SERVER_URL.
//
// gitlab-api add OWNER NAME=CANARY [FLAG…]: a variable that a person made. The
// owner is as in an address (projects/team%2Fapp); a value that is no canary is
// taken as it is.
//
// gitlab-api stall N: the first N requests that change something are done from now
// on, the next one gets no answer. Interrupts sees it as "the push".
//
// gitlab-api show OWNER: its variables, each with the canary that is its value.
//
// gitlab-api log: the requests so far. It fails if a canary is in one of them but
// in a body that sets it.
func (s *scene) gitlabAPICmd(ts *testscript.TestScript, args []string) error {
	switch {
	case len(args) == 2 && args[0] == "start":
		c, err := s.canary(args[1])
		if err != nil {
			return err
		}
		s.gitlab.Token = c.value
		s.gitlab.Add("projects/team%2Fapp")
		s.gitlab.Add("groups/team")
		web := httptest.NewServer(&s.gitlab)
		ts.Defer(web.Close)
		ts.Setenv("CI_SERVER_URL", web.URL)
		s.vars = append(s.vars, "CI_SERVER_URL", "CI_JOB_TOKEN", "CI_MERGE_REQUEST_PROJECT_ID", "CI_MERGE_REQUEST_SOURCE_PROJECT_ID")
		return nil
	case len(args) >= 3 && args[0] == "add":
		return s.gitlabAdd(args[1], args[2], args[3:])
	case len(args) == 2 && args[0] == "stall":
		return s.gitlabStall(args[1])
	case len(args) == 2 && args[0] == "show":
		return s.gitlabShow(ts, args[1])
	case len(args) == 1 && args[0] == "log":
		return s.gitlabLog(ts)
	}
	return fmt.Errorf("usage: gitlab-api start CANARY | add OWNER NAME=CANARY [FLAG…] | stall N | show OWNER | log")
}

func (s *scene) gitlabAdd(owner, variable string, flags []string) error {
	name, value, ok := strings.Cut(variable, "=")
	if !ok {
		return fmt.Errorf("%q is not NAME=CANARY", variable)
	}
	if c, err := s.canary(value); err == nil {
		value = c.value
	}
	has := func(flag string) bool { return slices.Contains(flags, flag) }
	v := gitlabtest.Variable{Key: name, Value: value, Masked: has("masked"), Protected: has("protected"), Raw: has("raw"), Hidden: has("hidden")}
	if has("file") {
		v.VariableType = "file"
	}
	s.gitlab.Add(owner, v)
	return nil
}

func (s *scene) gitlabStall(count string) error {
	n, err := strconv.Atoi(count)
	left := int64(n)
	s.gitlab.Before = func(r gitlabtest.Request) *gitlabtest.Answer {
		if !r.Changes() || atomic.AddInt64(&left, -1) != -1 {
			return nil
		}
		s.registry.stalled <- struct{}{}
		<-r.Gone
		return &gitlabtest.Answer{Status: http.StatusGatewayTimeout}
	}
	return err
}

func (s *scene) gitlabShow(ts *testscript.TestScript, owner string) error {
	all := s.gitlab.Variables(owner)
	fmt.Fprintf(ts.Stdout(), "%d variables\n", len(all))
	for _, v := range all {
		is := "something else"
		for _, c := range s.canaries {
			switch v.Value {
			case c.value:
				is = c.name
			case base64.StdEncoding.EncodeToString([]byte(c.value)):
				is = "base64 of " + c.name
			}
		}
		fmt.Fprintf(ts.Stdout(), "%s %s %s masked=%v hidden=%v protected=%v raw=%v is %s\n",
			v.Key, v.EnvironmentScope, v.VariableType, v.Masked, v.Hidden, v.Protected, v.Raw, is)
	}
	return nil
}

func (s *scene) gitlabLog(ts *testscript.TestScript) error {
	if strange := s.gitlab.Unexpected(); len(strange) > 0 {
		return fmt.Errorf("unexpected requests: %q", strange)
	}
	for _, r := range s.gitlab.Requests() {
		fmt.Fprintf(ts.Stdout(), "%s %s?%s %d\n", r.Method, r.Path, r.Query, r.Status)
		for _, c := range s.canaries {
			open := r.Path + " " + r.Query
			if r.Method != "POST" && r.Method != "PUT" {
				open += r.Body
			}
			for form, text := range forms(c.value) {
				if strings.Contains(open, text) {
					return fmt.Errorf("%s (%s) is in %s %s", c.name, form, r.Method, r.Path)
				}
			}
		}
	}
	return nil
}
