package scan

import (
	"math"
	"slices"
	"sort"
	"strings"

	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/index"
)

// Bounds of what is remembered of one blob.
const (
	maxHits    = 1000    // findings per blob; what is more is counted
	maxPending = 100_000 // matches that wait for their place
	lookBack   = 1 << 20 // bytes by which a match may be reported late
)

// A place is a part of a blob that has a name: a file, a part of a tar header,
// a part of a JSON document. The zero place is the blob as a whole.
type place struct{ path, field string }

// A hit is a value in a place. Its offset counts from the start of the place.
type hit struct {
	match
	place
}

// A match is a value at an offset of the uncompressed stream, or of a field.
type match struct {
	*index.Pattern
	offset int64
	// under is what came of something packed at the offset. Its paths go on
	// from that of the place there. There is no Pattern then.
	under *hits
}

// A mark says what the stream holds from an offset on, up to the next mark.
type mark struct {
	start int64
	place place
	// named holds the secrets that were found in the parts of a header, which
	// are told apart better there than by their bytes in the stream.
	named map[string]bool
}

// A ledger turns the matches of one blob into hits. The matcher runs ahead of
// whatever walks the stream and names its parts, so a match waits until the
// walk has passed it; the marks that are still needed are few, whatever the
// number of files.
type ledger struct {
	pending []match
	marks   []mark
	horizon int64 // matches before it can be placed; what is there is known
	total   int64 // bytes matched so far
	*hits
}

// hits are what came of a blob, in all its streams: what was found, and what
// could not be opened.
type hits struct {
	at    map[spot][]hit // one per encoding
	count int            // of all hits
	more  int            // hits beyond maxHits
	found map[string]bool

	guesses guesses
	unread  remarks // budgets that were hit
	remarks remarks // whatever else could not be opened
}

func newHits() *hits { return &hits{at: map[spot][]hit{}, found: map[string]bool{}} }

// A spot is where a secret was found, in whatever encodings.
type spot struct {
	secret string
	place  place
}

func newLedger(h *hits) *ledger { return &ledger{hits: h} }

// reset empties the ledger for another stream.
func (l *ledger) reset(h *hits) {
	*l = ledger{pending: l.pending[:0], marks: l.marks[:0], hits: h}
}

// matched takes a match from the matcher.
func (l *ledger) matched(offset int64, p *index.Pattern) {
	if len(l.pending) == maxPending {
		l.placeUpTo(math.MaxInt64)
	}
	l.pending = append(l.pending, match{Pattern: p, offset: offset})
}

// unpacked takes what came of something packed at an offset.
func (l *ledger) unpacked(offset int64, found *hits) {
	l.pending = append(l.pending, match{offset: offset, under: found})
}

// mark says that the stream holds something else from start on. Marks come in
// ascending order, but for those of an archive that says of something that it is
// larger than it is: what is really there has the last word.
func (l *ledger) mark(m mark) {
	for n := len(l.marks); n > 0 && l.marks[n-1].start > m.start; n-- {
		l.marks = l.marks[:n-1]
	}
	l.marks = append(l.marks, m)
}

// settle places the matches that the walk has passed and forgets the marks
// that no late match can need. It is called before each new chunk.
func (l *ledger) settle() {
	l.placeUpTo(l.horizon)
	old := 0
	for old+1 < len(l.marks) && l.marks[old+1].start < l.total-lookBack {
		old++
	}
	l.marks = slices.Delete(l.marks, 0, old)
}

// finish places what is left.
func (l *ledger) finish() { l.placeUpTo(math.MaxInt64) }

func (l *ledger) placeUpTo(horizon int64) {
	waiting := l.pending[:0]
	for _, m := range l.pending {
		if m.offset >= horizon {
			waiting = append(waiting, m)
			continue
		}
		at := l.markOf(m.offset)
		if m.under != nil {
			if at.place.field != finding.FieldCompression { // else it is found again in what is unpacked
				m.under.inField(at)
				l.include(strings.TrimSuffix(at.place.path, "!"), m.under)
			}
			continue
		}
		if at.named[m.Secret] {
			continue
		}
		if at.place.path != "" {
			m.offset -= at.start
		}
		l.add(hit{m, at.place})
	}
	l.pending = waiting
}

func (l *ledger) markOf(offset int64) mark {
	after := sort.Search(len(l.marks), func(i int) bool { return l.marks[i].start > offset })
	if after == 0 {
		return mark{} // nobody named it, or it was reported later than lookBack allows
	}
	return l.marks[after-1]
}

// inField names the field of a document that all of this came of. What a field
// showed already is left out of the document's bytes.
func (l *hits) inField(at mark) {
	if at.place.path != "" || at.place.field == "" {
		return
	}
	for key, here := range l.at {
		if at.named[key.secret] {
			delete(l.at, key)
			continue
		}
		for i := range here {
			if here[i].field == "" {
				here[i].field = at.place.field
			}
		}
	}
}

// include adds what came of something packed in a file.
func (l *hits) include(path string, under *hits) {
	for _, here := range under.at {
		for _, h := range here {
			h.path = path + h.path
			l.add(h)
		}
	}
	l.more += under.more
	l.guesses.include(path, &under.guesses)
	l.unread.include(path, under.unread)
	l.remarks.include(path, under.remarks)
}

// add notes a hit, once per secret, encoding and place, with its first offset.
func (l *hits) add(h hit) {
	l.found[h.Secret] = true
	key := spot{h.Secret, h.place}
	here := l.at[key]
	for i, old := range here {
		if old.Encoding == h.Encoding {
			if h.offset < old.offset {
				here[i] = h
			}
			return
		}
	}
	if l.count >= maxHits {
		l.more++
		return
	}
	l.at[key] = append(here, h)
	l.count++
}
