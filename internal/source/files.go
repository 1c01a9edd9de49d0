package source

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/secret"
)

func (l *loader) loadEnv(set *secret.Set, ref Ref) error {
	if !l.opts.hasEnv(ref.env) {
		if value, ok := l.opts.dotenv[ref.env]; ok {
			return add(set, secret.New(ref.id, ref.String(), []byte(value)))
		}
		return l.opts.unset(ref)
	}
	return add(set, l.opts.inVariable(ref, l.opts.env(ref.env)))
}

func (l *loader) loadFile(set *secret.Set, ref Ref) error {
	// A pipe is welcome here: docker build --secret id=x,src=<(command) works too.
	data, err := readFile(l.opts, ref.file, secret.MaxSize+1, true)
	if err != nil {
		return fmt.Errorf("reading the secret %s: %w", ref.id, err)
	}
	return add(set, secret.New(ref.id, ref.String(), data))
}

// either settles Docker's bare id, by secretsprovider.NewStore's rule.
func (l *loader) either(ref Ref) Ref {
	ref.kind = fromFile
	if l.opts.hasEnv(ref.env) {
		ref.kind = fromEnv
	}
	return ref
}

// readFile reads at most limit bytes. Its errors say what to do about a file
// that is missing, a directory, or no file at all.
func readFile(opts Options, name string, limit int64, pipes bool) ([]byte, error) {
	path := opts.path(name)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, missing(name, path)
	case err != nil:
		return nil, fmt.Errorf("opening %s: %w", name, errors.Unwrap(err))
	case info.IsDir():
		return nil, hint.Wrap(fmt.Errorf("%s is a directory, not a file", name), "name a file in it, one line for each")
	case !info.Mode().IsRegular() && !pipes:
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, hint.Wrap(fmt.Errorf("opening %s: %w", name, errors.Unwrap(err)), "may this user read it? its mode is %s", info.Mode())
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, errors.Unwrap(err))
	}
	return data, nil
}

// missing names the file that was probably meant.
func missing(name, path string) error {
	err := fmt.Errorf("%s does not exist", name)
	entries, _ := os.ReadDir(filepath.Dir(path))
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	if near := hint.Nearest(filepath.Base(path), names); near != "" {
		return hint.Wrap(err, "did you mean %s?", filepath.Join(filepath.Dir(name), near))
	}
	return hint.Wrap(err, "looked for %s: is it checked out, and is the working directory the right one?", path)
}
