// Package pipeline tells the whole story of a build, in the order that keeps
// secrets in: check, decrypt, mask, store, build, scan, push, report, and shred
// whatever happened. It knows the nouns and the standard library only; the
// stages are handed in as funcs, so the order can be tested by itself.
package pipeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/secret"
)

// ErrNotClean says that a scan found a secret, or could not look everywhere.
// Nothing was pushed.
var ErrNotClean = errors.New("the image is not clean")

// ErrEnough is what Check returns where a check is all that the job may do. The
// run ends there, and well.
var ErrEnough = errors.New("it was checked, and that is all")

// Plan is what a run is to do.
type Plan struct {
	Push bool // push after a clean verdict
}

// Image is what a build made: a digest in the layout that the scan reads and
// the push sends. It is handed on as it is; there is no second build.
type Image struct {
	Digest   string            // of the index or manifest that a tag will point at
	Metadata map[string]string // what the exporter said, as buildx's metadata file has it
}

// Result is what a run came to. It is complete as far as the run got.
type Result struct {
	Secrets secret.Set
	Image   Image
	Report  finding.Report
	Pushed  bool
	Err     error // why the run ended early, for the report; nil after a good end
}

// Steps are the stages. All are required, and each may fail.
type Steps struct {
	Check   func(context.Context) error // the contract, without a key
	Decrypt func(context.Context) (secret.Set, error)
	Mask    func(secret.Set) error // says nothing of what is missing in the set
	Store   func(context.Context, secret.Set) error
	Build   func(context.Context) (Image, error)
	Scan    func(context.Context, Image) (finding.Report, error)
	Push    func(context.Context, Image) error
	Cache   func(context.Context, *finding.Report) error // publishes what is clean of it
	Report  func(Result) error
	Shred   func() error
}

// Run does the whole job.
//
// Shred takes no context, since it has to run after a cancelled one, and it
// runs after a panic in a stage too. Report runs after every end that has
// something to report: from the scan on, and after a failure of the push.
func Run(ctx context.Context, p Plan, s Steps) (res Result, err error) {
	defer func() { err = errors.Join(err, s.Shred()) }()

	if err = s.Check(ctx); errors.Is(err, ErrEnough) {
		return res, nil
	} else if err != nil {
		return res, err
	}
	res.Secrets, err = s.Decrypt(ctx)                            // some of them, and the keys, after an error too
	if err = errors.Join(err, s.Mask(res.Secrets)); err != nil { // before anything, an error too, can be printed
		return res, err
	}
	if err = s.Store(ctx, res.Secrets); err != nil {
		return res, err
	}
	if res.Image, err = s.Build(ctx); err != nil {
		return res, err
	}
	if res.Report, err = s.Scan(ctx, res.Image); err != nil {
		return res, fmt.Errorf("scanning: %w", err) // a failed scan is not a clean scan
	}
	defer func() { res.Err = err; err = errors.Join(err, s.Report(res)) }()

	if err = errors.Join(Gate(res.Image, res.Report), ctx.Err()); err != nil {
		return res, err
	}
	if p.Push {
		if err = s.Push(ctx, res.Image); err != nil {
			return res, err
		}
		res.Pushed = true
	}
	err = s.Cache(ctx, &res.Report) // each cache has a verdict of its own
	return res, err
}

// Gate is the one check between a scan and a push. A report passes only if it
// says "clean" of this very image, and if nothing in it contradicts that: a
// report that nobody filled in does not pass.
func Gate(img Image, r finding.Report) error {
	r2 := r
	r2.Judge()
	switch {
	case r.Verdict == finding.Leaked || r2.Verdict == finding.Leaked:
		return fmt.Errorf("%w: secrets were found in it", ErrNotClean)
	case r.Verdict != finding.Clean || r2.Verdict != finding.Clean:
		return fmt.Errorf("%w: it could not be scanned completely", ErrNotClean)
	case r.Image.Digest != img.Digest || img.Digest == "":
		return fmt.Errorf("%w: the scan is of %q, not of %q", ErrNotClean, r.Image.Digest, img.Digest)
	}
	return nil
}
