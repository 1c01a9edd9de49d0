package scan

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/org/secure-build/internal/finding"
)

// maxFindings bounds a report. A layer with a thousand findings may be in
// thousands of images of one index.
const maxFindings = 10_000

// Report follows the image from its root, scans whatever is part of it and did
// not come through Blob, and says what was found. It calls open from several
// goroutines. Everything that could not be read is in the report's coverage; the
// error is for a ctx that ended.
//
// Manifests and configs are read again through open, which may be nil if there
// is nothing to read from: then nothing below the root is known, and the
// verdict can not be clean.
func (s *Scanner) Report(ctx context.Context, root Descriptor, open func(digest string) (io.ReadCloser, error)) (finding.Report, error) {
	g := follow(root, open, s.build)
	for _, desc := range s.beside {
		g.add(reference{Descriptor: desc, document: true, layer: -1})
	}
	rep, err := s.report(ctx, root, open, g)
	s.list(g)
	for _, ref := range g.refs {
		if ref.base {
			s.base[ref.Digest] = true
		}
	}
	return rep, err
}

// Cache is Report for the manifest of a build cache. It is called after Report
// of the image that the cache is of, whose layers need not be read again, and
// whose base layers are known by then.
func (s *Scanner) Cache(ctx context.Context, root Descriptor, open func(digest string) (io.ReadCloser, error)) (finding.Report, error) {
	g := follow(root, open, Build{})
	for i := range g.refs {
		g.refs[i].base = s.base[g.refs[i].Digest]
	}
	return s.report(ctx, root, open, g)
}

func (s *Scanner) report(ctx context.Context, root Descriptor, open func(digest string) (io.ReadCloser, error), g *graph) (finding.Report, error) {
	rep := finding.Report{
		Version:  finding.Version,
		Image:    finding.Image{Digest: root.Digest, Platforms: []string{}},
		Coverage: finding.Coverage{Unread: []finding.Unread{}},
		Findings: []finding.Finding{},
	}
	if failure := s.selfTestFailure(); failure != "" {
		g.fail(root.Digest, "%s", failure)
	}
	s.recall(g, open)
	s.scanRest(ctx, g, open)
	if err := ctx.Err(); err != nil {
		return rep, fmt.Errorf("scanning %s: %w", s.redact(root.Digest), err)
	}
	rep.Image.Platforms = append(rep.Image.Platforms, g.platforms...)
	rep.Coverage.Unread = append(rep.Coverage.Unread, g.unread...)
	seen, more := map[string]bool{}, 0
	for _, ref := range g.refs {
		rec := s.record(ref.Digest)
		if rec == nil {
			continue // scanRest said why
		}
		if !seen[ref.Digest] {
			seen[ref.Digest] = true
			s.count(&rep.Coverage, rec)
			s.cover(&rep.Coverage, rec)
		}
		if reason := mismatch(ref, rec); reason != "" {
			rep.Coverage.Unread = append(rep.Coverage.Unread, finding.Unread{Blob: rec.digest, Reason: reason})
		}
		found := attribute(ref, rec)
		room := min(len(found), maxFindings-len(rep.Findings))
		rep.Findings = append(rep.Findings, found[:room]...)
		more += len(found) - room
	}
	if more > 0 {
		rep.Coverage.Unread = append(rep.Coverage.Unread, finding.Unread{
			Blob: root.Digest, Reason: fmt.Sprintf("more than %d findings: %d further ones are not listed", maxFindings, more),
		})
	}
	s.tidy(&rep)
	rep.Judge()
	s.remember(g)
	return rep, nil
}

// scanRest reads the blobs that nobody handed to Blob, or whose bytes came only
// in part, side by side, and notes those that cannot be read.
func (s *Scanner) scanRest(ctx context.Context, g *graph, open func(string) (io.ReadCloser, error)) {
	seen := map[string]bool{}
	var wg sync.WaitGroup
	var mu sync.Mutex // of g.unread
	room := make(chan struct{}, runtime.GOMAXPROCS(0))
	for _, ref := range g.refs {
		if len(ref.Data) > 0 { // the blob itself, embedded in its descriptor
			rec := s.inspect(ref.Digest, bytes.NewReader(ref.Data))
			if s.keep(rec); !rec.verified {
				g.fail(ref.Digest, "the data in its descriptor does not have its digest")
			}
		}
		if seen[ref.Digest] || s.record(ref.Digest) != nil {
			continue
		}
		seen[ref.Digest] = true
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			if err := s.scanOne(ctx, ref.Digest, open); err != nil {
				mu.Lock()
				defer mu.Unlock()
				if len(ref.URLs) > 0 || strings.Contains(ref.MediaType, "foreign") || strings.Contains(ref.MediaType, "nondistributable") {
					g.fail(ref.Digest, "a foreign layer, whose bytes are elsewhere: %v", err)
				} else {
					g.fail(ref.Digest, "%v", err)
				}
			}
		})
	}
	wg.Wait()
}

func (s *Scanner) scanOne(ctx context.Context, digest string, open func(string) (io.ReadCloser, error)) error {
	if open == nil {
		return errors.New("nothing to read it from")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	r, err := open(digest)
	if err != nil {
		return err
	}
	defer r.Close()
	rec := s.inspect(digest, interruptible{ctx, r})
	s.keep(rec)
	switch {
	case rec.verified:
		return nil // what else is wrong with it is in its record
	case len(rec.unread) > 0:
		return errors.New(strings.Join(rec.unread, "; "))
	}
	return errors.New("its bytes do not have its digest")
}

// mismatch says what a descriptor claims of a blob that is not so, if that
// means that the blob was not read as whoever pulls it would read it.
func mismatch(ref reference, rec *record) string {
	_, suffix, _ := strings.Cut(ref.MediaType, "+")
	switch {
	case ref.Size != rec.size:
		return fmt.Sprintf("%d bytes, where %d were announced", rec.size, ref.Size)
	case strings.Contains(ref.MediaType, "+encrypted"):
		return "an encrypted layer"
	case (ref.document || isJSONType(ref.MediaType)) && rec.kind != kindJSON:
		return "announced as JSON, which it is not"
	case (suffix == "gzip" || suffix == "zstd") && rec.compression == "" && rec.kind != kindTar:
		return "announced as " + suffix + ", which it is not"
	}
	return ""
}

// stepOf is the step that made a layer, or set a field of a config.
func (ref reference) stepOf(field string) step {
	if ref.config != nil {
		return ref.config.step(field)
	}
	return ref.made
}

// attribute makes findings of what is in a blob, for one of its uses.
func attribute(ref reference, rec *record) []finding.Finding {
	found := make([]finding.Finding, 0, len(rec.hits))
	for _, h := range rec.hits {
		made := ref.stepOf(h.field)
		if ref.document && h.field == finding.FieldConfig {
			h.field = finding.FieldManifest
		}
		found = append(found, finding.Finding{
			Rule: finding.RuleKnownValue, Severity: finding.Error,
			Secret: h.Secret, Origin: h.Origin, Encoding: h.Encoding,
			Platform: ref.platform, Blob: rec.digest, Layer: ref.layer,
			Path: h.path, Field: h.field, Offset: h.offset, Line: made.line, Instruction: made.by,
		})
	}
	if rec.found == nil {
		return found
	}
	for _, g := range rec.found.guesses.list {
		made, severity := ref.stepOf(g.at.Field), g.Severity
		if ref.base { // whoever builds on it cannot mend it here
			severity = finding.Warning
		}
		found = append(found, finding.Finding{
			Rule: g.Rule, Severity: severity,
			Platform: ref.platform, Blob: rec.digest, Layer: ref.layer,
			Path: g.at.Path, Field: g.at.Field, Offset: g.Offset, Line: made.line, Instruction: made.by,
		})
	}
	return found
}

// tidy redacts what comes from the image, sorts, and drops what is said twice.
func (s *Scanner) tidy(rep *finding.Report) {
	rep.Image.Digest = s.redact(rep.Image.Digest)
	for i, p := range rep.Image.Platforms {
		rep.Image.Platforms[i] = s.redact(p)
	}
	for i := range rep.Findings {
		f := &rep.Findings[i]
		f.Platform, f.Blob, f.Path = s.redact(f.Platform), s.redact(f.Blob), s.redact(f.Path)
		f.Field, f.Instruction = s.redact(f.Field), s.redact(f.Instruction)
		f.Sign()
	}
	slices.SortFunc(rep.Findings, func(a, b finding.Finding) int {
		return cmp.Or(cmp.Compare(a.Platform, b.Platform), cmp.Compare(a.Layer, b.Layer),
			cmp.Compare(a.Path, b.Path), cmp.Compare(a.Field, b.Field), cmp.Compare(a.Secret, b.Secret),
			cmp.Compare(a.Encoding, b.Encoding), cmp.Compare(a.Blob, b.Blob), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Offset, b.Offset))
	})
	rep.Findings = slices.CompactFunc(rep.Findings, func(a, b finding.Finding) bool {
		return a.Fingerprint == b.Fingerprint && a.Blob == b.Blob
	})
	rep.Coverage.Unread = s.tidyUnread(rep.Coverage.Unread)
	rep.Coverage.Packed = s.tidyUnread(rep.Coverage.Packed)
}
