package buildkit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/patternmatcher"
	"github.com/org/secure-build/internal/finding"
	"github.com/tonistiigi/fsutil"
)

// Bounds of what is looked at in a build context. A context that goes over
// maxFiles is looked at so far; the scan of the image looks at everything.
const (
	maxFiles    = 100_000
	maxLookedAt = 64 << 10 // bytes of a file
)

var errEnough = errors.New("enough files")

// copies looks for files with secrets that COPY and ADD take into the image from
// a folder on this machine. ignored are the patterns of .dockerignore.
func (c *checking) copies(ctx context.Context, graphs []graph, ignored []string) error {
	suspects := map[string][]suspect{}
	for _, g := range graphs {
		for _, d := range g.order {
			op := g.ops[d]
			for _, a := range op.GetFile().GetActions() {
				cp := a.GetCopy()
				if cp == nil {
					continue
				}
				from := g.ops[g.input(op, a.SecondaryInput)]
				name, ok := strings.CutPrefix(from.GetSource().GetIdentifier(), "local://")
				if !ok || c.opt.LocalMounts[name] == nil {
					continue
				}
				if _, done := suspects[name]; !done {
					var err error
					if suspects[name], err = suspectsIn(ctx, c.opt.LocalMounts[name], ignored, name); err != nil {
						return err
					}
				}
				for _, s := range suspects[name] {
					if copied, named := takes(cp, s.path); copied {
						c.copied(s, named, g.final[d], g.line(d))
					}
				}
			}
		}
	}
	return nil
}

// copied notes a file that is copied. It is an error if there is no doubt: the
// file has a key in it, and is copied into the image itself by its name.
func (c *checking) copied(s suspect, named, final bool, line int) {
	severity, where := finding.Warning, "the image"
	if s.sure && named && final {
		severity = finding.Error
	}
	if !final {
		where = "a layer of an earlier stage, and with it into caches"
	}
	c.problem(severity, RuleCopy, line, fmt.Sprintf("put %s into .dockerignore, and mount what a step needs of it: RUN --mount=type=secret,id=ID …", s.path),
		"%s, which has %s, is copied into %s", s.path, s.what, where)
}

// takes says whether a copy takes a file of its source, and whether by the
// file's own name, rather than with a folder or by a pattern.
func takes(cp *pb.FileActionCopy, file string) (copied, named bool) {
	src := strings.TrimPrefix(path.Clean("/"+cp.Src), "/")
	rest := file
	if src != "" {
		want, have := strings.Split(src, "/"), strings.Split(file, "/")
		if len(want) > len(have) {
			return false, false
		}
		for i, w := range want {
			if ok, err := path.Match(w, have[i]); (err != nil || !ok || !cp.AllowWildcard) && w != have[i] {
				return false, false
			}
		}
		rest = strings.Join(have[len(want):], "/")
	}
	if rest == "" {
		rest = path.Base(file)
	}
	if len(cp.IncludePatterns) > 0 && !matches(cp.IncludePatterns, rest) || matches(cp.ExcludePatterns, rest) {
		return false, false
	}
	return true, src == file || slices.Contains(cp.IncludePatterns, file)
}

// matches says whether a path or a folder above it matches one of the patterns,
// as in .dockerignore.
func matches(patterns []string, file string) bool {
	if len(patterns) == 0 {
		return false
	}
	m, err := patternmatcher.New(patterns)
	if err != nil {
		return false
	}
	ok, err := m.MatchesOrParentMatches(file)
	return err == nil && ok
}

// A suspect is a file of the build context that has secrets in it.
type suspect struct {
	path string
	what string // what is in it, without any value
	sure bool   // no doubt: a private key, or a key of a vendor's shape
}

// suspectsIn looks through a folder for files that are named as files with
// secrets are, and looks into these.
func suspectsIn(ctx context.Context, dir fsutil.FS, ignored []string, name string) ([]suspect, error) {
	if name != "context" {
		var err error
		if ignored, err = ignoreFile(dir); err != nil {
			return nil, err
		}
	}
	walked := dir
	if len(ignored) > 0 { // a filter asks for every file's size, time and attributes, which takes thrice the time
		var err error
		if walked, err = fsutil.NewFilterFS(dir, &fsutil.FilterOpt{ExcludePatterns: ignored}); err != nil {
			return nil, fmt.Errorf("reading .dockerignore: %w", err)
		}
	}
	var found []suspect
	seen := 0
	err := walked.Walk(ctx, "", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // a file that cannot be read fails the build, if it is needed
		}
		if seen++; seen > maxFiles {
			return errEnough
		}
		if d.IsDir() {
			if base := path.Base(name); base == "node_modules" || base == ".git" {
				return fs.SkipDir // of others: the scan looks there
			}
			return nil
		}
		if !d.Type().IsRegular() || !suspicious(name) {
			return nil
		}
		if s := look(dir, name); s != nil {
			found = append(found, *s)
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, fmt.Errorf("reading the build context: %w", err)
	}
	return found, nil
}

// look reads the beginning of a file; nil says that nothing is wrong with it.
func look(dir fsutil.FS, name string) *suspect {
	f, err := dir.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxLookedAt))
	if err != nil {
		return nil
	}
	what, sure := contents(name, string(text))
	if what == "" {
		return nil
	}
	return &suspect{name, what, sure}
}
