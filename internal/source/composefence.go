package source

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/compose-spec/compose-go/v2/cli"
	composing "github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/org/secure-build/internal/hint"
)

// A fence is around a stranger's Compose file while it is read: what it includes
// and extends, and the variables of files, are of the checkout too. Nil is none.
type fence struct {
	dir, root string // of the Compose file, and what is around it
	why       error
	crossed   error // the first time
}

var (
	_ composing.ResourceLoader = (*fence)(nil)
	_ cli.ProjectOptionsFn     = (*fence)(nil).around
)

func (f *fence) around(o *cli.ProjectOptions) error {
	if f == nil {
		return nil
	}
	o.WithListeners(func(event string, _ map[string]any) {
		if event == "include" { // brings variables of any file
			f.cross("include is not for the Compose file of a fork")
		}
	})
	return cli.WithResourceLoader(f)(o)
}

func (f *fence) cross(what string) {
	if f.crossed == nil {
		f.crossed = hint.Wrap(fmt.Errorf("reading the Compose file: %s, and %w", what, f.why), "a file for each --compose, or extends, does the same from the checkout")
	}
}

// strangers says why Compose files are a stranger's, nil if they are not: in a
// job that does not know whose change it has, by what is checked out around them.
func strangers(opts Options, paths []string) error {
	if err := fork(opts); err != nil {
		return err
	}
	var folders []string
	for _, path := range paths {
		folders = append(folders, filepath.Dir(path))
	}
	if checkCheckout(opts, nil, folders) != nil {
		return isFork("the event %s does not say where the change comes from, so it may be", printable(opts.env("GITHUB_EVENT_NAME")))
	}
	return nil
}

// file says whether a Compose file that the job names is a link out of the
// checkout that it is in, or leads out of the one that we are in.
func (f *fence) file(path string) error {
	if f == nil {
		return nil
	}
	_, out, err := leadsOut(path)
	if err != nil {
		return err
	}
	if !out && inside(checkoutOf(path), path) {
		return nil
	}
	f.cross(printable(shown(path)) + " is outside of the checkout")
	return f.crossed
}

// secrets says whether a file of a build's secrets is outside, before anybody
// looks whether it is there, or what names it holds.
func (f *fence) secrets(project *types.Project, b *types.BuildConfig) error {
	if f == nil {
		return nil
	}
	for _, ref := range b.Secrets {
		if def := project.Secrets[ref.Source]; def.File != "" && !inside(f.root, def.File) {
			return hint.Wrap(fmt.Errorf("the file of the secret %q is outside of %s, and %w", ref.Source, shown(f.root), f.why),
				"make it external, and give it with --sops or --secret")
		}
	}
	return nil
}

// dotenv says whether the file of variables beside the Compose file leads out.
func (f *fence) dotenv() error {
	if f == nil || inside(f.root, filepath.Join(f.dir, ".env")) {
		return nil
	}
	f.cross(".env is outside of the checkout")
	return f.crossed
}

// Accept takes what is outside, so that nobody else reads it.
func (f *fence) Accept(path string) bool {
	if !filepath.IsAbs(path) {
		path = filepath.Join(f.dir, path)
	}
	return !inside(f.root, path)
}

// Load reads nothing.
func (f *fence) Load(_ context.Context, path string) (string, error) {
	f.cross(printable(path) + " is outside of the checkout")
	return "", errors.New("not read")
}

// Dir is not asked for.
func (f *fence) Dir(path string) string { return filepath.Dir(path) }
