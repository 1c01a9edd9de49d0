package scan

import (
	"archive/tar"
	"io"

	"github.com/org/secure-build/internal/finding"
)

// A Place is a part of a blob that has a name: a file, a part of a tar header, a
// field of a JSON document.
type Place struct {
	Path  string // a file in a layer: app.jar!/META-INF/MANIFEST.MF
	Field string // a field of a document: config.Env[2]
	Mode  int64  `json:",omitempty"` // permission bits of a file in a layer, for Patterns; 0 for anything else
}

// A Hit is what a pattern found, at an offset from the start of its place.
type Hit struct {
	Rule     string
	Severity finding.Severity
	Offset   int64
	Folder   string `json:",omitempty"` // that Name warns of, if not of the entry; said once in a blob
}

// Patterns looks for secrets that nobody told us. It may be used by several
// goroutines.
type Patterns interface {
	// Stream returns where to write the bytes of one place, in order, however
	// cut. It is closed after the last one, or earlier where a file is damaged.
	// The size is in bytes, -1 if it is not known. A nil PatternStream leaves the
	// place out. Found may be called until Close returns.
	Stream(at Place, size int64, found func(Hit)) PatternStream
	// Name judges an entry of a layer by its name and mode.
	Name(path string, mode int64, isDir bool) []Hit
	// Text judges a field of a document by its name and text.
	Text(at Place, text string) []Hit
}

// A PatternStream takes the bytes of one place. It keeps none of what it is
// given, and never fails.
type PatternStream interface{ io.WriteCloser }

// maxGuesses bounds the pattern hits per blob; what is more is counted.
const maxGuesses = 1000

// guesses are the hits of patterns in one blob.
type guesses struct {
	list []guess
	more int
	wait func() // until every place that was given to the patterns was searched; nil if all are

	folders map[string]bool // that were warned of, at most maxGuesses
	path    string          // of the file of the layer that is being read, and
	mode    int64           // its mode
}

type guess struct {
	Hit
	at Place
}

func (g *guesses) add(at Place, h Hit) {
	if len(g.list) >= maxGuesses {
		g.more++
		return
	}
	g.list = append(g.list, guess{h, at})
}

// include adds the guesses of something packed in a file.
func (g *guesses) include(path string, under *guesses) {
	if g.wait != nil {
		g.wait()
	}
	for _, u := range under.list {
		u.at.Path = path + u.at.Path
		g.add(u.at, u.Hit)
	}
	g.more += under.more
}

// guessed adds what patterns said at once, after what they were given before.
func (w *walk) guessed(at Place, hits []Hit) {
	if len(hits) > 0 {
		w.settle()
	}
	for _, h := range hits {
		w.found.guesses.add(at, h)
	}
}

// guessName gives the name of an entry of a layer to the patterns.
func (w *walk) guessName(h *tar.Header, name string) {
	if w.s.patterns == nil {
		return
	}
	w.found.guesses.path, w.found.guesses.mode = name, h.Mode
	for _, hit := range w.s.patterns.Name(name, h.Mode, h.Typeflag == tar.TypeDir) {
		at := Place{Path: name, Field: finding.FieldPath}
		if hit.Folder != "" {
			if !w.found.guesses.first(hit.Folder) {
				continue
			}
			at.Path, hit.Folder = hit.Folder, ""
		}
		w.guessed(at, []Hit{hit})
	}
}

// first says whether a folder was not warned of before.
func (g *guesses) first(folder string) bool {
	if g.folders[folder] {
		return false
	}
	if g.folders == nil {
		g.folders = map[string]bool{}
	}
	if len(g.folders) < maxGuesses { // beyond it nothing is listed anyway
		g.folders[folder] = true
	}
	return true
}

// guess gives one place to the patterns: in a large blob beside the walk.
func (w *walk) guess(p place, size int64, r io.Reader) {
	at, found := Place{Path: p.path, Field: p.field}, w.found
	asked := at
	if p.path != "" && p.path == found.guesses.path {
		asked.Mode = found.guesses.mode
	}
	ps := w.s.patterns.Stream(asked, size, func(h Hit) { found.guesses.add(at, h) })
	if ps == nil {
		return
	}
	if w.beside == nil && w.bytes+max(size, 0) > w.s.besideAt {
		w.beside = newBeside(&w.s.pieces)
	}
	if w.beside != nil {
		w.beside.copy(ps, r)
		return
	}
	n, _ := io.Copy(ps, r)
	w.bytes += n
	_ = ps.Close()
}
