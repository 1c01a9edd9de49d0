// Package source is where secrets come from: SOPS files, and the files and
// environment variables of Docker's own --secret. It is the only importer of
// the sops library.
//
// A SOPS file is changed by people who may not read it, so it is treated as
// hostile input: its size, nesting and selectors are bounded before the library
// sees it, the library's panics become errors and its messages, which quote
// the input, are replaced by our own, and it prints nothing and never prompts.
package source

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/secret"
)

// Options say where Load looks. The zero Options mean this process.
type Options struct {
	// Dir is what relative paths are relative to; "" is the working directory.
	Dir string

	// LookupEnv reads an environment variable; nil is os.LookupEnv. It decides
	// everything that this package decides (identities, key sources, --secret
	// env=), so that a test does not touch the process. The SDKs of AWS, GCP,
	// Azure and Vault read the process' own environment all the same.
	LookupEnv func(string) (string, bool)

	// Environ lists the environment; nil is os.Environ. Only names are used, to
	// say which variable may have been meant.
	Environ func() []string

	// Note takes a warning about a secret; nil drops it. It must not be printed
	// before the secrets are masked.
	Note func(string)

	// AllowKeySource lists the key sources that only a file names and that may
	// be used for all that (--allow-key-source): a URL, an ARN or a resource id,
	// the latter two also as a prefix that ends in "*".
	AllowKeySource []string

	// Keyless says how to get credentials for the key services by this job's
	// identity.
	Keyless Keyless

	dotenv map[string]string // variables that are secrets of a Compose file, from its .env

	gcpSTS, gcpIAM string // where tests have Google's services
}

func (o Options) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(o.Dir, name)
}

// env returns the value of a variable; an empty variable counts as not set,
// since CI systems hand on a missing secret as an empty string.
func (o Options) env(name string) string {
	if o.LookupEnv == nil {
		return os.Getenv(name)
	}
	value, _ := o.LookupEnv(name)
	return value
}

func (o Options) note(format string, args ...any) {
	if o.Note != nil {
		o.Note(fmt.Sprintf(format, args...))
	}
}

func (o Options) hasEnv(name string) bool {
	if o.LookupEnv == nil {
		_, ok := os.LookupEnv(name)
		return ok
	}
	_, ok := o.LookupEnv(name)
	return ok
}

// Load reads every secret that refs name, in their order. A file that several
// refs name is decrypted once. Two secrets with one id are an error, and so is
// a job in which no secret may be read: see Refuse.
//
// The keys of the job are hidden ones in the set. After an error the set has the
// keys, and the values that were read up to there: the error has to be printed,
// and what it quotes (a path, a file's words) may hold one of them.
func Load(ctx context.Context, refs []Ref, opts Options) (set secret.Set, err error) {
	keys := newKeyring(opts)
	defer keys.hide(&set)
	l, err := newLoader(opts, keys)
	if err != nil {
		return set, err
	}
	if len(refs) > 0 {
		if err := Refuse(opts.LookupEnv); err != nil {
			return set, err
		}
	}
	for _, ref := range refs {
		if err := l.load(ctx, &set, ref); err != nil {
			return set, err
		}
	}
	return set, nil
}

// Names lists the ids that ref would give, without any key: key names are
// clear text in a SOPS file. It says of a file what Load would say before it
// asks for a key: not encrypted, cut off, no such key.
func Names(ref Ref, opts Options) ([]string, error) {
	isVariable := ref.kind == fromEnv || ref.kind == fromVariable
	if isVariable && !opts.hasEnv(ref.env) && looksLikeValue(ref.env) {
		return nil, opts.unset(ref) // before an id that may be a value is shown
	}
	if ref.kind != fromSOPS {
		return []string{ref.id}, nil
	}
	doc, err := openDocument(opts, ref)
	if err != nil {
		return nil, err
	}
	if err := doc.mark(nil); err != nil {
		return nil, err
	}
	if ref.whole(doc) {
		return []string{doc.wholeID(ref)}, nil
	}
	chosen, err := doc.choose(ref)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, c := range chosen {
		if secret.CheckID(c.id) == nil {
			ids = append(ids, c.id)
		}
	}
	return ids, nil
}

// A loader remembers the files that it has decrypted and the identities that
// it has found.
type loader struct {
	opts Options
	keys *keyring
	docs map[[2]string]*document
}

func newLoader(opts Options, keys *keyring) (*loader, error) {
	for _, entry := range opts.AllowKeySource {
		if err := checkKeySource(entry); err != nil {
			return nil, err
		}
	}
	if err := opts.Keyless.Check(); err != nil {
		return nil, err
	}
	return &loader{opts: opts, keys: keys, docs: map[[2]string]*document{}}, nil
}

func (l *loader) load(ctx context.Context, set *secret.Set, ref Ref) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("reading the secrets: %w", err)
	}
	if ref.kind == fromEither {
		ref = l.either(ref)
	}
	switch ref.kind {
	case fromFile:
		return l.loadFile(set, ref)
	case fromEnv:
		return l.loadEnv(set, ref)
	case fromVariable:
		return l.loadVariable(set, ref)
	case fromValue:
		return l.loadValue(set, ref)
	}
	_, known := l.docs[l.docID(ref)]
	doc, err := l.decrypted(ctx, ref)
	if err != nil {
		return err
	}
	if !known { // one file is one key, however many of its values are named
		set.AddKey(doc.dataKey())
	}
	if err := doc.addTo(set, ref); err != nil {
		doc.hideAll(set)
		return err
	}
	return nil
}

func (l *loader) docID(ref Ref) [2]string { return [2]string{l.opts.path(ref.file), ref.format} }

func (l *loader) decrypted(ctx context.Context, ref Ref) (*document, error) {
	id := l.docID(ref)
	if doc, ok := l.docs[id]; ok {
		return doc, nil
	}
	doc, err := openDocument(l.opts, ref)
	if err != nil {
		return nil, err
	}
	if err := l.keys.decrypt(ctx, doc); err != nil {
		return nil, err
	}
	l.docs[id] = doc
	return doc, nil
}

// add puts one value on the list, if BuildKit would take it.
func add(set *secret.Set, sec secret.Secret) error {
	if sec.Len() > secret.MaxSize {
		return hint.Wrap(
			fmt.Errorf("reading %s: %d bytes are more than a build secret may have (%d)", sec.Origin(), sec.Len(), secret.MaxSize),
			"BuildKit takes at most 500 KiB per secret: split it, or fetch the file with a short secret in the build")
	}
	return hint.Wrap(set.Add(sec), "give one of them another id: ID=FILE#KEY, key by key where a whole file was named")
}
