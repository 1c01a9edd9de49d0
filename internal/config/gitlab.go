package config

import "slices"

// gitlab is the part that says which variables of which GitLab are meant, and
// what shows us in. The token itself is never an option.
var gitlab = slices.Concat(secrets[:1:1], secrets[2:3:3], []Option{
	{Flag: "project", Kind: String, Arg: "ID|PATH", Group: GroupGitLab, Usage: "project, such as team/app (default: CI_PROJECT_ID, if there is no --group)"},
	{Flag: "group", Kind: List, Arg: "ID|PATH", Group: GroupGitLab, Usage: "group whose variables are meant"},
	{Flag: "url", Kind: String, Arg: "URL", Group: GroupGitLab, Usage: "the GitLab (default: CI_API_V4_URL, CI_SERVER_URL or https://gitlab.com)"},
	{Flag: "token-stdin", Kind: Bool, Group: GroupGitLab, Usage: "read the access token from standard input (default: GITLAB_TOKEN)"},
	{Flag: "token-sops", Kind: String, Arg: "FILE#KEY", Group: GroupGitLab, Usage: "take the access token from a SOPS file"},
	{Flag: "name", Kind: List, Arg: "ID=NAME", Group: GroupGitLab, Usage: "name of the variable of the secret ID (default: the id upper-cased, with _ for what no name may have)"},
	{Flag: "json", Kind: Bool, Group: GroupOutput, Usage: "print JSON"},
})

// GitLabAudit is the table of "secure-build gitlab audit".
var GitLabAudit = slices.Concat(gitlab, []Option{
	{Flag: "errors-only", Kind: Bool, Group: GroupGitLab, Usage: "end with exit code 2 for errors, and not for warnings"},
})

// GitLabSync is the table of "secure-build gitlab sync".
var GitLabSync = slices.Concat(gitlab, []Option{
	{Flag: "apply", Kind: Bool, Group: GroupGitLab, Usage: "do it; without, only the plan is shown"},
	{Flag: "scope", Kind: String, Default: "*", Arg: "ENVIRONMENT", Group: GroupGitLab, Usage: "environments that get the variables, such as production or review/*"},
	{Flag: "protected", Kind: Bool, Group: GroupGitLab, Usage: "give the variables to jobs of protected branches and tags only"},
	{Flag: "as-base64", Kind: List, Arg: "ID", Group: GroupGitLab, Usage: "store the value as base64, which GitLab can mask; the job decodes it"},
	{Flag: "as-file", Kind: List, Arg: "ID", Group: GroupGitLab, Usage: "make it a File variable, as PEM, JSON and values of several lines are"},
	{Flag: "unmasked", Kind: List, Arg: "ID", Group: GroupGitLab, Usage: "store the value although GitLab cannot mask it"},
	{Flag: "adopt", Kind: List, Arg: "NAME", Group: GroupGitLab, Usage: "variable that sync did not make and may take over"},
	{Flag: "replace", Kind: Bool, Group: GroupGitLab, Usage: "make variables anew that are not hidden and could be, which GitLab allows at creation only"},
	{Flag: "prune", Kind: Bool, Group: GroupGitLab, Usage: "delete variables that sync made in this scope and that no file has any more"},
	{Flag: "owner", Kind: String, Arg: "NAME", Group: GroupGitLab, Usage: "name of this sync, for several that share a project or group: each touches its own variables only"},
})
