// Package finding holds what a scan says: findings, the verdict, and how much
// was looked at. It has none of the scanner's weight, so every stage may use it.
//
// A finding names the secret, the encoding and the place. It never holds the
// value, nor an unkeyed digest of it.
package finding

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
)

// Version is the version of findings.json's fields.
const Version = 1

// A Verdict is the outcome of a scan. Only Clean may be pushed.
type Verdict string

const (
	Clean      Verdict = "clean"      // everything was read and nothing was found
	Leaked     Verdict = "leaked"     // at least one finding that blocks
	Incomplete Verdict = "incomplete" // something could not be read; not clean
)

// Severity says whether a finding blocks the push.
type Severity string

const (
	Error   Severity = "error"   // blocks
	Warning Severity = "warning" // is reported
)

// RuleKnownValue is the rule of a finding of a value that we know.
const RuleKnownValue = "known-value"

// Fields in which a finding may lie, beside file contents ("") and the paths of
// JSON documents (config.Env[3], annotations.x).
const (
	FieldPath        = "path"        // a file's name in a layer
	FieldLink        = "link"        // a link's target in a layer
	FieldHeader      = "header"      // any other part of a tar header: PAX records, xattrs, owners
	FieldConfig      = "config"      // a config whose part could not be told
	FieldManifest    = "manifest"    // a manifest or an index whose part could not be told
	FieldCompression = "compression" // what decompression drops: comments, skippable frames, trailing bytes
)

// A Finding is one place where a secret was found.
type Finding struct {
	Rule        string   `json:"rule"`
	Severity    Severity `json:"severity"`
	Secret      string   `json:"secret,omitempty"`      // the secret's id
	Origin      string   `json:"origin,omitempty"`      // where the secret came from: secrets.yaml#db.password
	Encoding    string   `json:"encoding,omitempty"`    // raw, base64, hex, …
	Platform    string   `json:"platform,omitempty"`    // linux/amd64
	Blob        string   `json:"blob,omitempty"`        // digest of the blob: sha256:…
	Layer       int      `json:"layer"`                 // index of the layer in its image, from 0; -1 for other blobs
	Path        string   `json:"path,omitempty"`        // file in the layer
	Field       string   `json:"field,omitempty"`       // part of a config, manifest or tar header, such as config.Env[3]
	Offset      int64    `json:"offset"`                // in bytes, from the start of the file or of the field, or of the blob where neither is named
	Line        int      `json:"line,omitempty"`        // line of the Dockerfile, from 1
	Instruction string   `json:"instruction,omitempty"` // the instruction that made the layer, as history has it
	Fingerprint string   `json:"fingerprint"`           // stable over runs; no digest of the value
	Hidden      bool     `json:"-"`                     // no step can mount the secret: a key, say; for the advice
}

// Sign fills in the fingerprint: a digest of the names in the finding, stable
// over rebuilds (neither the blob's digest nor the offset is in it).
func (f *Finding) Sign() {
	h := sha256.Sum256([]byte(strings.Join([]string{
		f.Rule, f.Secret, f.Origin, f.Encoding, f.Platform, strconv.Itoa(f.Layer), f.Path, f.Field,
	}, "\x00")))
	f.Fingerprint = hex.EncodeToString(h[:16])
}

// Unread is something that a scan could not look at, with the reason.
type Unread struct {
	Blob   string `json:"blob"`
	Path   string `json:"path,omitempty"`
	Reason string `json:"reason"`
}

// Coverage says how much was looked at.
type Coverage struct {
	Blobs  int      `json:"blobs"`
	Bytes  int64    `json:"bytes"` // uncompressed
	Unread []Unread `json:"unread"`
	// Packed lists files in layers that look like archives and could not be
	// opened, or not to their end. They were searched as they are, so they do
	// not change the verdict.
	Packed []Unread `json:"packed,omitempty"`
	// Remembered is what was not read again, since it was clean before by the
	// same values, rules and options. It is in Blobs and Bytes.
	Remembered *Remembered `json:"remembered,omitempty"`
}

// Remembered counts blobs whose verdict is of an earlier run.
type Remembered struct {
	Blobs int    `json:"blobs"`
	Bytes int64  `json:"bytes"` // uncompressed
	Since string `json:"since"` // when the first of them was scanned, RFC 3339
}

// Image names the scanned image.
type Image struct {
	Digest    string   `json:"digest"`
	Platforms []string `json:"platforms"`
}

// Report is everything that a scan says; findings.json is this, and every other
// report is made from it.
type Report struct {
	Version  int       `json:"version"`
	Image    Image     `json:"image"`
	Verdict  Verdict   `json:"verdict"`
	Coverage Coverage  `json:"coverage"`
	Findings []Finding `json:"findings"`
	// Caches are what was to be published beside the image. A leak in one
	// blocks that cache and not the image, so its findings are warnings, and
	// their platform is PlatformCache.
	Caches []Cache `json:"caches,omitempty"`
}

// PlatformCache is the platform of a finding in a cache.
const PlatformCache = "cache"

// A Cache is a build cache that was staged and scanned by itself.
type Cache struct {
	Name      string   `json:"name"`   // without its credentials: type=registry,ref=…
	Digest    string   `json:"digest"` // of its manifest
	Published bool     `json:"published"`
	Verdict   Verdict  `json:"verdict"`
	Coverage  Coverage `json:"coverage"`
}

// AddCache enters the report on a cache.
func (r *Report) AddCache(name string, cache Report) *Cache {
	for _, f := range cache.Findings {
		f.Platform, f.Severity, f.Layer = PlatformCache, Warning, -1 // its layers are in no order
		f.Sign()
		same := func(g Finding) bool {
			return g.Blob == f.Blob && g.Rule == f.Rule && g.Secret == f.Secret && g.Encoding == f.Encoding && g.Path == f.Path && g.Field == f.Field
		}
		if !slices.ContainsFunc(r.Findings, same) {
			r.Findings = append(r.Findings, f)
		}
	}
	r.Caches = append(r.Caches, Cache{Name: name, Digest: cache.Image.Digest, Verdict: cache.Verdict, Coverage: cache.Coverage})
	return &r.Caches[len(r.Caches)-1]
}

// Judge sets the verdict: leaked when a finding blocks, incomplete when
// something was not read or nothing was, clean otherwise.
func (r *Report) Judge() {
	blocks := func(f Finding) bool { return f.Severity != Warning }
	switch {
	case slices.ContainsFunc(r.Findings, blocks):
		r.Verdict = Leaked
	case len(r.Coverage.Unread) > 0 || r.Coverage.Blobs == 0:
		r.Verdict = Incomplete
	default:
		r.Verdict = Clean
	}
}

// Include adds what another scan of the same run says: of what leaves beside
// the image. The digest stays the image's.
func (r *Report) Include(more Report) {
	r.Findings = append(r.Findings, more.Findings...)
	r.Coverage.Blobs += more.Coverage.Blobs
	r.Coverage.Bytes += more.Coverage.Bytes
	r.Coverage.Unread = append(r.Coverage.Unread, more.Coverage.Unread...)
	r.Coverage.Packed = append(r.Coverage.Packed, more.Coverage.Packed...)
	if more.Coverage.Blobs == 0 { // it was to be read, and was not
		r.Coverage.Unread = append(r.Coverage.Unread, Unread{Blob: more.Image.Digest, Reason: "nothing of it was read"})
	}
	r.Judge()
}
