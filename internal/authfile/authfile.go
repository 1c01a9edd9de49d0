// Package authfile finds the Docker credentials that are for one repository
// or one purpose, as buildx does: docker/login-action with the input scope puts
// them apart from the others, below the folder config of buildx's own.
//
// The rules are those of buildx v0.37.0 (util/dockerutil/dockerconfig), and of
// https://docs.docker.com/build/building/registry-auth/.
package authfile

import (
	"cmp"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// file is Docker's name for it.
const file = "config.json"

// DockerHub is the host of docker.io, which its folder is named after.
const DockerHub = "registry-1.docker.io"

// A place is a folder HOST[/REPOSITORY][@ACTION[,ACTION…]].
type place struct {
	dir, host, repo string
	actions         []string
}

func parse(root, dir string) (place, error) {
	name, err := filepath.Rel(root, dir)
	if err != nil {
		return place{}, err
	}
	p := place{dir: dir}
	name, actions, _ := strings.Cut(filepath.ToSlash(name), "@")
	for action := range strings.SplitSeq(actions, ",") {
		if action = strings.TrimSpace(action); action != "" {
			p.actions = append(p.actions, action)
		}
	}
	p.host, p.repo, _ = strings.Cut(name, "/")
	return p, nil
}

// Scope is how a registry's token says what it is for
// (https://distribution.github.io/distribution/spec/auth/scope/).
func Scope(repo string, actions ...string) string {
	return "repository:" + repo + ":" + strings.Join(actions, ",")
}

// Dir is the folder below root whose config.json has the login for what the
// scopes ask of a host: the one that names the repository rather than one for
// all of them, then the one that names most actions. It is "" if there is none,
// or if the scopes are of several repositories: the usual login is for those.
func Dir(root, host string, scopes []string) string {
	repo, actions, ok := asked(scopes)
	if !ok || root == "" {
		return ""
	}
	var fit []place
	_ = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() != file {
			return nil // what cannot be read has no login for us
		}
		p, err := parse(root, filepath.Dir(name))
		if err == nil && p.host == host && (p.repo == "" || p.repo == repo) && within(p.actions, actions) {
			fit = append(fit, p)
		}
		return nil
	})
	if len(fit) == 0 {
		return ""
	}
	return slices.MinFunc(fit, func(a, b place) int {
		return cmp.Or(
			-strings.Compare(a.repo, b.repo),
			-cmp.Compare(len(a.actions), len(b.actions)),
			-strings.Compare(a.dir, b.dir), // push before pull, where one may do both
		)
	}).dir
}

func within(some, all []string) bool {
	return !slices.ContainsFunc(some, func(s string) bool { return !slices.Contains(all, s) })
}

// asked takes the scopes apart: repository:NAME:ACTION,ACTION, several of them
// in one string with spaces between.
func asked(scopes []string) (repo string, actions []string, ok bool) {
	for i, scope := range strings.Fields(strings.Join(scopes, " ")) {
		kind, rest, _ := strings.Cut(scope, ":")
		colon := strings.LastIndexByte(rest, ':')
		if kind != "repository" || colon < 0 || i > 0 && rest[:colon] != repo {
			return "", nil, false
		}
		repo = rest[:colon]
		actions = append(actions, strings.Split(rest[colon+1:], ",")...)
	}
	return repo, actions, repo != ""
}
