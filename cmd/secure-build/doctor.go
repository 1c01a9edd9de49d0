package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/org/secure-build/internal/buildkit"
	"github.com/org/secure-build/internal/canary"
	"github.com/org/secure-build/internal/config"
	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/index"
	"github.com/org/secure-build/internal/platform"
	"github.com/org/secure-build/internal/push"
	"github.com/org/secure-build/internal/redact"
	"github.com/org/secure-build/internal/secret"
	"github.com/org/secure-build/internal/source"
	"github.com/org/secure-build/internal/vault"
	"github.com/spf13/cobra"
)

const aboutDoctor = `Say what this machine offers: which BuildKit would be used, what memory keeps
the secrets and whether a SIGKILL is survived, which keys are found, whether the
registry lets us in, and what masks.

The mask self-test sends a random value in every encoding through the redactor
that all output goes through. On GitHub and GitLab it shows beside it what the
CI's own masker would have let pass.

Exit status: 0 a build can run here; 1 something that it needs is missing.`

func (a *app) doctorCommand() *cobra.Command {
	var opts options
	cmd := &cobra.Command{
		Use:     "doctor [flags]",
		Short:   "Say what this machine offers, and test the masks",
		Long:    aboutDoctor,
		Example: "  secure-build doctor -t registry.example.com/team/app",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := opts.bool("json")
			if err != nil {
				return err
			}
			dir, err := cacheDir(opts.text("cache-dir"))
			if err != nil {
				return err
			}
			tags, err := push.ParseTags(opts.list("tag"))
			if err != nil {
				return err
			}
			d, err := a.diagnose(cmd.Context(), buildkit.EngineOptions{Builders: opts.list("builder"), TLSDir: opts.text("builder-tls"), CacheDir: dir, Image: engineImage}, tags)
			if err != nil {
				return err
			}
			if asJSON {
				out := json.NewEncoder(a.stdout)
				out.SetIndent("", "  ")
				err = out.Encode(d)
			} else {
				err = d.print(a.stdout)
			}
			return errors.Join(err, d.verdict())
		},
	}
	opts = register(cmd, config.Doctor, a.getenv)
	return cmd
}

// A diagnosis is what doctor found, in the order in which it is shown.
type diagnosis struct {
	Platform platform.Kind `json:"platform"`
	Engines  []check       `json:"engines"` // the first that is OK is used
	Memory   []check       `json:"memory"`  // likewise
	Keys     []check       `json:"keys"`
	Registry []check       `json:"registry"`
	Masks    []maskCheck   `json:"masks"`
}

type check struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Note string `json:"note"`
}

type maskCheck struct {
	Encoding string `json:"encoding"`
	Ours     bool   `json:"ours"`
	CI       *bool  `json:"ci,omitempty"` // the CI's own masker, told the value as it is
}

func (a *app) diagnose(ctx context.Context, engine buildkit.EngineOptions, tags []push.Tag) (*diagnosis, error) {
	if err := os.MkdirAll(engine.CacheDir, 0o700); err != nil {
		return nil, fmt.Errorf("making the cache folder: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	d := &diagnosis{Platform: platform.Detect(a.getenv)}
	engine.Getenv, engine.Log, engine.Executable = a.getenv, a.stderr, self
	for _, k := range source.Keys(ctx, source.Options{}) {
		d.Keys = append(d.Keys, check{k.Place, k.OK, k.Note})
	}
	if err := (secrets{}).shed(); err != nil {
		return nil, err
	}
	for _, c := range buildkit.Survey(ctx, engine) {
		d.Engines = append(d.Engines, check{c.Kind + ": " + c.Place, c.OK, c.Note})
	}
	for _, r := range vault.Ladder() {
		note := cmp.Or(errText(r.Err), map[vault.Kind]string{
			vault.Memfd: "survives SIGKILL: nothing is left, whatever is killed",
			vault.Tmpfs: "after SIGKILL a supervisor erases it, or else the next run",
			vault.Disk:  "only with --allow-disk; best effort",
		}[r.Kind])
		d.Memory = append(d.Memory, check{strings.TrimSpace(string(r.Kind) + " " + r.Place), r.Err == nil, note})
	}
	for _, t := range tags {
		user, err := push.Login(ctx, t, buildkit.CredentialDir(a.getenv))
		d.Registry = append(d.Registry, check{t.RegistryStr(), err == nil, strings.Trim(user+": "+errText(err), ": ")})
	}
	d.Masks, err = testMasks(d.Platform)
	return d, err
}

// testMasks tries ours with the real redactor and the real index, and the CI's
// by its model.
func testMasks(kind platform.Kind) ([]maskCheck, error) {
	value, err := canary.Token(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a canary: %w", err)
	}
	var set secret.Set
	if err := set.Add(secret.New("canary", "doctor", value)); err != nil {
		return nil, err
	}
	r := redact.New()
	r.SetIndex(index.Compile(set))
	var theirs []canary.Result
	if kind != platform.Terminal { // which masks nothing
		theirs = platform.Catches(kind, value)
	}
	var checks []maskCheck
	for _, res := range canary.Test(value, r.Bytes) {
		c := maskCheck{Encoding: res.Form, Ours: res.Masked}
		if i := slices.IndexFunc(theirs, func(t canary.Result) bool { return t.Form == res.Form }); i >= 0 {
			c.CI = &theirs[i].Masked
		}
		checks = append(checks, c)
	}
	return checks, nil
}

// verdict is the error if a build could not run here.
func (d *diagnosis) verdict() error {
	ok := func(c check) bool { return c.OK }
	var errs []error
	if !slices.ContainsFunc(d.Engines, ok) {
		errs = append(errs, hint.Wrap(errors.New("no BuildKit can be used here"), "set BUILDKIT_HOST, or install runc and put buildkitd in PATH"))
	}
	if !slices.ContainsFunc(d.Memory, ok) {
		errs = append(errs, errors.New("no place is fit to keep secrets in"))
	}
	if slices.ContainsFunc(d.Masks, func(m maskCheck) bool { return !m.Ours }) {
		errs = append(errs, hint.Wrap(errors.New("the redactor has let an encoding pass"), "this is a bug; please report it with the table above"))
	}
	for _, r := range d.Registry {
		if !r.OK {
			errs = append(errs, hint.Wrap(fmt.Errorf("the registry %s does not let us in", r.Name), "docker login %s", r.Name))
		}
	}
	return errors.Join(errs...)
}

func (d *diagnosis) print(w io.Writer) error {
	var b strings.Builder
	section := func(title string, checks []check, none string) {
		fmt.Fprintf(&b, "%s\n", title)
		for _, c := range checks {
			fmt.Fprintf(&b, "  %-4s %s", mark(c.OK), c.Name)
			if c.Note != "" {
				fmt.Fprintf(&b, ": %s", c.Note)
			}
			b.WriteByte('\n')
		}
		if len(checks) == 0 {
			fmt.Fprintf(&b, "  -    %s\n", none)
		}
		b.WriteByte('\n')
	}
	section("Engine (the first that is ok is used)", d.Engines, "none")
	section("Memory for the secrets (the first that is ok is used)", d.Memory, "none")
	section("Keys", d.Keys, "none found: SOPS_AGE_KEY, SOPS_AGE_KEY_FILE, GNUPGHOME, and the variables of AWS, GCP, Azure and Vault are looked at")
	section("Registry", d.Registry, "not asked: name an image with --tag")
	fmt.Fprintf(&b, "Masks, tried with a random value\n  %-32s %-6s", "ENCODING", "OURS")
	if d.Platform != platform.Terminal {
		fmt.Fprintf(&b, " %s", strings.ToUpper(string(d.Platform)))
	}
	b.WriteByte('\n')
	for _, m := range d.Masks {
		fmt.Fprintf(&b, "  %-32s %-6s", m.Encoding, mark(m.Ours))
		if m.CI != nil {
			fmt.Fprintf(&b, " %s", map[bool]string{true: "ok", false: "shown"}[*m.CI])
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func mark(ok bool) string {
	if ok {
		return "ok"
	}
	return "no"
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
