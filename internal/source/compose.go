package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	composing "github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/secret"
)

// A Service is one image that a Compose file says how to build. Its options
// are in the words of our own flags, since each has one.
type Service struct {
	Name    string
	Unnamed string // what docker compose calls its image if nothing else does
	File    string // the Compose file, or the last of several
	Context string
	Inline  string              // the Dockerfile itself, where the Compose file holds it
	Lists   map[string][]string // by flag
	Texts   map[string]string   // by flag
	Bools   map[string]bool     // by flag

	Refs     []Ref             // its secrets, but for the external ones
	External map[string]string // name in the Compose file, by the id that a source has to give
	Warnings []string          // what of it is not honored
	Fork     bool              // the Compose file is of a change that comes from a fork

	env map[string]string // of .env, for secrets that are variables
}

// Options are the options for the secrets of a service: one that is a variable
// may be set in .env. Nothing else is looked up there, so that a file of the
// checkout sets no identity of SOPS and names no key service (I10).
func (s Service) Options(opts Options) Options {
	opts.dotenv = s.env
	return opts
}

// Compose reads Compose files, merged as docker compose -f merges them, and
// gives the named services, or all that have a build and no profile that is
// off. It decrypts nothing.
func Compose(ctx context.Context, files, names []string, opts Options) ([]Service, error) {
	environ := opts.Environ
	if environ == nil {
		environ = os.Environ
	}
	paths := make([]string, len(files))
	for i, name := range files {
		paths[i] = opts.path(name)
	}
	given, why := environ(), strangers(opts, paths)
	var held *fence
	if why != nil {
		given, held = public(given), &fence{dir: filepath.Dir(paths[0]), root: checkoutOf(paths[0]), why: why}
	}
	for i, name := range files {
		if err := held.file(paths[i]); err != nil {
			return nil, err
		}
		if _, err := readFile(opts, name, maxFile, false); err != nil {
			return nil, fmt.Errorf("reading the Compose file: %w", err)
		}
	}
	project, blank, err := loadProject(ctx, paths, given, held)
	if err != nil {
		return nil, err
	}
	chosen, err := chooseServices(project, names, opts)
	if err != nil {
		return nil, err
	}
	var all []Service
	var errs []error
	for _, svc := range chosen {
		if err := held.secrets(project, svc.Build); err != nil {
			errs = append(errs, fmt.Errorf("service %s: %w", svc.Name, err))
			continue // and nothing is said of what is there
		}
		s, err := newService(project, svc, opts)
		s.File = files[len(files)-1]
		var names []string
		if why != nil {
			err = errors.Join(err, s.confine(svc.Build, held.root, why))
			if names = withheld(opts, files, environ()); len(all) == 0 && len(names) > 0 {
				s.warn("%v: its Compose file is not given the job's variables: %s", why, strings.Join(names, ", "))
			}
		}
		blank = slices.DeleteFunc(blank, func(name string) bool { return slices.Contains(names, name) })
		if len(all) == 0 && len(blank) > 0 {
			s.warn("variables that the Compose file names are not set, and blank: %s", strings.Join(blank, ", "))
		}
		for _, e := range each(err) {
			errs = append(errs, fmt.Errorf("service %s: %w", svc.Name, e))
		}
		all = append(all, s)
	}
	return all, errors.Join(errs...)
}

// each takes joined errors apart.
func each(err error) (all []error) {
	many, ok := err.(interface{ Unwrap() []error })
	switch {
	case err == nil:
		return nil
	case !ok:
		return []error{err}
	}
	for _, e := range many.Unwrap() {
		all = append(all, each(e)...)
	}
	return all
}

// loadProject reads with variables put in, by the environment and .env. The
// environments of the containers and their label files are none of a build's.
// blank are the variables that are set nowhere and have no default.
func loadProject(ctx context.Context, paths, environ []string, held *fence) (project *types.Project, blank []string, err error) {
	defer func() {
		if r := recover(); r != nil { // the panic's words may quote the file
			err = errors.New("reading the Compose file: it cannot be read")
		}
	}()
	if err := held.dotenv(); err != nil {
		return nil, nil, err
	}
	unset := map[string]bool{}
	o, err := cli.NewProjectOptions(paths,
		cli.WithEnv(environ), cli.WithEnvFiles(), cli.WithDotEnv, cli.WithProfiles([]string{"*"}),
		cli.WithoutEnvironmentResolution, cli.WithoutLabelsResolution,
		cli.WithLoadOptions(noting(unset)), held.around)
	if err == nil {
		project, err = o.LoadProject(ctx)
	}
	if held != nil && held.crossed != nil { // before an error that may quote what was read
		return nil, nil, held.crossed
	}
	if err != nil {
		known := types.Mapping{}
		if o != nil {
			known = o.Environment
		}
		// compose-go's messages have several lines, and not all name the file.
		text := strings.Join(strings.Fields(unvalued(err.Error(), known, filepath.Dir(paths[0]))), " ")
		return nil, nil, hint.Wrap(fmt.Errorf("reading the Compose file: %s: %s", filepath.Base(paths[len(paths)-1]), text), "docker compose config shows what is read")
	}
	return project, slices.Sorted(maps.Keys(unset)), nil
}

// noting notes the names of variables that compose-go finds nowhere. It says so
// itself in its log only, which we show nobody.
func noting(unset map[string]bool) func(*composing.Options) {
	replace := func(text string, value template.Mapping, how *template.Config) (string, error) {
		put, found, err := template.DefaultReplacementAppliedFunc(text, value, how)
		if m := named.FindStringSubmatch(text); err == nil && !found && m != nil {
			unset[m[1]] = true
		}
		return put, err
	}
	return func(o *composing.Options) {
		if o.Interpolate == nil { // where the files are found only
			return
		}
		o.Interpolate.Substitute = func(text string, value template.Mapping) (string, error) {
			return template.SubstituteWithOptions(text, value, template.WithReplacementFunction(replace), template.WithoutLogging)
		}
	}
}

// unvalued takes out of a message what variables have put into it: it may be a
// secret, and nothing is masked yet. Paths stay readable.
func unvalued(text string, env types.Mapping, dir string) string {
	names := slices.SortedFunc(maps.Keys(env), func(a, b string) int {
		if d := len(env[b]) - len(env[a]); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	for _, name := range names {
		value := env[name]
		if len(value) < 4 || strings.HasPrefix(dir, value) {
			continue
		}
		text = strings.ReplaceAll(text, value, "${"+name+"}")
	}
	return text
}

// chooseServices is sorted by name, so that two runs do the same.
func chooseServices(project *types.Project, names []string, opts Options) ([]types.ServiceConfig, error) {
	var built []string
	for name, svc := range project.Services {
		if svc.Build != nil {
			built = append(built, name)
		}
	}
	slices.Sort(built)
	there := "no service of the Compose file has a build"
	if len(built) > 0 {
		there = "those with a build are " + strings.Join(built, ", ")
	}
	if len(names) == 0 {
		active := opts.env("COMPOSE_PROFILES")
		if !opts.hasEnv("COMPOSE_PROFILES") {
			active = project.Environment["COMPOSE_PROFILES"] // .env has it
		}
		profiles := strings.Split(active, ",")
		names = slices.DeleteFunc(slices.Clone(built), func(name string) bool {
			own := project.Services[name].Profiles
			return len(own) > 0 && !slices.Contains(profiles, "*") && !slices.ContainsFunc(own, func(p string) bool { return slices.Contains(profiles, p) })
		})
	}
	if len(names) == 0 {
		return nil, hint.Wrap(errors.New("reading the Compose file: there is nothing to build"), "%s", there)
	}
	var all []types.ServiceConfig
	var errs []error
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		svc, known := project.Services[name]
		switch {
		case !known:
			err := fmt.Errorf("reading the Compose file: there is no service %q", name)
			if near := hint.Nearest(name, built); near != "" {
				err = hint.Wrap(err, "did you mean %s? %s", near, there)
			} else {
				err = hint.Wrap(err, "%s", there)
			}
			errs = append(errs, err)
		case svc.Build == nil:
			errs = append(errs, hint.Wrap(fmt.Errorf("reading the Compose file: the service %q has no build", name), "%s", there))
		}
		all = append(all, svc)
	}
	return all, errors.Join(errs...)
}

// newSecret is one entry of build.secrets. What holds a SOPS file is decrypted
// as a whole: a service expects a file.
func (s *Service) newSecret(project *types.Project, ref types.ServiceSecretConfig, opts Options) error {
	id := ref.Target
	if id == "" {
		id = ref.Source
	}
	if err := secret.CheckID(id); err != nil {
		return hint.Wrap(err, "give it a target that is an id, as in RUN --mount=type=secret,id=ID")
	}
	if ref.UID != "" || ref.GID != "" || ref.Mode != nil {
		s.warn("build.secrets.%s: uid, gid and mode are the Dockerfile's: RUN --mount=type=secret,id=%s,uid=…,mode=…", ref.Source, id)
	}
	def, ok := project.Secrets[ref.Source]
	switch {
	case !ok:
		return fmt.Errorf("build.secrets: the Compose file has no secret %q at its top level", ref.Source)
	case bool(def.External):
		s.External[id] = ref.Source
		return nil
	case def.Driver != "" || def.TemplateDriver != "" || len(def.DriverOpts) > 0:
		return hint.Wrap(fmt.Errorf("the secret %q: driver, driver_opts and template_driver are Swarm's", ref.Source), "make it external, and give it with --sops or --secret id=%s,…", id)
	case def.Environment != "":
		s.Refs = append(s.Refs, Ref{kind: fromEnv, id: id, env: def.Environment})
		if value, ok := project.Environment[def.Environment]; ok {
			s.env[def.Environment] = value
		}
		return nil
	case def.File == "":
		return hint.Wrap(fmt.Errorf("the secret %q has none of file, environment and external", ref.Source), "a value does not belong into a Compose file")
	}
	name := shown(def.File)
	if _, err := os.Stat(opts.path(name)); errors.Is(err, fs.ErrNotExist) { // a check needs no value, and a fork's job has none
		s.warn("the file %s of the secret %q is not there", name, ref.Source)
		s.Refs = append(s.Refs, Ref{kind: fromFile, id: id, file: name})
		return nil
	}
	r, err := fileRef(id, name, opts)
	s.Refs = append(s.Refs, r)
	return err
}

// fileRef tells a SOPS file by what every one has: an encrypted checksum. A
// damaged one is an error later, and never mounted as it is.
func fileRef(id, name string, opts Options) (Ref, error) {
	data, err := readFile(opts, name, maxFile+1, false)
	if err != nil {
		return Ref{}, fmt.Errorf("reading the secret %s: %w", id, err)
	}
	if !strings.Contains(string(data), "ENC[AES256_GCM,") {
		return Ref{kind: fromFile, id: id, file: name}, nil
	}
	ref := Ref{kind: fromSOPS, id: id, file: name}
	if _, err := formatOf(name, "", data); err != nil {
		ref.format = formatByContent(data) // there is no place to say it in a Compose file
	}
	return ref, nil
}

// shown is a path as people write it, from the working directory.
func shown(path string) string {
	dir, err := os.Getwd()
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(dir, path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}
