package source

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/org/secure-build/internal/hint"
)

// ErrDebug and ErrFork say why nothing may be decrypted in this job (I10).
// For a fork the build can go on without secrets, as long as it does not push.
var (
	ErrDebug = errors.New("the job prints every variable")
	ErrFork  = errors.New("the change comes from a fork")
)

// Refuse says whether nothing may be decrypted in this job: while the CI
// prints every variable, and for a pull request from a fork, whose author can
// change the build. nil means os.LookupEnv.
func Refuse(lookupEnv func(string) (string, bool)) error {
	opts := Options{LookupEnv: lookupEnv}
	for _, name := range []string{"CI_DEBUG_TRACE", "CI_DEBUG_SERVICES"} {
		if isTrue(opts.env(name)) {
			return hint.Wrap(fmt.Errorf("refusing to decrypt under %s: %w", name, ErrDebug),
				"unset %s, and rotate the secrets of jobs that ran with it", name)
		}
	}
	if err := refuseGitLab(opts); err != nil {
		return err
	}
	return refuseGitHub(opts)
}

// isTrue reads a boolean as GitLab's runner does (strconv.ParseBool), and
// takes what it does not know for true.
func isTrue(value string) bool {
	switch strings.ToLower(value) {
	case "", "0", "f", "false", "no", "off":
		return false
	}
	return true
}

func fork(format string, args ...any) error {
	return hint.Wrap(fmt.Errorf("refusing to decrypt: %s: %w", fmt.Sprintf(format, args...), ErrFork),
		"build it without secrets and without push; a maintainer's branch of the same commit may have both")
}

// refuseGitLab compares the two projects of a merge request, which differ for
// a fork also when a member runs its pipeline in the parent project.
func refuseGitLab(opts Options) error {
	for _, what := range []string{"ID", "PATH"} {
		source, target := opts.env("CI_MERGE_REQUEST_SOURCE_PROJECT_"+what), opts.env("CI_MERGE_REQUEST_PROJECT_"+what)
		if source != "" && target != "" && source != target {
			return fork("this merge request's source project is %s and not %s", printable(source), printable(target))
		}
	}
	return nil
}

// refuseGitHub reads the event that started the workflow. An event of a pull
// request that cannot be read counts as one from a fork.
func refuseGitHub(opts Options) error {
	event := opts.env("GITHUB_EVENT_NAME")
	if !strings.HasPrefix(event, "pull_request") {
		return nil
	}
	type repository struct {
		FullName string `json:"full_name"`
	}
	var payload struct {
		PullRequest *struct {
			Head, Base struct{ Repo *repository }
		} `json:"pull_request"`
	}
	data, err := readEvent(opts.env("GITHUB_EVENT_PATH"))
	if err == nil {
		err = json.Unmarshal(data, &payload)
	}
	if err != nil || payload.PullRequest == nil || payload.PullRequest.Base.Repo == nil || payload.PullRequest.Base.Repo.FullName == "" {
		return fork("the event %s does not say where the pull request comes from, so it may be", printable(event))
	}
	head, base := payload.PullRequest.Head.Repo, payload.PullRequest.Base.Repo
	switch {
	case head == nil:
		return fork("the repository of this pull request is gone")
	case !strings.EqualFold(head.FullName, base.FullName):
		return fork("this pull request comes from %s", printable(head.FullName))
	}
	return nil
}

func readEvent(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 64<<20))
}
