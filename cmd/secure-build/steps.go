package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/org/secure-build/internal/buildkit"
	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/image"
	"github.com/org/secure-build/internal/index"
	"github.com/org/secure-build/internal/pipeline"
	"github.com/org/secure-build/internal/push"
	"github.com/org/secure-build/internal/scan"
	"github.com/org/secure-build/internal/secret"
	"github.com/org/secure-build/internal/source"
	"github.com/org/secure-build/internal/vault"
	"github.com/org/secure-build/internal/verdict"
	"golang.org/x/sync/errgroup"
)

// A build is one run of "secure-build build": what was asked for, and what the
// stages hand to one another. Its methods are the pipeline's steps.
type build struct {
	*app
	secrets
	policy
	rescan       bool
	keepLeak     bool
	rotates      bool // steps run again when their secrets have changed
	request      buildkit.Request
	builders     []string
	builderTLS   string
	cacheDir     string
	progress     string
	idOnly       bool          // standard output is for the image's id alone
	asked        buildkit.Call // instead of a build
	push         bool
	byDigest     bool // pushed without moving a tag
	may          source.Decision
	why          string // why not everything that was asked for is done
	tags         []push.Tag
	caches       []cacheTo
	registry     push.Options
	metadataFile string
	iidFile      string
	reportDir    string
	archive      io.Writer // where an output to "-" goes
	answers      io.Writer // standard output, for what was asked for by itself

	fleet    *fleet   // the other services of a Compose file; nil for none
	composed []string // folders of the Compose files

	checked buildkit.Checked
	set     secret.Set
	index   *index.Index
	vault   *vault.Vault
	begun   func() (*buildkit.Engine, error) // nil once it was called
	giveUp  func()
	engine  *buildkit.Engine
	layout  *image.Layout
	files   *image.Files // nil if no output wants files
	scans   *scan.Scanner
	book    *verdict.Book
	leaked  bool // the image, or a cache
	changed bool // something that was to leave, after it was scanned; see keep
	started time.Time
	times   stopwatch
}

func (b *build) steps() pipeline.Steps {
	return pipeline.Steps{
		Check:   b.check,
		Decrypt: b.decrypt,
		Mask:    b.mask,
		Store:   b.store,
		Build:   b.build,
		Scan:    b.scan,
		Push:    b.pushAll,
		Cache:   b.cache,
		Report:  b.report,
		Shred:   b.shred,
	}
}

func (b *build) check(ctx context.Context) (err error) {
	if err := b.forgetID(); err != nil {
		return err
	}
	if b.fleet == nil && b.may.Decrypt {
		if err := b.begin(ctx); err != nil {
			return err
		}
	}
	asking := b.askCommit(ctx)
	b.checked, err = b.contract(ctx, b.secrets, b.request, b.FailOn)
	if asking(); err != nil || b.may.Decrypt {
		return err
	}
	return b.withoutSecrets()
}

// askCommit asks git beside the check, which has no need of the answer. The func
// waits for it.
func (b *build) askCommit(ctx context.Context) (wait func()) {
	var commit map[string]string
	var err error
	var eg errgroup.Group
	req := b.request
	eg.Go(func() error { commit, err = buildkit.Commit(ctx, req, b.getenv); return nil })
	return func() {
		_ = eg.Wait() // no error: it is only told
		if b.request.Commit = commit; err != nil {
			b.warn("the commit is not recorded: %v", err)
		}
	}
}

func (b *build) decrypt(ctx context.Context) (secret.Set, error) {
	if b.fleet != nil {
		return b.set, nil // by the fleet, whose services look for one another's secrets
	}
	return b.decryptOwn(ctx)
}

func (b *build) decryptOwn(ctx context.Context) (secret.Set, error) {
	defer b.times.start("decrypt")()
	set, err := b.load(ctx, b.secrets)
	if err == nil {
		err = b.hideKeys(&set)
	}
	b.hideCredentials(&set) // after an error too
	return set, err
}

func (b *build) mask(set secret.Set) (err error) {
	b.set = set
	if b.fleet != nil { // everything is masked already
		b.index = index.Compile(set)
		return nil
	}
	b.index, err = b.app.mask(set)
	return err
}

func (b *build) store(_ context.Context, set secret.Set) (err error) {
	if err := b.values(b.secrets, b.request, b.checked, set, b.index); err != nil {
		return err
	}
	if b.vault, err = b.app.store(b.secrets, set); err == nil {
		b.debug("vault: %s", b.vault.Memory().Kind)
	}
	return err
}

func (b *build) build(ctx context.Context) (img pipeline.Image, err error) {
	if err := os.MkdirAll(b.cacheDir, 0o700); err != nil {
		return img, fmt.Errorf("making the cache folder: %w", err)
	}
	if err := b.connect(ctx); err != nil {
		return img, err
	}
	if b.layout, err = image.Temp(b.cacheDir); err != nil {
		return img, err
	}
	b.debug("engine: %s", b.engine)
	defer b.times.start("build")()
	if !b.rescan {
		b.book = b.memory(b.cacheDir, b.set, b.index)
	}
	// Every way out holds what it takes to its digest: pushes, archives, folders
	// and local caches as they read it, and those that the daemon writes before.
	if b.scans, err = b.scanner(b.policy, b.set, b.book, true); err != nil {
		return img, err
	}
	b.layout.Use(image.OpenCache(b.cacheDir, maxBlobCache))
	b.layout.Borrow(b.engine.Blobs)
	b.request.Store, b.request.Take = b.layout.Store(b.watch), b.layout.Take(b.watch)
	b.request.Secret, b.request.Given = b.value, buildkit.Given{IDs: mounted(b.set), Optional: b.optional}
	b.request.FailOn = b.FailOn
	if b.request.Outputs.Files != nil {
		if b.files, err = b.layout.Files(); err != nil {
			return img, err
		}
		b.request.Files = func() (io.WriteCloser, error) { return b.files, nil }
	}
	if b.rotates {
		if b.request.Rotate, err = rotation(b.set, b.cacheDir); err != nil {
			return img, err
		}
	}
	if asked, known := buildkit.Newer(b.request); asked != "" {
		b.warn("the Dockerfile asks for version %s of its language; this BuildKit's own frontend reads it, which knows %s", asked, known)
	}
	out, flush := b.output()
	b.records(&out)
	end := func() {}
	if b.fleet == nil { // sections do not overlap
		end = b.section("build")
	}
	res, err := b.solve(ctx, out)
	err = errors.Join(err, flush())
	end()
	if err != nil {
		return img, err
	}
	b.times.part("compression", "build", res.Packing)
	b.scans.Built(scan.Build{Base: res.Base, Lines: lines(buildkit.Steps(b.request))})
	stop := b.stillTelling(func() string { return scanned(b.scans.Seen()) })
	err = b.layout.SetRoot(ctx, res.Root)
	if stop(); err != nil {
		return img, err
	}
	return pipeline.Image{Digest: res.Root.Digest.String(), Metadata: res.Metadata}, nil
}

// solve builds. Layers that are there before the export begins are scanned then.
func (b *build) solve(ctx context.Context, out buildkit.Output) (buildkit.Result, error) {
	reading, giveUp := context.WithCancel(ctx)
	defer giveUp()
	wait := b.engine.Ahead(reading, buildkit.Reading{Growing: b.grows, Packed: b.request.Take})
	res, err := b.engine.Solve(ctx, b.request, out)
	if err != nil {
		giveUp()
	}
	wait()
	if unfit := new(buildkit.Unfit); errors.As(err, &unfit) {
		return res, b.tell(b.request, unfit.Problems)
	}
	return res, errors.Join(err, b.tell(b.request, res.Warnings))
}

// mounted lists the ids of the secrets that a step can mount.
func mounted(set secret.Set) []string {
	var ids []string
	for _, s := range set.Mounted() {
		ids = append(ids, s.ID())
	}
	return ids
}

// maxBlobCache bounds the blobs that are kept between runs, in bytes.
const maxBlobCache = 10 << 30

func lines(steps []buildkit.Step) []scan.Line {
	var all []scan.Line
	for _, s := range steps {
		all = append(all, scan.Line{Instruction: s.Instruction, Number: s.Line})
	}
	return all
}

// watch hands a blob that arrives to the scanner. What did not arrive whole counts
// for nothing, and is read from the layout.
func (b *build) watch(digest string) (io.Writer, func(bool)) {
	lean()
	w := b.scans.Blob(digest)
	return w, func(whole bool) {
		if whole {
			_ = w.Close()
		} else {
			_ = w.Abandon()
		}
	}
}

// grows hands a layer that is being packed to the scanner.
func (b *build) grows(r io.Reader) {
	lean()
	b.scans.Unnamed(r)
}

func (b *build) scan(ctx context.Context, img pipeline.Image) (finding.Report, error) {
	defer b.times.start("scan")()
	lean()
	root, err := b.layout.Root()
	if err != nil {
		return finding.Report{}, err
	}
	files, err := b.scanFiles(ctx)
	if err != nil {
		return finding.Report{}, err
	}
	defer b.stillTelling(func() string { return scanned(b.scans.Seen()) })()
	r, err := b.scans.Report(ctx, scan.Descriptor{MediaType: root.MediaType, Digest: img.Digest, Size: root.Size}, b.layout.Open)
	if files != nil {
		r.Include(*files)
	}
	b.judge(b.policy, &r)
	b.leaked = r.Verdict == finding.Leaked
	return r, err
}

func (b *build) pushAll(ctx context.Context, img pipeline.Image) error {
	if err := b.writeOutputs(ctx); err != nil || !b.push {
		return err
	}
	defer b.times.start("push")()
	how := b.registry // the caches have tags of their own
	how.ByDigest = b.byDigest
	defer b.stillTelling(func() string { return "pushing" })()
	return push.Push(ctx, b.layout.Dir(), img.Digest, b.tags, how)
}

// shred ends everything that the run has opened. The vault goes first: if
// something hangs after it, it hangs without secrets.
func (b *build) shred() error {
	var errs []error
	if b.vault != nil {
		errs = append(errs, b.vault.Close())
	}
	if b.layout != nil {
		errs = append(errs, b.layout.Remove())
	}
	if b.fleet == nil {
		errs = append(errs, b.leave())
	}
	return errors.Join(errs...)
}

// leakError is pipeline.ErrNotClean with the verdict, for the exit code.
type leakError struct {
	error
	verdict finding.Verdict
}

func (e leakError) Unwrap() error { return e.error }

// notClean adds to the pipeline's verdict what a person can do.
func notClean(err error, r finding.Report) error {
	if !errors.Is(err, pipeline.ErrNotClean) {
		return err
	}
	advice := "what was not read is listed above; nothing was pushed"
	if r.Verdict == finding.Leaked {
		advice = "the places are listed above; mount the secret with RUN --mount=type=secret where it is used, and rotate it if the image was ever shared"
	}
	return leakError{hint.Wrap(err, "%s", advice), r.Verdict}
}
