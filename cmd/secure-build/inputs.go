package main

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/org/secure-build/internal/config"
	"github.com/org/secure-build/internal/source"
)

// tokenEnv is one of the variables that hold secrets themselves.
var tokenEnv = config.Option{Flag: "github-token"}.Env()

// gitToken is the id that BuildKit asks for when it fetches from a git host.
const gitToken = "GIT_AUTH_TOKEN"

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
