package main

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/org/secure-build/internal/config"
	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/source"
)

// The options that hold secrets themselves.
var (
	valuesEnv = config.Option{Flag: "secret-values"}.Env()
	tokenEnv  = config.Option{Flag: "github-token"}.Env()
)

// gitToken is the id that BuildKit asks for when it fetches from a git host.
const gitToken = "GIT_AUTH_TOKEN"

// readInputs reads the secrets that a CI hands over by name, as a file or by
// value: secret-envs, secret-files and secrets of docker/build-push-action.
// Values are taken out of the environment, so that nothing that we start
// inherits them.
func (s *secrets) readInputs(o options) error {
	var errs []error
	add := func(id, field, value string) {
		ref, err := source.ParseSecret(csvLine("id="+id, field+"="+value))
		s.refs, errs = append(s.refs, ref), append(errs, err)
	}
	for flag, field := range map[string]string{"secret-env": "env", "secret-file": "src"} {
		for _, item := range o.list(flag) {
			id, value, ok := strings.Cut(item, "=")
			if !ok || value == "" {
				errs = append(errs, fmt.Errorf("reading --%s %q: want ID=%s", flag, item, strings.ToUpper(map[string]string{"env": "name", "src": "file"}[field])))
				continue
			}
			add(id, field, value)
		}
	}
	values, err := readValues(o.text("secret-values"))
	errs = append(errs, err, os.Unsetenv(valuesEnv))
	given := map[string]string{}
	for _, v := range values {
		name := valuesEnv + "[" + v[0] + "]"
		given[name] = v[1]
		add(v[0], "env", name)
	}
	if len(given) > 0 {
		s.sources.LookupEnv = func(name string) (string, bool) {
			if v, ok := given[name]; ok {
				return v, true
			}
			return os.LookupEnv(name)
		}
	}
	return errors.Join(errs...)
}

// readValues takes ID=VALUE lines apart as docker/build-push-action does: one
// that stands in double quotes may have several lines. A value is in no error.
func readValues(text string) (pairs [][2]string, err error) {
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord, r.LazyQuotes = -1, true
	for n := 1; ; n++ {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return pairs, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s: secret %d: a quote is not closed", valuesEnv, n)
		}
		id, value, ok := strings.Cut(strings.TrimSpace(strings.Join(record, ",")), "=")
		if !ok || id == "" || value == "" {
			return nil, hint.Wrap(fmt.Errorf("reading %s: secret %d is not ID=VALUE", valuesEnv, n),
				`one a line; a value of several lines stands in double quotes together with its id: "ID=FIRST LINE…"`)
		}
		pairs = append(pairs, [2]string{id, value})
	}
}

func csvLine(fields ...string) string {
	var b strings.Builder
	w := csv.NewWriter(&b)
	_ = w.Write(fields) // into memory
	w.Flush()
	return strings.TrimSuffix(b.String(), "\n")
}

// readToken makes a secret of the token for GitHub, which BuildKit asks for when
// it fetches the context, and which no image may hold either. It is for that one
// host: no other server is given it.
func (b *build) readToken(o options) error {
	token := o.text("github-token")
	if err := os.Unsetenv(tokenEnv); err != nil || token == "" {
		return err
	}
	host := "github.com"
	if u, err := url.Parse(cmp.Or(b.getenv("GITHUB_SERVER_URL"), "https://github.com")); err == nil && u.Host != "" {
		host = u.Host
	}
	for _, ref := range b.refs {
		if id := ref.ID(); id == gitToken || id == gitToken+"."+host {
			return nil // another one was given
		}
	}
	ref, err := source.ParseSecret(csvLine("id="+gitToken+"."+host, "env="+tokenEnv))
	if err != nil {
		return fmt.Errorf("reading %s: %w", tokenEnv, err)
	}
	lookup := b.sources.LookupEnv
	if lookup == nil {
		lookup = os.LookupEnv
	}
	b.refs = append(b.refs, ref)
	b.sources.LookupEnv = func(name string) (string, bool) {
		if name == tokenEnv {
			return token, true
		}
		return lookup(name)
	}
	return nil
}
