package platform

import "github.com/org/secure-build/internal/canary"

// Catches says of a value that only the CI's own masker knows, as people use it
// without us, in which forms a log would still show it: not masked. GitLab masks
// nothing of a value that it does not take as a masked variable, and a terminal
// nothing at all.
func Catches(kind Kind, value []byte) []canary.Result {
	mask := func(log []byte) []byte { return log }
	switch {
	case kind == GitHub:
		mask = NewGitHubMasker(string(value)).Mask
	case kind == GitLab && (GitLabMaskable(string(value), false) || GitLabMaskable(string(value), true)):
		mask = func(log []byte) []byte { return MaskGitLab(log, string(value)) }
	}
	return canary.Test(value, mask)
}
