package buildkit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/ociindex"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/org/secure-build/internal/held"
)

// Staged says what of a cache decides its bytes: two caches of one Staged are
// exported once.
func (c Cache) Staged() string {
	attrs := c.stage("")
	text, _ := json.Marshal(attrs) // a map is written in the order of its keys
	return string(text)
}

// stage is the export of a cache into a folder: the same content as it would
// have where it goes, as one OCI manifest that can be scanned and pushed.
func (c Cache) stage(dir string) map[string]string {
	attrs := map[string]string{"dest": dir, "mode": "min", "image-manifest": "true", "oci-mediatypes": "true"}
	keys := []string{"mode"}
	if c.Type == "registry" || c.Type == "local" { // the services take BuildKit's default
		keys = append(keys, "compression", "compression-level", "force-compression")
	}
	for _, key := range keys {
		if v := c.Attrs[key]; v != "" {
			attrs[key] = v
		}
	}
	return attrs
}

// Stage exports the cache of a build that was just made into dir, an empty
// folder or one with blobs that need not be sent. Every step is in the daemon's
// cache by now; one that is not any more runs again, and what it makes is in
// the folder like all else.
func (e *Engine) Stage(ctx context.Context, req Request, c Cache, dir string, out Output) (ocispecs.Descriptor, error) {
	resp, err := e.again(ctx, req, []client.CacheOptionsEntry{{Type: "local", Attrs: c.stage(dir)}}, out)
	var desc ocispecs.Descriptor
	if err == nil && resp.ExporterResponse["cache.manifest"] == "" {
		return desc, ErrNoCache
	}
	if err == nil {
		err = json.Unmarshal([]byte(resp.ExporterResponse["cache.manifest"]), &desc)
	}
	if err != nil {
		return desc, fmt.Errorf("staging the cache: %w", err)
	}
	return desc, nil
}

// ErrNoCache says that no step of a build made a layer, so that there is nothing
// to cache (BuildKit's cache/remotecache: "skipping cache export for empty result").
var ErrNoCache = errors.New("staging the cache: nothing in this build can be cached")

// Publish lets the daemon write the cache itself, for the services that only
// it has a client of. What it writes was staged and scanned before. So that
// this stays true, no step may run again: none gets a secret any more, and nothing
// is exported if one has run (fence).
func (e *Engine) Publish(ctx context.Context, req Request, c Cache, out Output) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	req.Secret = func(id string) ([]byte, error) {
		err := fmt.Errorf("a step wants the secret %q again, so it is not what was scanned", id)
		cancel(err)
		return nil, err
	}
	out.ran = func(step string) {
		cancel(fmt.Errorf("a step runs again, so it is not what was scanned: %s", step))
	}
	out.fence = newFence()
	req.service = c.Type
	_, err := e.again(ctx, req, entries([]Cache{c}), out)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	if err != nil {
		return fmt.Errorf("exporting the cache %s: %w", c, err)
	}
	return nil
}

// again solves what was solved before, for its cache alone.
func (e *Engine) again(ctx context.Context, req Request, caches []client.CacheOptionsEntry, out Output) (*client.SolveResponse, error) {
	rotation := newRotation(req.Rotate, e.trace)
	req.Secret = rotation.secrets(newLacking(req).secret)
	out.Warn = nil // the build has warned
	opt, err := e.options(req)
	if err != nil {
		return nil, err
	}
	opt.Exports, opt.CacheExports = nil, caches
	maps.DeleteFunc(opt.FrontendAttrs, func(k, _ string) bool { return k == "no-cache" || strings.HasPrefix(k, "attest:") })
	resp, _, err := e.run(ctx, req, opt, beforehand{rotation: rotation}, out)
	return resp, err
}

// MoveCache puts a staged cache into the folder of a cache of type local, where
// others may be under other tags: the blobs first, the index last.
func MoveCache(stage string, desc ocispecs.Descriptor, c Cache) error {
	dest := c.Attrs["dest"]
	tag := "latest"
	if t := c.Attrs["tag"]; t != "" {
		tag = t
	}
	err := moveBlobs(stage, desc, dest)
	if err == nil {
		err = ociindex.NewStoreIndex(dest).Put(desc, ociindex.Tag(tag))
	}
	if err != nil {
		return fmt.Errorf("writing the cache to %s: %w", dest, err)
	}
	return nil
}

// moveBlobs moves what the manifest points at, and the manifest. What else lies
// in the stage was never scanned as a part of this cache.
func moveBlobs(stage string, desc ocispecs.Descriptor, dest string) error {
	text, err := os.ReadFile(blob(stage, desc.Digest))
	if err != nil {
		return err
	}
	if digest.FromBytes(text) != desc.Digest {
		return held.Changed(desc.Digest.String())
	}
	var m ocispecs.Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dest, ocispecs.ImageBlobsDir, "sha256"), 0o755); err != nil {
		return err
	}
	for _, d := range append(m.Layers, m.Config, desc) {
		if err := d.Digest.Validate(); err != nil {
			return err
		}
		if err := moveBlob(blob(stage, d.Digest), blob(dest, d.Digest), d.Digest); err != nil {
			return err
		}
	}
	return nil
}

func blob(dir string, d digest.Digest) string {
	return filepath.Join(dir, ocispecs.ImageBlobsDir, d.Algorithm().String(), d.Encoded())
}

// holds says whether a file is there and has this digest.
func holds(name string, d digest.Digest) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	seen := d.Verifier()
	_, err = io.Copy(seen, f)
	return err == nil && seen.Verified()
}

// moveBlob copies, since the stage may be linked with the image's layout, whose
// files have another owner's rights. A blob appears whole or not at all, and not
// if it has changed since the scan read it. What lies under its name already was
// not scanned, and stays only if it has the digest.
func moveBlob(from, to string, d digest.Digest) (err error) {
	if holds(to, d) {
		return nil
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.CreateTemp(filepath.Dir(to), ".new-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(out.Name()))
		}
	}()
	seen := d.Verifier()
	if _, err = io.Copy(io.MultiWriter(out, seen), in); err == nil && !seen.Verified() {
		err = held.Changed(d.String())
	}
	if err = errors.Join(err, out.Chmod(0o644), out.Close()); err != nil {
		return err
	}
	return os.Rename(out.Name(), to)
}
