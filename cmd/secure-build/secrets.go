package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/org/secure-build/internal/buildkit"
	"github.com/org/secure-build/internal/config"
	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/index"
	"github.com/org/secure-build/internal/secret"
	"github.com/org/secure-build/internal/source"
	"github.com/org/secure-build/internal/vault"
	"github.com/spf13/cobra"
)

// secrets are the options that build, exec and check share: where secrets come
// from and what they may be kept in.
type secrets struct {
	refs         []source.Ref
	sources      source.Options
	optional     []string // ids that may be missing or empty
	vaultOptions vault.Options
}

// inputs are the lists in which secrets are named.
var inputs = []struct {
	flag  string
	parse func(string) (source.Ref, error)
}{
	{"sops", source.ParseSOPS},
	{"secret", source.ParseSecret},
	{"variable", source.ParseVariable},
	{"secret-env", source.ParseSecretEnv},
	{"secret-file", source.ParseSecretFile},
}

func (a *app) readSecrets(o options) (secrets, error) {
	var s secrets
	var errs []error
	for _, in := range inputs {
		if !o.has(in.flag) {
			continue
		}
		items := o.list(in.flag)
		if in.flag == "secret-env" {
			items = commas(items) // no variable's name has one
		}
		for _, line := range items {
			ref, err := in.parse(line)
			s.refs, errs = append(s.refs, ref), append(errs, err)
		}
	}
	if o.has("secret-values") {
		errs = append(errs, s.takeValues(o))
	}
	if o.has("allow-key-source") { // check decrypts nothing
		s.sources.AllowKeySource = o.list("allow-key-source")
	}
	if o.has("optional-secret") {
		s.optional = o.list("optional-secret")
	}
	if o.has("oidc-audience") {
		s.sources.Keyless = source.Keyless{
			Tokens: o.list("oidc-token-env"), Audience: o.text("oidc-audience"),
			AWSRole: o.text("aws-role"), AWSRegion: o.text("aws-region"),
			GCPProvider: o.text("gcp-workload-identity-provider"), GCPServiceAccount: o.text("gcp-service-account"),
			VaultRole: o.text("vault-role"), VaultAuthPath: o.text("vault-auth-path"),
		}
		errs = append(errs, s.sources.Keyless.Check())
	}
	if !o.has("require-ram") { // nor does scan keep anything
		return s, errors.Join(errs...)
	}
	var err1, err2 error
	s.vaultOptions.RequireRAM, err1 = o.bool("require-ram")
	s.vaultOptions.AllowDisk, err2 = o.bool("allow-disk")
	return s, errors.Join(append(errs, err1, err2)...)
}

// readDockerfile reads the options that say which Dockerfile is meant.
func (a *app) readDockerfile(o options, buildContext string) (buildkit.Request, error) {
	args, err := config.Pairs("build-arg", o.list("build-arg"), a.lookupEnv)
	req := buildkit.Request{Context: buildContext, Dockerfile: o.text("file"), Target: o.text("target"), BuildArgs: args}
	err = errors.Join(err, buildkit.CheckContext(buildContext))
	if o.service == nil && req.Dockerfile == "-" {
		err = errors.Join(err, a.readInline(o, &req))
	}
	if len(o.list("service")) > 0 && len(o.list("compose")) == 0 {
		err = errors.Join(err, hint.Wrap(errors.New("--service without --compose"), "--compose FILE says which services there are"))
	}
	if o.has("build-context") {
		var cerr error
		req.Contexts, cerr = buildkit.ParseContexts(o.list("build-context"))
		err = errors.Join(err, cerr)
	}
	if err == nil && o.service == nil { // a service is held to the checkout while it is read
		err = source.LeadsOut(source.Options{}, readHere(req)...)
	}
	return req, err
}

// lookupEnv tells a variable that is empty from one that is not set.
func (a *app) lookupEnv(name string) (string, bool) {
	v := a.getenv(name)
	_, set := os.LookupEnv(name)
	return v, v != "" || set
}

// readInline reads the Dockerfile of --file - from standard input. A second reader
// of that would find the rest of it, or nothing.
func (a *app) readInline(o options, req *buildkit.Request) (err error) {
	if o.has("registry-password-stdin") {
		if password, err := o.bool("registry-password-stdin"); err != nil || password {
			return errors.Join(err, hint.Wrap(errors.New("--file - and --registry-password-stdin both read standard input"), "give the password by --registry-password-env NAME"))
		}
	}
	req.Dockerfile, req.InlineName = "", "stdin" // as buildx names it
	req.Inline, err = buildkit.ReadInline(a.stdin, "standard input")
	return err
}

// readHere are the places of a build that are read on this machine, where links
// are followed: the daemon follows none out of a folder.
func readHere(req buildkit.Request) []string {
	dockerfiles := []string{filepath.Join(req.Context, "Dockerfile"), filepath.Join(req.Context, "dockerfile")}
	if req.Dockerfile != "" {
		dockerfiles = append(dockerfiles, req.Dockerfile)
	}
	places := []string{req.Context, filepath.Join(req.Context, ".dockerignore")}
	for _, name := range dockerfiles {
		places = append(places, name, name+".dockerignore")
	}
	for _, name := range slices.Sorted(maps.Keys(req.Contexts)) {
		places = append(places, filepath.Join(req.Contexts[name], ".dockerignore"))
	}
	return places
}

// load reads the secrets. What there is to say about them is kept until they
// are masked. After an error the set has what is known by then.
func (a *app) load(ctx context.Context, s secrets) (secret.Set, error) {
	s.sources.Note = func(note string) { a.notes = append(a.notes, note) }
	return source.Load(ctx, s.refs, s.sources)
}

// store opens the vault and fills it, after erasing what runs that were killed
// have left. A vault that is not full is closed.
func (a *app) store(s secrets, set secret.Set) (_ *vault.Vault, err error) {
	stale, err := vault.Sweep()
	for _, dir := range stale {
		a.warn("erased what a killed run had left in %s", dir)
	}
	if err != nil {
		a.warn("%v", err) // somebody else's, or gone in the meantime: no reason to stop
	}
	v, err := vault.Open(s.vaultOptions)
	if err != nil {
		return nil, err
	}
	for _, sec := range set.Mounted() {
		if err := v.Put(sec); err != nil {
			return nil, errors.Join(err, v.Close())
		}
	}
	return v, nil
}

// mask is where the redactor, and on GitHub the runner, learn what must not be
// printed. Everything that is printed after it goes through it; nothing was
// printed since decryption. The job's keys stay masked, if the set has them or not.
func (a *app) mask(set secret.Set) (*index.Index, error) {
	set = a.withKeys(set)
	x := index.Compile(set)
	a.redactor.SetIndex(x)
	if err := a.platform.Mask(set); err != nil {
		return nil, fmt.Errorf("masking: %w", err)
	}
	for i, note := range a.notes {
		if !slices.Contains(a.notes[:i], note) { // one of each, of many services
			a.warn("%s", note)
		}
	}
	a.notes = nil
	for _, sec := range set.Searched() {
		a.debug("secret: %s from %s", sec.ID(), sec.Origin())
	}
	if weak := x.Weak(); len(weak) > 0 {
		a.warn("too short or too common to be masked or searched for: %s", strings.Join(weak, ", "))
	}
	return x, nil
}

// withKeys is the set and the job's keys. One that was decrypted has them; none
// has them where nothing is decrypted.
func (a *app) withKeys(set secret.Set) secret.Set {
	has := map[[2]string]bool{}
	for _, sec := range set.Searched() {
		has[[2]string{sec.ID(), sec.Origin()}] = true
	}
	for _, key := range a.keys.Searched() {
		if !has[[2]string{key.ID(), key.Origin()}] {
			set.AddHidden(key)
		}
	}
	return set
}

// loadMasked is load and then mask, whatever load came to: its error, too, is printed
// after that.
func (a *app) loadMasked(ctx context.Context, s secrets) (secret.Set, *index.Index, error) {
	set, err := a.load(ctx, s)
	x, merr := a.mask(set)
	return set, x, errors.Join(err, merr)
}

func (a *app) warn(format string, args ...any) {
	fmt.Fprintf(a.stderr, "secure-build: warning: %s%s\n", a.about(), fmt.Sprintf(format, args...))
}

// about begins a message with the service that it is about, if there is one.
func (a *app) about() string {
	if a.service == "" {
		return ""
	}
	return "service " + a.service + ": "
}

// oneContext is the argument of build and check.
func oneContext(cmd *cobra.Command, args []string) error {
	if len(args) == 1 {
		return nil
	}
	return hint.Wrap(fmt.Errorf("%s takes one CONTEXT, the folder that COPY reads from; got %d arguments", cmd.Name(), len(args)),
		"%s [flags] .", cmd.CommandPath())
}
