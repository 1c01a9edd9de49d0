package scan

import (
	"cmp"
	"slices"
	"strings"

	"github.com/org/secure-build/internal/finding"
)

// mostTelling leaves out what follows from another hit of the same secret in
// the same place: where a whole value is, its lines and parts are too.
func mostTelling(here []hit) []hit {
	best := 0
	for _, h := range here {
		best = max(best, telling(h.Encoding))
	}
	return slices.DeleteFunc(slices.Clone(here), func(h hit) bool { return telling(h.Encoding) < best })
}

func telling(encoding string) int {
	for _, wide := range []string{"utf-16le-", "utf-16be-"} {
		encoding = strings.TrimPrefix(encoding, wide)
	}
	switch {
	case strings.HasSuffix(encoding, "-part"):
		return 0
	case encoding == "line", encoding == "field":
		return 1
	case encoding == "joined": // the view without line breaks sees a key in this form too
		return 2
	}
	return 3
}

// sorted lists the hits in an order that does not depend on chance.
func (l *hits) sorted() []hit {
	all := make([]hit, 0, l.count)
	for _, here := range l.at {
		all = append(all, mostTelling(here)...)
	}
	all = withoutPacked(all)
	slices.SortFunc(all, func(a, b hit) int {
		return cmp.Or(cmp.Compare(a.path, b.path), cmp.Compare(a.field, b.field), cmp.Compare(a.offset, b.offset),
			cmp.Compare(a.Secret, b.Secret), cmp.Compare(a.Encoding, b.Encoding))
	})
	return all
}

// withoutPacked leaves out a value in packed bytes, which is mostly one in data
// that did not compress, where the same value was found in what was unpacked.
func withoutPacked(all []hit) []hit {
	isPacked := func(h hit) bool { return h.field == finding.FieldCompression && h.path != "" }
	if !slices.ContainsFunc(all, isPacked) {
		return all
	}
	inside := map[spot]bool{}
	for _, h := range all {
		if isPacked(h) {
			continue
		}
		for path := h.path; ; { // the path itself and whatever it is in
			inside[spot{secret: h.Secret, place: place{path: path}}] = true
			i := strings.LastIndexByte(path, '!')
			if i < 0 {
				break
			}
			path = path[:i]
		}
	}
	return slices.DeleteFunc(all, func(h hit) bool {
		return isPacked(h) && inside[spot{secret: h.Secret, place: place{path: h.path}}]
	})
}
