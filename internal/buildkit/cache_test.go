package buildkit

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/org/secure-build/internal/held"
)

func TestParseCache(t *testing.T) {
	env := map[string]string{}
	getenv := func(name string) string { return env[name] }
	for _, tt := range []struct {
		text, env, want, err string
	}{
		{"registry.example.com/app:cache", "", "registry ref=registry.example.com/app:cache", ""},
		{"type=registry,ref=a/b:c,mode=max,image-manifest=false", "", "registry image-manifest=false mode=max ref=a/b:c", ""},
		{`type=local,"dest=a,b",MODE=min`, "", "local dest=a,b mode=min", ""},
		{"type=inline", "", "inline", ""},
		{"type=gha,scope=x", "ACTIONS_RUNTIME_TOKEN=t0ken ACTIONS_RESULTS_URL=http://r/ ACTIONS_CACHE_SERVICE_V2=true", "gha scope=x token=t0ken url_v2=http://r/ version=2", ""},
		{"type=gha,token=own,url=http://own", "ACTIONS_RUNTIME_TOKEN=t", "gha token=own url=http://own", ""},
		{"type=gha", "", "", "no token"},
		{"type=gha", "ACTIONS_RUNTIME_TOKEN=t", "", "address"},
		{"type=s3,bucket=b,region=r", "AWS_ACCESS_KEY_ID=i AWS_SECRET_ACCESS_KEY=k3y", "s3 access_key_id=i bucket=b region=r secret_access_key=k3y", ""},
		{"type=s3,bucket=b", "", "", "needs region="},
		{"type=azblob", "", "", "needs account_url="},
		{"type=local", "", "", "needs dest="},
		{"type=registry,mode=max", "", "", "needs ref="},
		{"type=registry,ref=x,mode=all", "", "", "neither min nor max"},
		{"type=registry,ref=x,compression=zstd,compression-level=22", "", "registry compression-level=22 compression=zstd ref=x", ""},
		{"type=registry,ref=x,compression=lz4", "", "", "compression=lz4 is not known"},
		{"type=tape,dest=x", "", "", "type=tape is not known"},
		{"ref=x,mode=max", "", "", "is not known"},
		{"type=local,dest", "", "", "not KEY=VALUE"},
		{"", "", "", "--cache-to"},
		{`"type=local`, "", "", "--cache-to"},
	} {
		clear(env)
		for _, kv := range strings.Fields(tt.env) {
			k, v, _ := strings.Cut(kv, "=")
			env[k] = v
		}
		c, err := ParseCacheTo(tt.text, getenv)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%q: got %v, want an error with %q", tt.text, err, tt.err)
			}
			continue
		}
		var attrs []string
		for k, v := range c.Attrs {
			attrs = append(attrs, k+"="+v)
		}
		slices.Sort(attrs)
		if got := strings.TrimSpace(c.Type + " " + strings.Join(attrs, " ")); err != nil || got != tt.want {
			t.Errorf("%q: got %q, %v, want %q", tt.text, got, err, tt.want)
		}
		for _, v := range c.Credentials() {
			if strings.Contains(c.String(), v) {
				t.Errorf("%q: its name shows a credential: %s", tt.text, c)
			}
		}
	}
	if _, err := ParseCacheFrom("type=inline", getenv); err == nil {
		t.Error("type=inline is no cache to read from")
	}
}

func FuzzParseCache(f *testing.F) {
	for _, seed := range []string{"a/b:c", "type=registry,ref=x,mode=max", `type=local,"dest=a,b"`, "type=gha,token=t,url=u"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseCacheTo(text, func(string) string { return "" })
		if err == nil && (c.Type == "" || c.Attrs == nil) {
			t.Errorf("%q: no error and no cache", text)
		}
	})
}

// TestMoveCache: what the manifest names comes over, and nothing else.
func TestMoveCache(t *testing.T) {
	stage, dest := t.TempDir(), filepath.Join(t.TempDir(), "new", "cache")
	if err := os.MkdirAll(filepath.Join(stage, "blobs", "sha256"), 0o700); err != nil {
		t.Fatal(err)
	}
	put := func(text string) ocispecs.Descriptor {
		t.Helper()
		d := ocispecs.Descriptor{MediaType: ocispecs.MediaTypeImageManifest, Digest: digest.FromString(text), Size: int64(len(text))}
		if err := os.WriteFile(blob(stage, d.Digest), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return d
	}
	layer, config, other := put("layer"), put("{}"), put("not of this cache")
	manifest := put(`{"config":{"digest":"` + config.Digest.String() + `"},"layers":[{"digest":"` + layer.Digest.String() + `"}]}`)
	c := Cache{"local", map[string]string{"dest": dest}}
	for range 2 { // the second time everything is there, but one is not what it was
		if err := MoveCache(stage, manifest, c); err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(blob(dest, layer.Digest)); err != nil || string(text) != "layer" {
			t.Errorf("got %q, %v", text, err)
		}
		if err := os.WriteFile(blob(dest, layer.Digest), []byte("LAYER"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := MoveCache(stage, manifest, c); err != nil {
		t.Fatal(err)
	}
	for _, d := range []ocispecs.Descriptor{layer, config, manifest} {
		text, err := os.ReadFile(blob(dest, d.Digest))
		if err != nil || digest.FromBytes(text) != d.Digest {
			t.Errorf("%s: %v", d.Digest, err)
		}
	}
	if _, err := os.Stat(blob(dest, other.Digest)); err == nil {
		t.Error("a blob came over that the cache does not name")
	}
	if (Cache{"local", map[string]string{"src": dest}}).missing() {
		t.Error("there is no index")
	}
	for name, bad := range map[string]string{
		"a digest that is a path": `{"config":{"digest":"` + config.Digest.String() + `"},"layers":[{"digest":"../../index.json"}]}`,
		"a blob that is missing":  `{"config":{"digest":"` + digest.FromString("none").String() + `"}}`,
		"not JSON":                "layer",
	} {
		if err := MoveCache(stage, put(bad), c); err == nil {
			t.Errorf("%s: want an error", name)
		}
	}
	changed := put("a layer that changes after the scan")
	if err := os.WriteFile(blob(stage, changed.Digest), []byte("a layer that changed"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := MoveCache(stage, put(`{"config":{"digest":"`+changed.Digest.String()+`"}}`), c); err == nil {
		t.Error("a blob without its digest was taken")
	}
	if _, err := os.Stat(blob(dest, changed.Digest)); err == nil {
		t.Error("a blob without its digest was written")
	}
	if err := os.WriteFile(blob(stage, manifest.Digest), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := MoveCache(stage, manifest, c); err == nil {
		t.Error("a manifest without its digest was taken")
	}
}

// TestTrace: on a private daemon what is new is of the build; on another one it
// has to be of the same steps too, or to be told by them.
func TestTrace(t *testing.T) {
	began := time.Now()
	record := func(id, description string, after time.Duration) *client.UsageInfo {
		return &client.UsageInfo{ID: id, Description: description, CreatedAt: began.Add(after)}
	}
	used := func(r *client.UsageInfo, after time.Duration) *client.UsageInfo {
		at := began.Add(after)
		r.LastUsedAt = &at
		return r
	}
	context := func(id string, made, after time.Duration) *client.UsageInfo {
		r := record(id, "local source for context", made)
		r.RecordType = client.UsageRecordTypeLocalSource
		return used(r, after)
	}
	names := map[string]bool{
		"[a 1/2] COPY x y": false, "from exec /bin/sh -c leak": false, "from exec /bin/sh -c mounts": true,
		imported: false, "http url https://example.com/x": true, "git example.com/team/app": true,
	}
	for _, tt := range []struct {
		name            string
		record          *client.UsageInfo
		private, shared bool
	}{
		{"new, of a RUN", record("new", "mount / from exec /bin/sh -c leak", time.Second), true, true},
		{"new, of a RUN's cache mount", record("new", "cached mount /c from exec /bin/sh -c leak", time.Second), true, true},
		{"new, of a cache mount with an id", record("new", `cached mount /c from exec /bin/sh -c leak with id "//c"`, time.Second), true, true},
		{"new, of a COPY", record("new", "[a 1/2] COPY x y", time.Second), true, true},
		{"new, of another build", record("new", "mount / from exec /bin/sh -c other", time.Second), true, false},
		{"old, of the same steps", record("old", "mount / from exec /bin/sh -c leak", -time.Hour), true, false},
		{"old, of the same steps, used", used(record("old", "mount / from exec /bin/sh -c leak", -time.Hour), time.Second), true, true},
		{"old, of a step that mounts a secret", record("old", "mount / from exec /bin/sh -c mounts", -time.Hour), true, true},
		{"new, imported", record("new", "imported sha256:00", time.Second), true, true},
		{"old, imported", record("old", "imported sha256:00", -time.Hour), true, false},
		{"old, imported and used", used(record("old", "imported sha256:00", -time.Hour), time.Second), true, true},
		{"old, fetched", record("old", "http url https://example.com/x", -time.Hour), true, true},
		{"old, a repository", record("old", "shared git repo for https://example.com/team/app.git", -time.Hour), true, true},
		{"old, of a repository", record("old", "git snapshot for git@example.com:team/app.git#main", -time.Hour), true, true},
		{"old, of another repository", record("old", "git snapshot for https://example.com/team/other.git#main", -time.Hour), false, false},
		{"context, new", context("new", time.Second, 2*time.Second), true, true},
		{"context, brought up to date", context("old", -2*time.Hour, time.Second), true, true},
		{"context, not used", context("old", -2*time.Hour, -time.Hour), false, false},
		{"old, of another build", used(record("old", "pulled from x", -time.Hour), time.Second), false, false},
	} {
		private, shared := &trace{began: began, names: names}, &trace{began: began, names: names, before: map[string]time.Time{"old": began.Add(-time.Hour)}}
		records := []*client.UsageInfo{tt.record}
		if got := len(private.of(records)) == 1; got != tt.private {
			t.Errorf("%s: on a private daemon: got %v", tt.name, got)
		}
		if got := len(shared.of(records)) == 1; got != tt.shared {
			t.Errorf("%s: on a shared daemon: got %v", tt.name, got)
		}
	}
}

// TestTraceOfCachedSteps: BuildKit notes the use of a build's last layer alone. A
// step that was in the cache is told by it, and what others have made is not.
func TestTraceOfCachedSteps(t *testing.T) {
	began := time.Now()
	names, before := map[string]bool{}, map[string]time.Time{}
	var records []*client.UsageInfo
	add := func(id, parent, name string, used time.Duration) {
		at := began.Add(used)
		r := &client.UsageInfo{ID: id, Description: name, CreatedAt: began.Add(-time.Hour), LastUsedAt: &at}
		if before[id] = began.Add(-time.Hour); parent != "" {
			r.Parents = []string{parent}
		}
		records = append(records, r)
	}
	for _, step := range []string{"base", "leak", "last", "elsewhere"} {
		names["[1/1] COPY "+step] = false
	}
	add("pulled", "", "pulled from x", time.Second)
	add("base", "pulled", "[1/1] COPY base", -time.Hour)
	add("leak", "base", "[1/1] COPY leak", -time.Hour)
	add("last", "leak", "[1/1] COPY last", time.Second)
	add("stage", "base", "[1/1] COPY elsewhere", -time.Hour)         // of a stage whose layers nobody asked for
	add("others", "base", "[1/1] COPY other", time.Second)           // on our base
	add("namesake", "other image", "[1/1] COPY leak", -time.Hour)    // of another image
	add("namesakes", "namesake", "[1/1] COPY elsewhere", -time.Hour) // and on it
	// A command that mounts a secret tells by itself, and takes what holds what it
	// holds; what such a command stands on elsewhere is others'.
	names["from exec npm ci"] = true
	add("theirs", "other image", "[1/1] COPY base", -time.Hour)
	add("unused", "theirs", "mount / from exec npm ci", -time.Hour)
	add("on it", "unused", "[1/1] COPY last", -time.Hour)
	var got []string
	for _, r := range (&trace{began: began, names: names, before: before}).of(records) {
		got = append(got, r.ID)
	}
	if want := []string{"base", "leak", "last", "stage", "unused", "on it"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestMoveCacheThatChanged: what is not what was scanned does not come over, and
// whoever asks is told that this is why.
func TestMoveCacheThatChanged(t *testing.T) {
	for _, which := range []string{"layer", "config", "manifest"} {
		stage, dest := t.TempDir(), t.TempDir()
		put := func(text string) ocispecs.Descriptor {
			t.Helper()
			d := ocispecs.Descriptor{MediaType: ocispecs.MediaTypeImageManifest, Digest: digest.FromString(text), Size: int64(len(text))}
			name := blob(stage, d.Digest)
			if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(text), 0o600)); err != nil {
				t.Fatal(err)
			}
			return d
		}
		layer, config := put("layer"), put("{}")
		manifest := put(`{"config":{"digest":"` + config.Digest.String() + `"},"layers":[{"digest":"` + layer.Digest.String() + `"}]}`)
		bad := map[string]ocispecs.Descriptor{"layer": layer, "config": config, "manifest": manifest}[which]
		if err := os.WriteFile(blob(stage, bad.Digest), []byte("other"), 0o600); err != nil {
			t.Fatal(err)
		}
		err := MoveCache(stage, manifest, Cache{"local", map[string]string{"dest": dest}})
		if !errors.Is(err, held.ErrChanged) || !strings.Contains(err.Error(), bad.Digest.String()) {
			t.Errorf("%s: got the error %v", which, err)
		}
		for _, name := range []string{blob(dest, bad.Digest), filepath.Join(dest, "index.json")} {
			if _, err := os.Stat(name); err == nil {
				t.Errorf("%s: %s came over", which, name)
			}
		}
	}
}
