package scan

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"sync/atomic"

	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/index"
	"github.com/org/secure-build/internal/scan/nested"
)

// A kind is what a blob holds, judged by its bytes.
type kind string

const (
	kindEmpty  kind = "empty" // nothing, or zeros only
	kindTar    kind = "tar"
	kindJSON   kind = "JSON"
	kindText   kind = "text"
	kindPacked kind = "an archive" // or a compression, beside those of layers
	kindOpaque kind = "opaque"     // anything else: matched, but not understood
)

// A record is what is known of a blob after it was read.
type record struct {
	digest   string
	verified bool   // all bytes came, and they have this digest
	recalled string // when an earlier run has read it, "" if this one has
	size     int64  // bytes
	total    int64  // bytes, uncompressed

	compression string // "" for none
	kind        kind
	unread      []string // what of the blob could not be read, and why
	hits        []hit
	found       *hits // what else came of it; nil if nothing was looked into

	turn *nested.Turn // of the memory for large windows, while it is read
}

// A tap sees the bytes of a blob as they are stored.
type tap struct {
	hash    hash.Hash // nil for an algorithm that we do not know
	size    int64
	all     *atomic.Int64 // bytes of all blobs, for Seen; may be nil
	matcher *index.Stream // nil until the blob turns out to be compressed
}

func (t *tap) Write(p []byte) (int, error) {
	t.size += int64(len(p))
	if t.all != nil {
		t.all.Add(int64(len(p)))
	}
	if t.hash != nil {
		t.hash.Write(p)
	}
	if t.matcher != nil {
		_, _ = t.matcher.Write(p)
	}
	return len(p), nil
}

// newTap prepares to check a digest
// (https://github.com/opencontainers/image-spec/blob/main/descriptor.md#digests),
// or to tell one, which is SHA-256 in all images that are packed now.
func newTap(digest string) *tap {
	switch algorithm, _, _ := strings.Cut(digest, ":"); algorithm {
	case "", "sha256":
		return &tap{hash: sha256.New()}
	case "sha512":
		return &tap{hash: sha512.New()}
	}
	return &tap{}
}

// is says whether what was seen has this digest.
func (t *tap) is(digest string) bool {
	_, encoded, _ := strings.Cut(digest, ":")
	return t.hash != nil && encoded == hex.EncodeToString(t.hash.Sum(nil))
}

// digest is that of what was seen, if the tap was made for none.
func (t *tap) digest() string { return "sha256:" + hex.EncodeToString(t.hash.Sum(nil)) }

// inspect reads one blob to its end, whatever it holds. It returns no error:
// what could not be read is in the record. A blob without a digest gets its own.
func (s *Scanner) inspect(digest string, r io.Reader) (rec *record) {
	rec = &record{digest: digest, kind: kindOpaque, turn: s.limits.Memory.Turn()}
	// The decoders see what a hostile image wrote. If one of them panics, the
	// run has to go on to its end, where the vault is erased.
	defer func() {
		if p := recover(); p != nil {
			rec.verified = false
			rec.unread = append(rec.unread, fmt.Sprintf("reading it ended in a panic: %T", p))
		}
	}()

	seen := newTap(digest)
	seen.all = &s.seen
	stored := bufio.NewReaderSize(io.TeeReader(r, seen), feedPiece)
	content := newHits()
	outside := newLedger(newHits()) // matches in the stored bytes, of which some belong to no content
	if rec.compression = compressionOf(stored); rec.compression != "" {
		seen.matcher = s.index.NewStream(index.Blob, outside.matched)
		ahead, _ := stored.Peek(stored.Buffered())
		_, _ = seen.matcher.Write(ahead)
	}
	stream, end, err := s.decompress(rec, stored)
	if err == nil {
		defer end()
		if by, ok := r.(stopper); ok {
			stream = halting{stream, by}
		}
		err = s.uncompressed(rec, stream, content)
	}
	if err != nil {
		rec.unread = append(rec.unread, err.Error())
	}

	_, err = io.Copy(io.Discard, stored) // the digest is over every byte, also of what could not be understood
	if seen.matcher != nil {
		_ = seen.matcher.Close()
	}
	if digest == "" && err == nil {
		rec.digest = seen.digest()
	}
	rec.size, rec.verified = seen.size, err == nil && seen.is(rec.digest)
	if err != nil && len(rec.unread) == 0 {
		rec.unread = append(rec.unread, err.Error())
	}
	rec.collect(content, outside)
	return rec
}

// uncompressed hands the stream to content. If it is decompressed then that goes
// on beside it.
func (s *Scanner) uncompressed(rec *record, stream io.Reader, found *hits) error {
	if rec.compression == "" {
		return s.content(rec, stream, found)
	}
	a := newAhead(stream, &s.chunks)
	defer a.Close()
	return s.content(rec, a, found)
}

// content matches the uncompressed stream of a blob and names its parts.
func (s *Scanner) content(rec *record, r io.Reader, found *hits) error {
	w := s.newWalk(found)
	w.budget.Share(rec.turn)
	rec.found = found
	st := w.open(r, 0)
	defer func() {
		w.end()                  // after the stream's own end, which may search too
		found.guesses.wait = nil // the record outlives the walk, and needs none of its buffers
	}()
	defer func() {
		w.close(st)
		w.budget.Release(0)
		s.kits.Put(w.kit)
	}()
	src := st.src
	src.limit = s.limit

	start := bytes.Clone(src.peek())
	var walk error
	switch format := nested.Detect(start, ""); {
	case format == nested.Tar:
		rec.kind = kindTar
		walk = w.walkLayer(st, src)
	case isJSON(start):
		rec.kind, walk = kindJSON, w.walkJSON(st)
		if _, bound := errors.AsType[boundError](walk); walk != nil && !bound {
			rec.kind, walk = kindOpaque, nil // it only looked like JSON
		}
	case format != nested.None && format.Certain() && !s.shallow:
		rec.kind = kindPacked
		w.look(part{st, "", 0, -1, src}, 0)
		walk = w.first()
	case s.patterns != nil:
		w.guess(place{}, -1, src)
	}
	err := w.drain(st)
	w.settle()
	if failed := w.failed(); failed != nil && walk == nil {
		walk = failed
	}
	rec.total = w.total

	switch {
	case rec.kind != kindOpaque:
	case !src.filled:
		rec.kind = kindEmpty
	case !src.binary && isText(start) && foreignName(start) == "":
		rec.kind = kindText
	}
	switch {
	case err != nil:
		return err // the cause of the walk's error too
	case walk != nil && rec.kind == kindPacked:
		return walk
	case walk != nil:
		return fmt.Errorf("reading %s: %w", rec.kind, walk)
	case rec.kind == kindOpaque && foreignName(start) != "":
		return fmt.Errorf("%s, which is not unpacked, was searched as plain bytes only", foreignName(start))
	case rec.kind == kindOpaque:
		return errors.New("data of an unknown kind was searched as plain bytes only")
	}
	return nil
}

// first returns the first remark as an error: what may pass in a file of a layer
// may not pass in a blob itself.
func (w *walk) first() error {
	for _, r := range w.found.remarks.list {
		return errors.New(r.Reason)
	}
	return nil
}

// collect puts the hits of a blob together.
func (r *record) collect(content *hits, outside *ledger) {
	outside.finish()
	r.hits = content.sorted()
	for _, h := range outside.sorted() {
		// A value in the stored bytes is mostly one in data that did not
		// compress, and then it was found in the content already. Otherwise it
		// is in a part that decompressing drops: a gzip comment, a zstd
		// skippable frame, bytes after the end.
		if !content.found[h.Secret] {
			h.field = finding.FieldCompression
			r.hits = append(r.hits, h)
		}
	}
	if more := content.more + outside.more; more > 0 {
		r.unread = append(r.unread, fmt.Sprintf("more than %d findings: %d further ones are not listed", maxHits, more))
	}
}
