package source

import (
	"errors"
	"strings"
	"testing"
)

func TestI10Refuse(t *testing.T) {
	w := newWorld(t)
	w.write("own.json", `{"pull_request":{"head":{"repo":{"full_name":"Org/app"}},"base":{"repo":{"full_name":"org/app"}}}}`)
	w.write("fork.json", `{"pull_request":{"head":{"repo":{"full_name":"eve/app"}},"base":{"repo":{"full_name":"org/app"}}}}`)
	w.write("gone.json", `{"pull_request":{"head":{"repo":null},"base":{"repo":{"full_name":"org/app"}}}}`)
	w.write("odd.json", `{"pull_request":{}}`)
	w.write("bad.json", `{`)
	w.write("run-own.json", `{"repository":{"full_name":"org/app"},"workflow_run":{"event":"pull_request","head_repository":{"full_name":"org/app"}}}`)
	w.write("run-fork.json", `{"repository":{"full_name":"org/app"},"workflow_run":{"event":"pull_request","head_repository":{"full_name":"eve/app"}}}`)
	event := func(name, file string) map[string]string {
		return map[string]string{"GITHUB_EVENT_NAME": name, "GITHUB_EVENT_PATH": w.dir + "/" + file}
	}
	mr := func(what, source, target string) map[string]string {
		return map[string]string{"CI_MERGE_REQUEST_SOURCE_PROJECT_" + what: source, "CI_MERGE_REQUEST_PROJECT_" + what: target}
	}
	tests := []struct {
		name string
		env  map[string]string
		want error
	}{
		{"nothing", nil, nil},
		{"trace off", map[string]string{"CI_DEBUG_TRACE": "false"}, nil},
		{"trace empty", map[string]string{"CI_DEBUG_TRACE": ""}, nil},
		{"trace 0", map[string]string{"CI_DEBUG_TRACE": "0"}, nil},
		{"trace true", map[string]string{"CI_DEBUG_TRACE": "true"}, ErrDebug},
		{"trace 1", map[string]string{"CI_DEBUG_TRACE": "1"}, ErrDebug},
		{"trace t", map[string]string{"CI_DEBUG_TRACE": "t"}, ErrDebug},
		{"trace T", map[string]string{"CI_DEBUG_TRACE": "T"}, ErrDebug},
		{"trace TRUE", map[string]string{"CI_DEBUG_TRACE": "TRUE"}, ErrDebug},
		{"services", map[string]string{"CI_DEBUG_SERVICES": "true"}, ErrDebug},
		{"push", event("push", "bad.json"), nil},
		{"own branch", event("pull_request", "own.json"), nil},
		{"fork", event("pull_request", "fork.json"), ErrFork},
		{"fork by target", event("pull_request_target", "fork.json"), ErrFork},
		{"fork is gone", event("pull_request", "gone.json"), ErrFork},
		{"unknown shape", event("pull_request", "odd.json"), ErrFork},
		{"no JSON", event("pull_request", "bad.json"), ErrFork},
		{"no event", event("pull_request", "none.json"), ErrFork},
		{"merge request", mr("ID", "7", "7"), nil},
		{"merge request of a fork", mr("ID", "8", "7"), ErrFork},
		{"merge request of a fork, by path", mr("PATH", "eve/app", "org/app"), ErrFork},
		{"half a merge request", mr("ID", "8", ""), nil},
		{"merge request of a fork, by the project", map[string]string{"CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "8", "CI_PROJECT_ID": "7"}, ErrFork},
		{"merge request of a fork, in the fork", map[string]string{"CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "8", "CI_PROJECT_ID": "8", "CI_MERGE_REQUEST_PROJECT_ID": "7"}, ErrFork},
		{"own merge request, by everything", map[string]string{"CI_PIPELINE_SOURCE": "merge_request_event", "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "7",
			"CI_PROJECT_ID": "7", "CI_MERGE_REQUEST_PROJECT_ID": "7", "CI_MERGE_REQUEST_SOURCE_PROJECT_PATH": "org/app", "CI_PROJECT_PATH": "org/App"}, nil},
		{"merge request of a project that is gone", map[string]string{"CI_PIPELINE_SOURCE": "merge_request_event", "CI_PROJECT_ID": "7"}, ErrFork},
		{"external pull request", map[string]string{"CI_EXTERNAL_PULL_REQUEST_SOURCE_REPOSITORY": "eve/app", "CI_EXTERNAL_PULL_REQUEST_TARGET_REPOSITORY": "org/app"}, ErrFork},
		{"review of a fork", event("pull_request_review", "fork.json"), ErrFork},
		{"after a fork's workflow", event("workflow_run", "run-fork.json"), ErrFork},
		{"after our own workflow", event("workflow_run", "run-own.json"), nil},
		{"after a workflow of nobody", event("workflow_run", "bad.json"), ErrFork},
		{"comment", event("issue_comment", "bad.json"), nil},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			w.env = tc.env
			got := Refuse(w.lookup)
			if !errors.Is(got, tc.want) || (got == nil) != (tc.want == nil) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

// TestI10LoadRefuses holds that Load refuses by itself, before it reads
// anything and whatever kind of secret it is; Names needs no key.
func TestI10LoadRefuses(t *testing.T) {
	w := newWorld(t)
	w.encrypt("s.yaml", testPlain)
	w.write("fork.json", `{"pull_request":{"head":{"repo":{"full_name":"eve/app"}},"base":{"repo":{"full_name":"org/app"}}}}`)
	w.env["TOKEN"] = "value"
	for _, line := range []string{"s.yaml", "id=x,env=TOKEN", "id=x,src=s.yaml", "id=TOKEN"} {
		w.env["CI_DEBUG_TRACE"], w.env["GITHUB_EVENT_NAME"] = "true", ""
		if _, err := w.load(line); !errors.Is(err, ErrDebug) || !strings.Contains(err.Error(), "refusing to decrypt under CI_DEBUG_TRACE") {
			t.Errorf("%s: got %v", line, err)
		}
		w.env["CI_DEBUG_TRACE"], w.env["GITHUB_EVENT_NAME"], w.env["GITHUB_EVENT_PATH"] = "", "pull_request", w.dir+"/fork.json"
		if _, err := w.load(line); !errors.Is(err, ErrFork) || err.Error() != "refusing to decrypt: this change comes from eve/app: the change comes from a fork" {
			t.Errorf("%s: got %v", line, err)
		}
	}
	if _, err := w.load(); err != nil {
		t.Errorf("without a secret there is nothing to refuse: %v", err)
	}
	ref, _ := ParseSOPS("s.yaml")
	if _, err := Names(ref, w.options()); err != nil {
		t.Error(err)
	}
}
