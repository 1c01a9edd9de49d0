package source

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/org/secure-build/internal/hint"
)

// A repository of a GitHub event; nil where it was deleted.
type repository struct {
	FullName string `json:"full_name"`
}

// An event is what started a workflow of GitHub, as far as it says whose
// change is built. https://docs.github.com/webhooks/webhook-events-and-payloads
type event struct {
	name        string
	Repository  *repository
	PullRequest *struct {
		Head, Base struct {
			SHA  string
			Repo *repository
		}
	} `json:"pull_request"`
	WorkflowRun *struct {
		Event          string
		HeadRepository *repository `json:"head_repository"`
	} `json:"workflow_run"`
	Issue *struct {
		PullRequest *struct{} `json:"pull_request"`
	}
}

// readEvent reads the event of this workflow. One that cannot be read is empty,
// and so does not say where the change comes from.
func readEvent(opts Options) event {
	e := event{name: opts.env("GITHUB_EVENT_NAME")}
	f, err := os.Open(opts.env("GITHUB_EVENT_PATH"))
	if err != nil {
		return e
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 64<<20))
	if err != nil || json.Unmarshal(data, &e) != nil {
		return event{name: e.name}
	}
	return e
}

// githubFork reads the event that started the workflow. An event about another
// commit than this repository's own, which does not say whose, counts as a
// fork's.
func githubFork(opts Options) error {
	e := readEvent(opts)
	var head, base *repository
	switch {
	case strings.HasPrefix(e.name, "pull_request"):
		if e.PullRequest != nil {
			head, base = e.PullRequest.Head.Repo, e.PullRequest.Base.Repo
		}
	case e.name == "workflow_run":
		if e.WorkflowRun != nil {
			head, base = e.WorkflowRun.HeadRepository, e.Repository
		}
	default:
		return nil
	}
	switch {
	case base == nil || base.FullName == "":
		return isFork("the event %s does not say where the change comes from, so it may be", printable(e.name))
	case head == nil || head.FullName == "":
		return isFork("the repository of this change is gone")
	case !strings.EqualFold(head.FullName, base.FullName):
		return isFork("this change comes from %s", printable(head.FullName))
	}
	return nil
}

// checkCheckout refuses what is not this repository's own commit in the jobs
// that have its rights for somebody else's change: such a job may look at the
// change, and must not build it. (GitHub Security Lab, "Preventing pwn requests".)
func checkCheckout(opts Options, fork error, folders []string) error {
	e := readEvent(opts)
	own := []string{opts.env("GITHUB_SHA")}
	switch {
	case e.name == "pull_request_target" && fork != nil:
		if e.PullRequest != nil {
			own = append(own, e.PullRequest.Base.SHA)
		}
	case e.name == "workflow_run" && fork != nil:
	case e.name == "issue_comment" && (e.Issue == nil || e.Issue.PullRequest != nil): // whose, it does not say
	default:
		return nil
	}
	for _, folder := range folders {
		commit, err := headCommit(folder)
		if err == nil && slices.Contains(own, commit) {
			continue
		}
		what := "is commit " + short(commit) + ", and this repository's is " + short(own[0])
		if err != nil {
			what = "is of a commit that cannot be told (" + err.Error() + ")"
		}
		return hint.Wrap(
			fmt.Errorf("refusing to build on the event %s: %s %s: %w", e.name, printable(folder), what, ErrFork),
			"this event gives the job the repository's rights: build the change of a fork on the event pull_request, which has none, or check out the default commit (actions/checkout without ref)")
	}
	return nil
}

func short(commit string) string {
	if commit == "" {
		return "unknown"
	}
	return commit[:min(len(commit), 12)]
}
