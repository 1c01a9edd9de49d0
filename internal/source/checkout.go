package source

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

var (
	commitName = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)
	refName    = regexp.MustCompile(`^refs/[A-Za-z0-9._/+@-]+$`)
)

// headCommit is the commit that is checked out in the repository around a
// folder. It reads git's own files (gitrepository-layout(5)), which no commit
// can hold, and runs no git: that would obey a configuration.
func headCommit(folder string) (string, error) {
	if strings.Contains(folder, "://") || strings.HasPrefix(folder, "git@") {
		return "", errors.New("it is fetched from elsewhere")
	}
	dir, err := filepath.Abs(folder)
	if err != nil {
		return "", errors.New("it has no path")
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	for {
		if git, ok := gitDir(filepath.Join(dir, ".git")); ok {
			return resolveHead(git)
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("it is in no git repository")
		}
		dir = filepath.Dir(dir)
	}
}

// gitDir follows the file that a work tree or a submodule has for .git.
func gitDir(name string) (string, bool) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return "", false
	case info.IsDir():
		return name, true
	}
	path, ok := strings.CutPrefix(readLine(name), "gitdir: ")
	if !ok {
		return name, true // of no use, but nobody else's
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(name), path)
	}
	return path, true
}

func resolveHead(git string) (string, error) {
	head := readLine(filepath.Join(git, "HEAD"))
	if commitName.MatchString(head) {
		return head, nil
	}
	ref, _ := strings.CutPrefix(head, "ref: ")
	if !refName.MatchString(ref) || strings.Contains(ref, "..") {
		return "", errors.New("its git repository has no HEAD")
	}
	shared := git
	if path := readLine(filepath.Join(git, "commondir")); path != "" {
		if shared = path; !filepath.IsAbs(path) {
			shared = filepath.Join(git, path)
		}
	}
	for _, dir := range []string{git, shared} {
		if commit := readLine(filepath.Join(dir, filepath.FromSlash(ref))); commitName.MatchString(commit) {
			return commit, nil
		}
	}
	for line := range strings.Lines(readText(filepath.Join(shared, "packed-refs"))) {
		if commit, name, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name == ref && commitName.MatchString(commit) {
			return commit, nil
		}
	}
	return "", errors.New("its git repository has no commit yet")
}

func readLine(name string) string {
	line, _, _ := strings.Cut(readText(name), "\n")
	return strings.TrimSpace(line)
}

// readText is a file's text, or "" if it cannot be read.
func readText(name string) string {
	f, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 16<<20))
	if err != nil {
		return ""
	}
	return string(data)
}
