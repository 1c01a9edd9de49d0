package scan

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/org/secure-build/internal/scan/nested"
)

// behindScript finds the archive behind the script that unpacks or runs it
// (makeself, zipapp, pex), behind the mark of a Java module, or behind the list
// of what is in a git bundle.
func (lv *level) behindScript(start []byte) ([]byte, nested.Format) {
	magics := []string{"PK\x03\x04", "\x1f\x8b\x08", "\xfd7zXZ\x00", "BZh9", "\x28\xb5\x2f\xfd"}
	switch {
	case bytes.HasPrefix(start, []byte("#!")), bytes.HasPrefix(start, []byte("JM\x01\x00PK\x03\x04")):
	case bytes.HasPrefix(start, []byte("# v2 git bundle\n")), bytes.HasPrefix(start, []byte("# v3 git bundle\n")):
		magics = []string{"PACK\x00\x00\x00"}
	default:
		return start, nested.None
	}
	all, _ := lv.Peek(smallText)
	for _, magic := range magics {
		if i := bytes.Index(all, []byte(magic)); i > 0 {
			if f := nested.Detect(all[i:], ""); f != nested.None {
				_, _ = lv.Discard(i)
				return all[i:], f
			}
		}
	}
	return start, nested.None
}

// joined is what it takes to begin what is packed behind something else, in
// bytes of the budget: a stream's buffers are prepared for it.
const joined = 4 << 10

// behind goes on to what is behind the end of something packed: one more of its
// kind (cat, pigz, tar -A), or of another (an initrd has the compressed one behind
// one that is not). It returns None if nothing is there that could be opened.
func (w *walk) behind(p part, lv *level, f nested.Format) nested.Format {
	next, more := nested.Behind(f, lv.Reader)
	at := p.at + lv.Pos()
	switch {
	case !more:
		return nested.None
	case next != nested.None:
		if err := w.budget.Spend(joined); err != nil {
			w.fail(p.path, err)
			return nested.None
		}
		return next
	}
	p.st.ledger.mark(mark{start: at, place: place{path: p.path}})
	if strings.HasSuffix(p.path, "base64!") {
		return nested.None // whatever letters follow it in the text
	}
	what := "other bytes"
	start, _ := lv.Peek(nested.Sniff)
	if name := nested.Foreign(start); name != "" {
		what = name
	}
	w.found.remarks.add(p.path, fmt.Sprintf("%s behind the end of the %s: searched, and not unpacked", what, f))
	return nested.None
}

// walkLayer names the files of a layer, and of what is behind its end: nobody
// who runs the image sees that, and whoever pulls it has it.
func (w *walk) walkLayer(st *stream, src *source) error {
	err := w.walkTar(st, src, "", 0)
	if err != nil || w.s.shallow {
		return err
	}
	lv := w.level(src)
	defer func() { w.levels = append(w.levels, lv) }()
	p := part{st, "", src.pos(), -1, src}
	for f := w.behind(p, lv, nested.Tar); f != nested.None; f = w.behind(p, lv, f) {
		if f != nested.Tar {
			if !w.opens(p, lv, f, 0) {
				break
			}
		} else if err := w.walkTar(st, partReader{lv.Reader, p.at}, "", 0); err != nil {
			return err
		}
	}
	return nil
}
