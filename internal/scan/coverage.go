package scan

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/org/secure-build/internal/finding"
)

// maxRemarks bounds what is said about files that could not be unpacked, per
// blob. What is more is counted.
const maxRemarks = 200

// remarks is a bounded list of paths and what is to be said of them.
type remarks struct {
	list []finding.Unread
	more int
}

func (r *remarks) add(path, reason string) {
	if len(r.list) >= maxRemarks {
		r.more++
		return
	}
	r.list = append(r.list, finding.Unread{Path: path, Reason: reason})
}

// include adds the remarks on something packed in a file.
func (r *remarks) include(path string, under remarks) {
	for _, u := range under.list {
		r.add(path+u.Path, u.Reason)
	}
	r.more += under.more
}

// cover enters what of a blob was not read.
func (s *Scanner) cover(c *finding.Coverage, rec *record) {
	for _, reason := range rec.unread {
		c.Unread = append(c.Unread, finding.Unread{Blob: rec.digest, Reason: reason})
	}
	if rec.found == nil {
		return
	}
	say := func(list *[]finding.Unread, r remarks) {
		for _, u := range r.list {
			to := list
			if list == &c.Unread && s.allows(u.Path) {
				u.Reason += " (allowed)"
				to = &c.Packed
			}
			*to = append(*to, finding.Unread{Blob: rec.digest, Path: u.Path, Reason: u.Reason})
		}
		if r.more > 0 {
			*list = append(*list, finding.Unread{Blob: rec.digest, Reason: fmt.Sprintf("%d further files are not listed", r.more)})
		}
	}
	say(&c.Unread, rec.found.unread)
	say(&c.Packed, rec.found.remarks)
	if more := rec.found.guesses.more; more > 0 {
		c.Unread = append(c.Unread, finding.Unread{Blob: rec.digest, Reason: fmt.Sprintf("more than %d guesses: %d further ones are not listed", maxGuesses, more)})
	}
}

// allows says whether the user allows that a file, or an archive that it is in,
// is not unpacked.
func (s *Scanner) allows(file string) bool {
	for {
		parts := strings.Split(strings.Trim(file, "/"), "/")
		if slices.ContainsFunc(s.allowed, func(glob string) bool {
			return matches(strings.Split(strings.Trim(glob, "/"), "/"), parts)
		}) {
			return true
		}
		i := strings.LastIndexByte(file, '!')
		if i < 0 {
			return false
		}
		file = file[:i]
	}
}

// matches compares the folders of a glob and of a path, one by one. A ** stands
// for any number of them.
func matches(glob, file []string) bool {
	for len(glob) > 0 {
		if glob[0] == "**" {
			for i := range len(file) + 1 {
				if matches(glob[1:], file[i:]) {
					return true
				}
			}
			return false
		}
		if len(file) == 0 {
			return false
		}
		if ok, err := path.Match(glob[0], file[0]); err != nil || !ok {
			return false
		}
		glob, file = glob[1:], file[1:]
	}
	return len(file) == 0
}

func (s *Scanner) tidyUnread(list []finding.Unread) []finding.Unread {
	for i := range list {
		u := &list[i]
		u.Blob, u.Path, u.Reason = s.redact(u.Blob), s.redact(u.Path), s.redact(u.Reason)
	}
	slices.SortFunc(list, func(a, b finding.Unread) int {
		return cmp.Or(cmp.Compare(a.Blob, b.Blob), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Reason, b.Reason))
	})
	return slices.Compact(list)
}
