// Package scan looks for known values in every blob of an image and says what
// it found and what it could not read.
//
// A Scanner is fed each blob while it arrives, in whatever order, and reads it
// once: the uncompressed stream goes through the matcher as a whole, whatever
// it is, and a walk beside it (of a tar archive, of a JSON document) only names
// the place of what was found. At the end Report follows the image from its
// root, reads what did not come by itself, and puts everything together.
package scan

import (
	"io"
	"sync"
	"sync/atomic"

	"github.com/org/secure-build/internal/index"
	"github.com/org/secure-build/internal/scan/nested"
)

// Options of a Scanner.
type Options struct {
	// Index holds the values to look for.
	Index *index.Index
	// Redact is applied to everything from the image that a report shows: file
	// names, fields, instructions, platforms. A file's name may be the value.
	// Without it the Scanner masks by its own index.
	Redact func(string) string
	// MaxBytes is the most that one blob may unpack to; 0 for any amount, since
	// a scan takes the same memory however long a blob is.
	MaxBytes int64
	// Nested bounds what the archives in a blob may unpack to.
	Nested nested.Limits
	// Shallow leaves archives in layers packed: they are matched as they are.
	Shallow bool
	// AllowUnread lists paths (as path.Match has them, with ** for any number of
	// folders) that may hit a budget without spoiling the verdict.
	AllowUnread []string
	// Patterns looks for secrets that nobody told us; nil for none.
	Patterns Patterns
	// Memory has the layers that were clean before; nil for none.
	Memory Memory
	// Held says that whoever takes the image away holds each blob to its digest
	// as it leaves. A layer that Memory has need not be read at all then.
	Held bool
}

// A Build is what is known of how an image came about, beyond what is in it.
type Build struct {
	Base  []string // diff IDs of the base images' layers, in which patterns only warn
	Lines []Line   // of the Dockerfile, in the order of the history entries that they made
}

// A Line is an instruction of a Dockerfile.
type Line struct {
	Instruction string // RUN, COPY, …
	Number      int    // from 1
}

// A Layer is one layer of the image of one platform.
type Layer struct {
	Platform    string
	Digest      string
	Index       int   // from 0
	Size        int64 // bytes, as it is stored
	Instruction string
}

// A Scanner scans one image. Its methods may be called from several goroutines.
type Scanner struct {
	index    *index.Index
	redact   func(string) string
	limit    int64
	limits   nested.Limits
	shallow  bool
	allowed  []string
	patterns Patterns
	memory   Memory
	held     bool
	build    Build
	beside   []Descriptor // see Documents
	layers   []Layer
	base     map[string]bool // digests of the image's base layers, after Report
	missed   []string        // by the self-test
	cut      int             // see source
	besideAt int64           // see besideFrom

	chunks sync.Pool // *[]byte of chunkSize, for ahead
	kits   sync.Pool // *kit
	zstds  *decoders
	pieces sync.Pool // *[]byte of besidePiece, for beside

	seen    atomic.Int64
	mu      sync.Mutex
	records map[string]*record
}

// New returns a Scanner without any blob.
func New(opts Options) *Scanner {
	s := &Scanner{
		index: opts.Index, redact: opts.Redact, limit: opts.MaxBytes, limits: opts.Nested, shallow: opts.Shallow,
		allowed: opts.AllowUnread, patterns: opts.Patterns, memory: opts.Memory, held: opts.Held, records: map[string]*record{}, base: map[string]bool{},
		besideAt: besideFrom, zstds: newDecoders(),
	}
	if s.limits.Memory == nil {
		s.limits.Memory = nested.NewMemory()
	}
	if s.redact == nil {
		s.redact = s.mask
	}
	return s
}

// Built says how the image came about. It is called before Report.
func (s *Scanner) Built(b Build) { s.build = b }

// Seen is how many bytes of blobs, as they are stored, were read so far. It may be
// asked while the scan goes on.
func (s *Scanner) Seen() int64 { return s.seen.Load() }

// Documents names what goes where the image goes and is no part of it, such as
// the index.json of a layout: its text is scanned, what it points at is not
// followed. It is called before Report.
func (s *Scanner) Documents(list []Descriptor) { s.beside = list }

// Layers lists the layers that the last Report has seen, redacted.
func (s *Scanner) Layers() []Layer { return s.layers }

func (s *Scanner) list(g *graph) {
	s.layers = nil
	for _, ref := range g.refs {
		if ref.layer >= 0 {
			s.layers = append(s.layers, Layer{s.redact(ref.platform), s.redact(ref.Digest), ref.layer, ref.Size, s.redact(ref.made.by)})
		}
	}
}

// A BlobWriter takes the bytes of one blob, to be scanned.
type BlobWriter interface {
	io.WriteCloser
	// Abandon is Close for a blob whose bytes count for nothing: it does not wait
	// until those that were written are scanned.
	Abandon() error
}

// Blob returns where to copy the bytes of a blob to, as they are stored. They
// are scanned in a goroutine of their own; Close waits for it. A write waits
// for the scan when it is more than a small buffer ahead, and never fails
// before Close. Bytes that turn out not to have the digest count as not read.
func (s *Scanner) Blob(digest string) BlobWriter {
	if s.record(digest) != nil { // Unnamed has read it
		return nopCloser{io.Discard}
	}
	return newFeed(func(r io.Reader) { s.keep(s.inspect(digest, r)) })
}

// Unnamed scans a blob whose digest is not known before its end, such as a layer
// that is still being packed. What it found counts for the blob that has the
// digest of the very bytes that were read, and for no other: whatever r gives
// can make no finding in an image that it is not part of, and hide none.
func (s *Scanner) Unnamed(r io.Reader) {
	if rec := s.inspect("", r); rec.verified {
		s.keep(rec)
	}
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error   { return nil }
func (nopCloser) Abandon() error { return nil }

// keep remembers a record, unless a better one of the same blob is there.
func (s *Scanner) keep(r *record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.records[r.digest]; old == nil || !old.verified {
		s.records[r.digest] = r
	}
}

// record returns what is known of a blob, nil for nothing that counts.
func (s *Scanner) record(digest string) *record {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.records[digest]; r != nil && r.verified {
		return r
	}
	return nil
}
