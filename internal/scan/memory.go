package scan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"sync"
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
// no known value was found: what the report asks of it. What patterns found is
// in it by place and rule, so that it is said, and judged, again.
type memo struct {
	Size        int64            `json:"size"`
	Total       int64            `json:"total"`
	Compression string           `json:"compression"`
	Kind        kind             `json:"kind"`
	At          string           `json:"at"` // when it was scanned, RFC 3339
	Guesses     []memoGuess      `json:"guesses,omitempty"`
	Remarks     []finding.Unread `json:"remarks,omitempty"`
}

type memoGuess struct {
	Hit   Hit   `json:"hit"`
	Place Place `json:"place"`
}

func (r *record) memo(at string) memo {
	m := memo{Size: r.size, Total: r.total, Compression: r.compression, Kind: r.kind, At: at, Remarks: r.found.remarks.list}
	for _, g := range r.found.guesses.list {
		m.Guesses = append(m.Guesses, memoGuess{g.Hit, g.at})
	}
	return m
}

func (m memo) record(digest string) *record {
	found := newHits()
	found.remarks.list = m.Remarks
	for _, g := range m.Guesses {
		found.guesses.list = append(found.guesses.list, guess{g.Hit, g.Place})
	}
	return &record{digest: digest, verified: true, size: m.Size, total: m.Total, compression: m.Compression, kind: m.Kind, recalled: m.At, found: found}
}

// maxMemo bounds what is remembered of one layer, in bytes. A layer of which
// there is more to say is read again.
const maxMemo = 60 << 10

// recall takes the records of layers that need not be searched again. What came
// through Blob is read already. The others lay on a disk since somebody searched
// them, so a record counts for those bytes only that still have the digest (I4):
// that is looked at here, unless the way out does.
func (s *Scanner) recall(g *graph, open func(digest string) (io.ReadCloser, error)) {
	if s.memory == nil {
		return
	}
	var wait sync.WaitGroup
	slots := make(chan struct{}, 2)
	for _, ref := range g.refs {
		if ref.layer < 0 || s.record(ref.Digest) != nil {
			continue
		}
		data, ok := s.memory.Get(ref.Digest)
		var m memo
		if !ok || json.Unmarshal(data, &m) != nil || m.At == "" {
			continue
		}
		wait.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if s.held || intact(ref.Digest, open) {
				s.keep(m.record(ref.Digest))
			}
		})
	}
	wait.Wait()
}

// intact says whether a blob has its digest.
func intact(digest string, open func(digest string) (io.ReadCloser, error)) bool {
	r, err := open(digest)
	if err != nil {
		return false
	}
	defer r.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, r)
	return err == nil && digest == "sha256:"+hex.EncodeToString(sum.Sum(nil))
}

// remember puts the harmless layers of this run into the memory. Where that
// cannot be written, the next run reads them again, and that is all.
func (s *Scanner) remember(g *graph) {
	if s.memory == nil || len(s.missed) > 0 {
		return
	}
	now := time.Now().UTC().Format(time.RFC3339)
	for _, ref := range g.refs {
		rec := s.record(ref.Digest)
		if ref.layer < 0 || rec == nil || rec.recalled != "" || !rec.harmless() {
			continue
		}
		if data, err := json.Marshal(rec.memo(now)); err == nil && len(data) <= maxMemo {
			_ = s.memory.Put(ref.Digest, data)
		}
	}
}

// harmless says that everything was read, and that no known value is in it.
func (r *record) harmless() bool {
	return r.verified && len(r.hits) == 0 && len(r.unread) == 0 && r.found != nil &&
		len(r.found.unread.list) == 0 && r.found.unread.more == 0 && r.found.remarks.more == 0 && r.found.guesses.more == 0
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
