package source

import (
	"encoding/csv"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/org/secure-build/internal/hint"
)

// A Compose file says what is read on this machine and what RUN may do, which
// for an image alone the job says. In a change that comes from a fork it is the
// stranger's word (I10): it is given no variable of the job but those that the
// CI shows to everyone, nothing outside of the checkout, and no rights.

// publicVariables are what everyone who can see the change can see too: by their
// whole names, since people call a token of their own CI_PROJECT_TOKEN.
// https://docs.gitlab.com/ci/variables/predefined_variables/
var publicVariables = regexp.MustCompile(`^(CI|SOURCE_DATE_EPOCH|COMPOSE_(PROJECT_NAME|PROFILES)` +
	`|CI_COMMIT_(AUTHOR|BEFORE_SHA|BRANCH|DESCRIPTION|MESSAGE|REF_NAME|REF_PROTECTED|REF_SLUG|SHA|SHORT_SHA|TAG|TAG_MESSAGE|TIMESTAMP|TITLE)` +
	`|CI_PROJECT_(DESCRIPTION|DIR|ID|NAME|NAMESPACE|NAMESPACE_ID|NAMESPACE_SLUG|PATH|PATH_SLUG|ROOT_NAMESPACE|TITLE|TOPICS|URL|VISIBILITY)` +
	`|CI_(DEFAULT_BRANCH|JOB_ID|JOB_NAME|PIPELINE_ID|PIPELINE_IID|PIPELINE_SOURCE|REGISTRY|REGISTRY_IMAGE|SERVER_HOST|SERVER_URL|MERGE_REQUEST_IID)` +
	`|GITHUB_(SHA|REF|REF_NAME|REF_TYPE|HEAD_REF|BASE_REF|REPOSITORY|REPOSITORY_OWNER|RUN_ID|RUN_NUMBER|RUN_ATTEMPT|EVENT_NAME|SERVER_URL))$`)

// public are the variables that a stranger's Compose file may name.
func public(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return !publicVariables.MatchString(name)
	})
}

var named = regexp.MustCompile(`(?:^|[^$])\$\{?([A-Za-z_][A-Za-z0-9_]*)`)

// withheld are the names of variables that Compose files have and are not given.
func withheld(opts Options, files, environ []string) []string {
	var names []string
	for _, file := range files {
		text, err := readFile(opts, file, maxFile, false)
		if err != nil {
			continue // it was read before
		}
		for _, m := range named.FindAllStringSubmatch(string(text), -1) {
			set := slices.ContainsFunc(environ, func(kv string) bool { return strings.HasPrefix(kv, m[1]+"=") })
			if set && !publicVariables.MatchString(m[1]) && !slices.Contains(names, m[1]) {
				names = append(names, m[1])
			}
		}
	}
	return names
}

// confine holds a stranger's service to the checkout, and to what RUN may do
// without being given more.
func (s *Service) confine(b *types.BuildConfig, root string, why error) error {
	s.Fork = true
	s.Lists["ssh"], s.Lists["cache-to"] = nil, nil
	s.Lists["cache-from"] = slices.DeleteFunc(slices.Clone(s.Lists["cache-from"]), func(text string) bool {
		keep := plainCache(text)
		if !keep {
			s.warn("%v: its build.cache_from may name images alone, as type=registry,ref=IMAGE: one of another kind is left out", why)
		}
		return !keep
	})
	var errs []error
	refuse := func(what, advice string) {
		errs = append(errs, hint.Wrap(fmt.Errorf("%s, and %w", what, why), "%s", advice))
	}
	places := map[string]string{"build.context": b.Context}
	_, err := os.Stat(b.Context) // a folder with the name of an address comes first
	if file := s.Texts["file"]; file != "" && (err == nil || !fetched(b.Context) || filepath.IsAbs(file)) {
		places["build.dockerfile"] = file
	}
	for name, where := range b.AdditionalContexts {
		name = "build.additional_contexts." + name
		if dir, ok := strings.CutPrefix(where, "oci-layout://"); ok {
			if where, _, _ = strings.Cut(dir, "@"); !filepath.IsAbs(dir) {
				where = "./" + where // is no address
			}
			if at := strings.LastIndex(where, ":"); at >= 0 && !inside(root, where[:at]) {
				where = where[:at] // the rest is a tag
			}
		}
		places[name] = where
	}
	for what, where := range maps.Clone(places) { // which is read here too, with links followed
		ignore := filepath.Join(where, ".dockerignore")
		if what == "build.dockerfile" {
			ignore = where + ".dockerignore"
		}
		if inside(root, where) {
			places["the .dockerignore of "+what] = ignore
		}
	}
	for _, what := range slices.Sorted(maps.Keys(places)) {
		if where := places[what]; !inside(root, where) {
			refuse(fmt.Sprintf("%s is outside of %s", what, shown(root)), "a fork's Compose file is built from its own files alone; flags and a CONTEXT of the job may name others")
		}
	}
	if b.Privileged || len(b.Entitlements) > 0 || b.Network != "" && b.Network != "none" && b.Network != "default" {
		refuse("build.privileged, build.entitlements or build.network gives RUN more than is usual", "a fork's Compose file is built with --allow and --network of the job alone")
	}
	return errors.Join(errs...)
}

// plainCache says whether a cache is an image in a registry and nothing more.
// What else there is would be given the job's credentials for an address that
// the stranger names, or be read from this machine.
func plainCache(text string) bool {
	fields, err := csv.NewReader(strings.NewReader(text)).Read()
	if err != nil {
		return false
	}
	if len(fields) == 1 && !strings.Contains(fields[0], "=") {
		return true
	}
	kind := false
	for _, f := range fields {
		key, value, _ := strings.Cut(f, "=")
		switch key = strings.ToLower(strings.TrimSpace(key)); {
		case key == "type" && value == "registry":
			kind = true
		case key != "ref":
			return false
		}
	}
	return kind
}

// inside says whether a path is in the folder, wherever links lead. What is no
// path on this machine is in no folder of it, and is fetched. One that steps
// back out of a name is refused: who cleans it first and who follows a link
// first do not come to the same place.
func inside(root, path string) bool {
	if stepsBack(path) {
		return false
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return false
	}
	real, err := filepath.EvalSymlinks(abs)
	switch {
	case errors.Is(err, os.ErrNotExist) && fetched(path):
		return true
	case errors.Is(err, os.ErrNotExist) && abs != filepath.Dir(abs): // an error where it is read
		if _, err := os.Lstat(abs); err == nil {
			return false // a link to nothing, as to something
		}
		return inside(root, filepath.Dir(abs))
	case err != nil:
		return false
	}
	rel, err := filepath.Rel(root, real)
	return err == nil && filepath.IsLocal(rel)
}

// stepsBack says whether a path has ".." behind a name or the root.
func stepsBack(path string) bool {
	below := filepath.IsAbs(path)
	for _, part := range strings.Split(filepath.ToSlash(path), "/") {
		if part == ".." && below {
			return true
		}
		below = below || part != "" && part != "." && part != ".."
	}
	return false
}

// fetched says whether a place looks like an address. A drive's letter is none.
func fetched(place string) bool {
	scheme, _, ok := strings.Cut(place, ":")
	return ok && len(scheme) > 1 && !strings.ContainsAny(scheme, `/\`) || strings.HasPrefix(place, "git@") || strings.HasPrefix(place, "github.com/")
}

// checkoutOf is the repository that a file is in, or else the working directory
// that it is in, or else its folder.
func checkoutOf(file string) string {
	dir, err := filepath.Abs(filepath.Dir(file)) // to go up from
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return filepath.Dir(file)
	}
	for up := dir; ; up = filepath.Dir(up) {
		if _, err := os.Lstat(filepath.Join(up, ".git")); err == nil { // no commit can hold one
			return up
		}
		if up == filepath.Dir(up) {
			break
		}
	}
	if wd, err := os.Getwd(); err == nil {
		if real, err := filepath.EvalSymlinks(wd); err == nil && inside(real, dir) {
			return real
		}
	}
	return dir
}

// LeadsOut says whether one of these places, which the job names, is out of the
// checkout by a link that a stranger may have committed: it would be read as a
// Dockerfile, whose errors quote it, or sent to RUN. What the job itself names
// elsewhere is the job's word.
func LeadsOut(opts Options, places ...string) error {
	why := fork(opts)
	if why == nil {
		return nil
	}
	for _, place := range places {
		root, out, err := leadsOut(place)
		if err != nil {
			return err
		}
		if out {
			return hint.Wrap(fmt.Errorf("%s leads out of %s, and %w", printable(place), shown(root), why), "a fork's change is built from its own files, and what the job names elsewhere")
		}
	}
	return nil
}

// leadsOut says whether a place that is named within the checkout around the
// working directory is out of it, whichever name of that folder it has.
func leadsOut(place string) (root string, out bool, err error) {
	named, err := filepath.Abs(".")
	if err != nil {
		return "", false, fmt.Errorf("finding the checkout: %w", err)
	}
	wd, err := filepath.EvalSymlinks(named)
	if err != nil {
		return "", false, fmt.Errorf("finding the checkout: %w", err)
	}
	root = checkoutOf(filepath.Join(wd, "Dockerfile"))
	up, err := filepath.Rel(wd, root)
	if err != nil {
		return "", false, fmt.Errorf("finding the checkout: %w", err)
	}
	path := place
	if !filepath.IsAbs(path) {
		path = filepath.Join(wd, path)
	}
	within := func(dir string) bool { rel, err := filepath.Rel(dir, path); return err == nil && filepath.IsLocal(rel) }
	return root, (within(root) || within(filepath.Join(named, up))) && !inside(root, path), nil
}
