package main

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/org/secure-build/internal/buildkit"
	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/push"
	"github.com/org/secure-build/internal/source"
)

// clashes holds the services against one another: they end in no order, so of
// two that leave different things at one place, either may be what stays. Two
// that are built the same way, as one image with two commands is, may share both.
func (f *fleet) clashes(all []source.Service) error {
	var errs []error
	for i, b := range f.builds {
		for j, other := range f.builds[:i] {
			if sameBuild(all[i], all[j]) {
				continue
			}
			at := slices.IndexFunc(b.tags, func(t push.Tag) bool { return slices.Contains(other.tags, t) })
			if at >= 0 && b.request.Outputs.Has(buildkit.OutputPush, buildkit.OutputDocker) && !b.byDigest {
				errs = append(errs, hint.Wrap(fmt.Errorf("the services %s and %s are built differently, and both are the image %s", other.service, b.service, b.tags[at]),
					"give each an image of its own, or build one of them with --service %s", b.service))
			}
			for _, c := range b.caches {
				if slices.ContainsFunc(other.caches, func(o cacheTo) bool { return o.String() == c.String() }) {
					f.app.warn("the services %s and %s write the same cache, %s: the last one's is all that stays", other.service, b.service, c)
				}
			}
		}
	}
	return errors.Join(errs...)
}

// sameBuild says whether two services are one image: they may differ in how it is
// called, and in where caches are.
func sameBuild(a, b source.Service) bool {
	for _, s := range []*source.Service{&a, &b} {
		s.Lists = maps.Clone(s.Lists)
		for _, flag := range []string{"tag", "cache-from", "cache-to"} {
			delete(s.Lists, flag)
		}
		s.Texts = maps.Clone(s.Texts)
		delete(s.Texts, "report-dir")
	}
	type how struct {
		Context, Inline string
		Lists           map[string][]string
		Texts           map[string]string
		Bools           map[string]bool
		Refs            []source.Ref
		External        map[string]string
	}
	of := func(s source.Service) how {
		return how{s.Context, s.Inline, s.Lists, s.Texts, s.Bools, s.Refs, s.External}
	}
	return reflect.DeepEqual(of(a), of(b))
}
