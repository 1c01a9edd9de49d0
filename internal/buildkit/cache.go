package buildkit

import (
	"encoding/csv"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/client"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/org/secure-build/internal/hint"
)

// A Cache is one --cache-from or --cache-to, in the words of docker buildx
// build (https://docs.docker.com/build/cache/backends).
type Cache struct {
	Type  string            // inline, registry, local, gha, s3, azblob
	Attrs map[string]string // without type
}

// cacheTypes are those that BuildKit has, each with what it cannot do without.
var cacheTypes = map[string]struct{ from, to []string }{
	"inline":   {},
	"registry": {[]string{"ref"}, []string{"ref"}},
	"local":    {[]string{"src"}, []string{"dest"}},
	"gha":      {},
	"s3":       {[]string{"bucket", "region"}, []string{"bucket", "region"}},
	"azblob":   {[]string{"account_url"}, []string{"account_url"}},
}

// ParseCacheFrom reads a --cache-from: a reference, or type=TYPE,KEY=VALUE,….
// What CI systems keep in the environment for it is added as buildx does.
func ParseCacheFrom(text string, getenv func(string) string) (Cache, error) {
	c, err := parseCache(text, getenv, func(t string) []string { return cacheTypes[t].from })
	if err == nil && c.Type == "inline" {
		err = hint.Wrap(errors.New("type=inline is for --cache-to"), "--cache-from type=registry,ref=IMAGE reads it")
	}
	if err != nil {
		return c, fmt.Errorf("reading --cache-from: %w", err)
	}
	return c, nil
}

// ParseCacheTo is ParseCacheFrom for a --cache-to.
func ParseCacheTo(text string, getenv func(string) string) (Cache, error) {
	c, err := parseCache(text, getenv, func(t string) []string { return cacheTypes[t].to })
	if _, berr := c.Insecure(); err == nil {
		err = berr
	}
	if err == nil && !slices.Contains([]string{"", "min", "max"}, c.Attrs["mode"]) {
		err = fmt.Errorf("mode=%s is neither min nor max", c.Attrs["mode"])
	}
	if err == nil {
		err = checkCompression(c.Attrs)
	}
	if err != nil {
		return c, fmt.Errorf("reading --cache-to: %w", err)
	}
	return c, nil
}

func parseCache(text string, getenv func(string) string, needs func(string) []string) (Cache, error) {
	fields, err := csv.NewReader(strings.NewReader(text)).Read()
	if err != nil {
		return Cache{}, fmt.Errorf("taking it apart: %w", err) // without its text, which may hold a login
	}
	if len(fields) == 1 && !strings.Contains(fields[0], "=") {
		return Cache{"registry", map[string]string{"ref": fields[0]}}, nil
	}
	c := Cache{Attrs: map[string]string{}}
	for _, f := range fields {
		key, value, ok := strings.Cut(f, "=")
		if key = strings.ToLower(strings.TrimSpace(key)); !ok || key == "" {
			return c, hint.Wrap(fmt.Errorf("%q is not KEY=VALUE", key), "a cache looks like type=registry,ref=registry.example.com/team/app:cache,mode=max")
		}
		c.Attrs[key] = value
	}
	c.Type = c.Attrs["type"]
	delete(c.Attrs, "type")
	if _, ok := cacheTypes[c.Type]; !ok {
		return c, hint.Wrap(fmt.Errorf("type=%s is not known", c.Type), "it is one of %s", strings.Join(slices.Sorted(maps.Keys(cacheTypes)), ", "))
	}
	c.fromEnvironment(getenv)
	for _, key := range needs(c.Type) {
		if c.Attrs[key] == "" {
			return c, fmt.Errorf("type=%s needs %s=…", c.Type, key)
		}
	}
	if c.Type == "gha" && (c.Attrs["token"] == "" || c.Attrs["url"] == "" && c.Attrs["url_v2"] == "") {
		return c, hint.Wrap(errors.New("type=gha has no token and address of GitHub's cache service"),
			"only GitHub's runner has them: ACTIONS_RUNTIME_TOKEN and ACTIONS_RESULTS_URL, which steps of type run are not given; the action hands them on")
	}
	return c, nil
}

// environment says where the attributes of a type come from that are not given.
var environment = map[string]map[string]string{
	"gha": {"token": "ACTIONS_RUNTIME_TOKEN", "url": "ACTIONS_CACHE_URL", "url_v2": "ACTIONS_RESULTS_URL"},
	"s3":  {"region": "AWS_REGION", "access_key_id": "AWS_ACCESS_KEY_ID", "secret_access_key": "AWS_SECRET_ACCESS_KEY", "session_token": "AWS_SESSION_TOKEN"},
}

func (c Cache) fromEnvironment(getenv func(string) string) {
	for key, name := range environment[c.Type] {
		if v := getenv(name); v != "" && c.Attrs[key] == "" {
			c.Attrs[key] = v
		}
	}
	if c.Type == "gha" && c.Attrs["version"] == "" && getenv("ACTIONS_CACHE_SERVICE_V2") != "" {
		c.Attrs["version"] = "2"
	}
}

// Credentials are the attributes that nobody may see, by name.
func (c Cache) Credentials() map[string]string {
	found := map[string]string{}
	for _, key := range []string{"token", "ghtoken", "secret_access_key", "session_token"} {
		if v := c.Attrs[key]; v != "" {
			found[key] = v
		}
	}
	return found
}

// Insecure says whether its registry may be without TLS, or with any certificate.
func (c Cache) Insecure() (bool, error) {
	v := c.Attrs["registry.insecure"]
	if v == "" {
		return false, nil
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		return false, fmt.Errorf("registry.insecure=%s is neither true nor false", v)
	}
	return b, nil
}

// String names the cache without its credentials.
func (c Cache) String() string {
	text := "type=" + c.Type
	for _, key := range []string{"ref", "dest", "src", "bucket", "account_url", "scope", "name"} {
		if v := c.Attrs[key]; v != "" {
			text += "," + key + "=" + v
		}
	}
	return text
}

// missing says that a local cache is not there. BuildKit would make a folder
// of its name.
func (c Cache) missing() bool {
	if c.Type != "local" {
		return false
	}
	_, err := os.Stat(filepath.Join(c.Attrs["src"], ocispecs.ImageIndexFile))
	return err != nil
}

// entries are the caches as BuildKit's client takes them, which changes the
// attributes of what it is given.
func entries(caches []Cache) []client.CacheOptionsEntry {
	var all []client.CacheOptionsEntry
	for _, c := range caches {
		all = append(all, client.CacheOptionsEntry{Type: c.Type, Attrs: maps.Clone(c.Attrs)})
	}
	return all
}
