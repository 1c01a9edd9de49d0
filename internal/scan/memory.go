package scan

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/org/secure-build/internal/finding"
)

// A Memory remembers between runs which layers were clean (package verdict). It
// vouches for it that whatever it gives back is what it was given for that
// digest, by a run in which everything else that decides was the same.
type Memory interface {
	Get(digest string) (data []byte, ok bool)
	Put(digest string, data []byte) error
}

// A memo is what is remembered of a layer that was read to its end and in which
// there was nothing at all, not even a warning: what the report asks of it.
type memo struct {
	Size        int64  `json:"size"`
	Total       int64  `json:"total"`
	Compression string `json:"compression"`
	Kind        kind   `json:"kind"`
	At          string `json:"at"` // when it was scanned, RFC 3339
}

// recall takes the records of layers that need not be read again. What came
// through Blob is read already.
func (s *Scanner) recall(g *graph) {
	if s.memory == nil {
		return
	}
	for _, ref := range g.refs {
		if ref.layer < 0 || s.record(ref.Digest) != nil {
			continue
		}
		data, ok := s.memory.Get(ref.Digest)
		var m memo
		if !ok || json.Unmarshal(data, &m) != nil || m.At == "" {
			continue
		}
		s.keep(&record{digest: ref.Digest, verified: true, size: m.Size, total: m.Total, compression: m.Compression, kind: m.Kind, recalled: m.At})
	}
}

// remember puts the clean layers of this run into the memory.
func (s *Scanner) remember(g *graph) error {
	if s.memory == nil || len(s.missed) > 0 {
		return nil
	}
	now := time.Now().UTC().Format(time.RFC3339)
	var errs []error
	for _, ref := range g.refs {
		rec := s.record(ref.Digest)
		if ref.layer < 0 || rec == nil || rec.recalled != "" || !rec.spotless() {
			continue
		}
		data, err := json.Marshal(memo{rec.size, rec.total, rec.compression, rec.kind, now})
		errs = append(errs, err, s.memory.Put(ref.Digest, data))
	}
	return errors.Join(errs...)
}

// spotless says that everything was read and that there is nothing to say of it.
func (r *record) spotless() bool {
	return r.verified && len(r.hits) == 0 && len(r.unread) == 0 && r.found != nil &&
		len(r.found.unread.list) == 0 && r.found.unread.more == 0 && len(r.found.remarks.list) == 0 && r.found.remarks.more == 0 &&
		len(r.found.guesses.list) == 0 && r.found.guesses.more == 0
}

// count enters a blob in the sums.
func (s *Scanner) count(c *finding.Coverage, rec *record) {
	c.Blobs++
	c.Bytes += rec.total
	if rec.recalled != "" {
		if c.Remembered == nil {
			c.Remembered = &finding.Remembered{Since: rec.recalled}
		}
		c.Remembered.Since = min(c.Remembered.Since, rec.recalled) // the form sorts as time does
		c.Remembered.Blobs++
		c.Remembered.Bytes += rec.total
	}
}
