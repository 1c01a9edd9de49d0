package scan

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/index"
	"github.com/org/secure-build/internal/scan/nested"
)

// A walk goes through what one blob holds, and through what that holds. Whether
// it understands anything or not, the bytes that it passes were matched before.
//
// What it cannot open falls into two kinds. A budget that was hit is unread: no
// verdict can be clean, unless the user allows that path. Anything else is a
// remark: an archive that is damaged, encrypted, or of a kind that is not opened
// here. Nearly every image has one, as a test file in some package, so blocking
// on it would teach people to switch the check off; its packed bytes were
// searched, and so was all that came out before the damage. Whoever reads the
// report sees it. The blob itself is held to more: see content.
type walk struct {
	s     *Scanner
	found *hits
	*effort

	stop bool // a budget was hit: go on with the next file of the layer
}

// effort is what all walks through one blob share.
type effort struct {
	budget *nested.Budget
	spent  bool  // the whole budget: nothing more is unpacked
	total  int64 // bytes matched, in all streams
	*kit

	bytes  int64   // given to the patterns
	beside *beside // nil while they are searched for by the walk itself
}

// A kit is the buffers and decoders that wait for their next use, also by the
// walk through another blob: an image may have ten thousand small ones.
type kit struct {
	idle   []*stream
	levels []*level
}

func (s *Scanner) newWalk(found *hits) *walk {
	k, ok := s.kits.Get().(*kit)
	if !ok {
		k = &kit{}
	}
	e := &effort{budget: nested.NewBudget(s.limits), kit: k}
	found.guesses.wait = e.settle
	return &walk{s: s, found: found, effort: e}
}

const spentBefore = "the budget for nested data was spent before"

// look opens a part if it is packed, and searches what is only looked for in
// whole files.
func (w *walk) look(p part, depth int) {
	lv := w.level(p.r)
	defer func() { w.levels = append(w.levels, lv) }()
	start := lv.start(p.size)
	f := nested.Detect(start, p.path)
	if f == nested.None {
		start, f = lv.behindScript(start)
	}
	if f == nested.None {
		w.leaf(p, lv, start)
		return
	}
	for f != nested.None && !w.s.shallow && w.opens(p, lv, f, depth) {
		f = w.behind(p, lv, f)
	}
}

// opens opens what is packed where the level is, and says whether that was read
// to its end.
func (w *walk) opens(p part, lv *level, f nested.Format, depth int) bool {
	if w.spent {
		w.found.unread.add(p.path, spentBefore)
		return false
	}
	err := w.budget.Deeper(depth)
	switch {
	case err != nil:
		w.found.unread.add(p.path, err.Error()) // its neighbours may be less deep
		return false
	case f.Compressed():
		err = w.decompress(p, lv, f, depth)
	case f == nested.Tar:
		err = w.walkTar(p.st, partReader{lv.Reader, p.at}, rootOf(p.path), depth+1)
	default:
		err = w.archive(p, lv, f, depth)
	}
	if err != nil && (f.Certain() || isBudget(err)) {
		w.fail(p.path, fmt.Errorf("reading %s: %w", f, err))
	} else if err == nil && w.stop && !f.Compressed() {
		w.found.unread.add(p.path, "left where a budget was hit in it") // whoever allows the one file has not allowed its neighbours
	}
	return err == nil && !w.stop
}

// start returns the whole of a small file, and the beginning of others.
func (lv *level) start(size int64) []byte {
	n := int64(smallText + 1)
	if size > smallText {
		n = nested.Sniff
	}
	if size >= 0 {
		n = min(n, size)
	}
	b, _ := lv.Peek(int(n))
	return b
}

// leaf searches a file that holds nothing else.
func (w *walk) leaf(p part, lv *level, start []byte) {
	if name := nested.Foreign(start); name != "" && p.path != "" {
		w.found.remarks.add(p.path, name+", which is not unpacked, was searched as it is")
	}
	if len(start) <= smallText && (p.size < 0 || int64(len(start)) == p.size) && isText(start) {
		w.s.find(start, index.Short, func(m match) { w.found.add(hit{m, place{path: p.path}}) })
	}
	if w.s.patterns != nil && p.path != "" {
		w.guess(place{path: p.path}, p.size, lv)
	}
}

// decompress goes on with what a compressed file unpacks to.
func (w *walk) decompress(p part, lv *level, f nested.Format, depth int) error {
	defer w.budget.Release(w.budget.Held())
	at := p.at + lv.Pos()
	content, err := lv.decoders.Open(f, lv.Reader, w.budget)
	if err != nil {
		return err
	}
	if f.Certain() || strings.Contains(p.path, ".git/objects/") {
		p.st.ledger.mark(mark{start: at, place: place{p.path, finding.FieldCompression}})
	}
	return w.unpack(p.path+"!", w.budget.Meter(content, lv.Pos), depth+1)
}

// unpack makes a stream of its own of what came out of a decoder.
func (w *walk) unpack(path string, content io.Reader, depth int) error {
	st := w.open(content, depth)
	defer w.close(st)
	st.ledger.mark(mark{place: place{path: path}})
	w.look(part{st, path, 0, -1, st.src}, depth)
	return w.drain(st)
}

// archive names the entries of an archive and looks into each.
func (w *walk) archive(p part, lv *level, f nested.Format, depth int) error {
	defer w.budget.Release(w.budget.Held())
	a, err := lv.decoders.OpenArchive(f, lv.Reader, w.budget)
	if err != nil {
		return err
	}
	all := map[string]bool{}
	l := p.st.ledger
	for !w.stop {
		l.horizon = p.at + lv.Pos()
		e, err := a.Next()
		if err != nil { // whatever follows is a directory, which has the names again
			l.mark(mark{p.at + lv.Pos(), place{p.path, finding.FieldHeader}, all})
			if err == io.EOF {
				return nil
			}
			return err
		}
		path := inside(rootOf(p.path), e.Name)
		named := w.findNames(path, e.Name, "")
		for id := range named {
			all[id] = true
		}
		l.mark(mark{p.at + e.Header, place{path, finding.FieldHeader}, named})
		content := place{path: path}
		if e.Packed {
			content.field = finding.FieldCompression
		}
		l.mark(mark{start: p.at + e.Data, place: content})
		w.entry(p, lv, e, path, depth+1)
	}
	return nil
}

func (w *walk) entry(p part, lv *level, e *nested.Entry, path string, depth int) {
	switch {
	case e.Err != nil:
		w.fail(path, e.Err)
	case e.Content == nil:
	case e.Packed:
		defer w.budget.Release(w.budget.Held())
		if err := w.unpack(path, w.budget.Meter(e.Content, lv.Pos), depth); err != nil {
			w.fail(path, err)
		}
	default:
		w.look(part{p.st, path, p.at + e.Data, e.Size, e.Content}, depth)
	}
}

// fail notes what could not be opened.
func (w *walk) fail(path string, err error) {
	if over, ok := errors.AsType[*nested.Exceeded](err); ok {
		if !w.stop { // the parts that it lies in fail for the same reason
			w.found.unread.add(path, over.Reason)
		}
		if over.Alone {
			return
		}
		w.stop, w.spent = true, w.spent || over.Total
		return
	}
	w.found.remarks.add(path, err.Error()+"; it was searched as it is, and unpacked as far as it went")
}

func isBudget(err error) bool {
	_, ok := errors.AsType[*nested.Exceeded](err)
	return ok
}

// stopped says whether to leave an archive because a budget was hit. The layer
// itself is never left: its next file is a new beginning.
func (w *walk) stopped(depth int) bool {
	if depth > 0 {
		return w.stop
	}
	w.stop = false
	return false
}

// rootOf is the path of an archive as its entries' paths begin.
func rootOf(path string) string { return strings.TrimSuffix(path, "!") + "!" }

// inside is the path of a file in an archive, or in a layer: app.jar!/a/b.class.
func inside(archive, name string) string {
	if archive == "" {
		return name
	}
	return archive + "/" + strings.TrimPrefix(strings.TrimPrefix(name, "./"), "/")
}
