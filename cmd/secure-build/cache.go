package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/org/secure-build/internal/buildkit"
	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/held"
	"github.com/org/secure-build/internal/image"
	"github.com/org/secure-build/internal/push"
	"github.com/org/secure-build/internal/scan"
	"github.com/org/secure-build/internal/secret"
)

// A cacheTo is a cache to publish, and where a registry keeps it.
type cacheTo struct {
	buildkit.Cache
	tags []push.Tag
}

// readCaches reads --cache-from and --cache-to.
func (b *build) readCaches(o options) error {
	var errs []error
	for _, text := range references(o.list("cache-from")) {
		c, err := buildkit.ParseCacheFrom(text, b.getenv)
		b.request.CacheFrom, errs = append(b.request.CacheFrom, c), append(errs, err)
	}
	for _, text := range references(o.list("cache-to")) {
		c, err := buildkit.ParseCacheTo(text, b.getenv)
		if errs = append(errs, err); err != nil {
			continue
		}
		b.request.CacheTo = append(b.request.CacheTo, c)
		to := cacheTo{Cache: c}
		switch c.Type {
		case "inline":
			continue // it is in the image's config, and has the image's verdict
		case "registry":
			to.tags, err = push.ParseTags([]string{c.Attrs["ref"]})
			errs = append(errs, err)
		}
		b.caches = append(b.caches, to)
	}
	return errors.Join(errs...)
}

// references takes REF,REF apart, as buildx does: what has attributes is one cache.
func references(items []string) []string {
	var all []string
	for _, item := range items {
		if strings.Contains(item, "=") {
			all = append(all, item)
		} else {
			all = append(all, strings.Split(item, ",")...)
		}
	}
	return all
}

// hideCredentials puts what lets into the registry and into a cache on the list
// of what nobody sees.
func (b *build) hideCredentials(set *secret.Set) {
	if b.registry.Password != "" {
		set.AddHidden(b.sources.Hidden("registry-password", "the login of the registry", b.registry.Password))
	}
	seen := map[string]bool{}
	for _, c := range append(b.request.CacheFrom, b.request.CacheTo...) {
		for name, value := range c.Credentials() {
			if id := "cache-" + c.Type + "-" + name; !seen[value] {
				seen[value] = true
				set.AddHidden(b.sources.Hidden(id, "the login of a cache of type "+c.Type, value))
			}
		}
	}
}

// A staged cache was exported and scanned, and is still in our hands.
type staged struct {
	layout *image.Layout
	digest string
	report finding.Report
	move   func(buildkit.Cache) error // into a folder
	verify func() error               // that it still is what was scanned
}

// cache stages each cache, scans it by the image's own index of values, and
// publishes it if it is clean. What is in a cache and not in the image, such as
// a layer of a builder stage, blocks the cache only.
func (b *build) cache(ctx context.Context, r *finding.Report) error {
	if len(b.caches) == 0 {
		return nil
	}
	defer b.times.start("cache")()
	stages := map[string]*staged{}
	var errs []error
	for _, c := range b.caches {
		err := b.cacheOne(ctx, r, c, stages)
		if err != nil && c.Attrs["ignore-error"] == "true" && ctx.Err() == nil {
			b.warn("%v", err)
			b.changed = b.changed || errors.Is(err, held.ErrChanged)
			err = nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (b *build) cacheOne(ctx context.Context, r *finding.Report, c cacheTo, stages map[string]*staged) error {
	s, ok := stages[c.Staged()]
	if !ok {
		var err error
		if s, err = b.stage(ctx, c.Cache, strconv.Itoa(len(stages))); errors.Is(err, buildkit.ErrNoCache) {
			b.warn("the cache %s was not written: nothing in this build can be cached", c)
			return nil
		} else if err != nil {
			return err
		}
		stages[c.Staged()] = s
	}
	entry := r.AddCache(c.String(), s.report)
	if s.report.Verdict != finding.Clean {
		b.warn("the cache %s was not written: %s; this does not block the image", c, withheld(s.report))
		return nil
	}
	if err := b.publish(ctx, c, s); err != nil {
		return err
	}
	entry.Published = true
	return nil
}

// withheld says why a cache does not leave.
func withheld(r finding.Report) string {
	if r.Verdict == finding.Leaked {
		return fmt.Sprintf("something was found in it, in places: %d", len(r.Findings))
	}
	return fmt.Sprintf("%d parts of it could not be read", len(r.Coverage.Unread))
}

func (b *build) stage(ctx context.Context, c buildkit.Cache, name string) (*staged, error) {
	layout, err := b.layout.Stage("cache-" + name)
	if err != nil {
		return nil, err
	}
	root, err := b.engine.Stage(ctx, b.request, c, layout.Dir(), b.quiet())
	if err != nil {
		return nil, err
	}
	s := &staged{layout: layout, digest: root.Digest.String()}
	s.move = func(c buildkit.Cache) error { return buildkit.MoveCache(layout.Dir(), root, c) }
	s.verify = func() error { return layout.Verify(root) }
	s.report, err = b.scans.Cache(ctx, scan.Descriptor{MediaType: root.MediaType, Digest: s.digest, Size: root.Size}, layout.Open)
	if err != nil {
		return nil, fmt.Errorf("scanning the cache: %w", err)
	}
	b.Apply(&s.report, b.started)
	b.leaked = b.leaked || s.report.Verdict == finding.Leaked
	return s, nil
}

// publish sends what was scanned: the same files, or, to a service that only
// the daemon has a client of, what the daemon makes of the same layers. We do not
// see that pass, and hold the layers to their digests right before: ours, which
// the scan may have known by their digests alone, and the daemon's own if it is
// our private one.
func (b *build) publish(ctx context.Context, c cacheTo, s *staged) error {
	switch c.Type {
	case "registry":
		how := b.registry
		how.Insecure = nil
		if insecure, _ := c.Insecure(); insecure { // an error was said when it was read
			how.Insecure = registries(c.tags)
		}
		return push.Push(ctx, s.layout.Dir(), s.digest, c.tags, how)
	case "local":
		return s.move(c.Cache)
	}
	if err := s.verify(); err != nil {
		return fmt.Errorf("exporting the cache %s: %w", c, err)
	}
	return b.engine.Publish(ctx, b.request, c.Cache, b.quiet())
}

// quiet is for a solve of what was built before: only its errors matter.
func (b *build) quiet() buildkit.Output {
	out, _ := b.output()
	out.Progress, out.W = "quiet", b.stderr
	return out
}
