package source

import (
	"errors"
	"fmt"
	"strings"

	"github.com/org/secure-build/internal/hint"
)

// ErrDebug and ErrFork say why nothing may be decrypted in this job (I10).
// For a fork the build can go on without secrets, as long as it does not push.
var (
	ErrDebug = errors.New("the job prints every variable")
	ErrFork  = errors.New("the change comes from a fork")
)

// A Decision is what a job may do (I10).
type Decision struct {
	Decrypt bool  // read any secret
	Push    bool  // write to a registry or a shared cache
	Why     error // why not both; nil if both
}

// Decide says what a build of these folders (the context, the Dockerfile's, …)
// may do in this job. For a change that comes from a fork it is neither: the
// author can change the build. An error refuses the build altogether: the job
// has the rights of this repository, and what is checked out is not this
// repository's.
func Decide(opts Options, folders ...string) (Decision, error) {
	why := fork(opts)
	if err := checkCheckout(opts, why, folders); err != nil {
		return Decision{Why: err}, err
	}
	return Decision{Decrypt: why == nil, Push: why == nil, Why: why}, nil
}

// Refuse says whether nothing may be decrypted in this job: while the CI
// prints every variable, and for a change that comes from a fork. nil means
// os.LookupEnv.
func Refuse(lookupEnv func(string) (string, bool)) error {
	opts := Options{LookupEnv: lookupEnv}
	for _, name := range []string{"CI_DEBUG_TRACE", "CI_DEBUG_SERVICES"} {
		if isTrue(opts.env(name)) {
			return hint.Wrap(fmt.Errorf("refusing to decrypt under %s: %w", name, ErrDebug),
				"unset %s, and rotate the secrets of jobs that ran with it", name)
		}
	}
	if err := fork(opts); err != nil {
		return fmt.Errorf("refusing to decrypt: %w", err)
	}
	return nil
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

// fork says whether the change that started this job comes from a fork, or may.
func fork(opts Options) error {
	if err := gitlabFork(opts); err != nil {
		return err
	}
	return githubFork(opts)
}

func isFork(format string, args ...any) error {
	return hint.Wrap(fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrFork),
		"build it without secrets and without push; a maintainer's branch of the same commit may have both")
}

// gitlabFork compares the two projects of a merge request, which differ for a
// fork also when a member runs its pipeline in the parent project.
// https://docs.gitlab.com/ci/variables/predefined_variables/
func gitlabFork(opts Options) error {
	from := func(what string) string { return opts.env("CI_MERGE_REQUEST_SOURCE_PROJECT_" + what) }
	for _, pair := range [][2]string{
		{from("ID"), opts.env("CI_MERGE_REQUEST_PROJECT_ID")},
		{from("ID"), opts.env("CI_PROJECT_ID")},
		{from("PATH"), opts.env("CI_MERGE_REQUEST_PROJECT_PATH")},
		{from("PATH"), opts.env("CI_PROJECT_PATH")},
		{opts.env("CI_EXTERNAL_PULL_REQUEST_SOURCE_REPOSITORY"), opts.env("CI_EXTERNAL_PULL_REQUEST_TARGET_REPOSITORY")},
	} {
		if source, target := pair[0], pair[1]; source != "" && target != "" && !strings.EqualFold(source, target) {
			return isFork("this merge request's source project is %s and not %s", printable(source), printable(target))
		}
	}
	if opts.env("CI_PIPELINE_SOURCE") == "merge_request_event" && from("ID") == "" && from("PATH") == "" {
		return isFork("this merge request does not say which project it comes from, so that it may be a fork")
	}
	return nil
}
