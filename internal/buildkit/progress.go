package buildkit

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/util/progress/progressui"
	"github.com/opencontainers/go-digest"
	"github.com/org/secure-build/internal/hint"
)

// LogWriter redacts one stream of one step. Flush passes on what it holds
// back because it might be the beginning of a secret.
type LogWriter interface {
	io.Writer
	Flush() error
}

// Output is where BuildKit's progress goes. BuildKit itself redacts nothing,
// and it cuts a step's output into chunks wherever it likes; the display then
// puts prefixes between the pieces. So each stream is joined and redacted
// here, before the display; W redacts again behind it.
type Output struct {
	W        io.Writer // a console.File for "tty"
	Progress string    // auto, plain, tty, rawjson or quiet
	Redact   func(string) string
	NewLog   func(dst io.Writer) LogWriter
	Warn     func(format string, args ...any) // nil for nobody
	Record   *Record                          // is told of BuildKit's warnings; nil for nobody

	label string            // before each step's name, where several daemons build
	ran   func(step string) // called when a step of the Dockerfile runs
	trace *trace            // is told of the steps; nil for nobody
	fence *fence            // is told of everything; nil for none
	packs *packing          // is told of the layers that are packed; nil for nobody
}

// Labelled puts a name before those of the steps, where several builds are shown
// at once: as lines then, since one terminal shows one display.
func (o Output) Labelled(name string) Output {
	o.label = name + " "
	if o.Progress != "rawjson" && o.Progress != "quiet" {
		o.Progress = "plain"
	}
	return o
}

func (o Output) display() (progressui.Display, error) {
	d, err := progressui.NewDisplay(o.W, progressui.DisplayMode(o.Progress))
	if err != nil {
		return d, hint.Wrap(fmt.Errorf("showing the progress: %w", err), "--progress is one of auto, plain, tty, rawjson, quiet")
	}
	return d, nil
}

// redact copies in to out, with every text in it redacted, and closes out.
func (o Output) redact(in <-chan *client.SolveStatus, out chan<- *client.SolveStatus) {
	defer close(out)
	logs := newLogs(o.NewLog)
	for s := range in {
		for _, v := range s.Vertexes {
			o.note(v)
		}
		o.fence.saw(s)
		out <- o.clean(s, logs)
	}
	if rest := logs.flush(func(*log) bool { return true }); len(rest) > 0 {
		out <- &client.SolveStatus{Logs: rest}
	}
}

// clean redacts one update in place. A field that is added to SolveStatus has
// to be added here: TestCleanCoversEveryField fails until it is.
func (o Output) clean(s *client.SolveStatus, logs *logs) *client.SolveStatus {
	var lines []*client.VertexLog
	for _, l := range s.Logs {
		if l.Data = logs.add(l); len(l.Data) > 0 {
			lines = append(lines, l)
		}
	}
	for _, v := range s.Vertexes {
		v.Name, v.Error = o.label+o.Redact(v.Name), o.Redact(v.Error)
		if v.ProgressGroup != nil {
			v.ProgressGroup.Id, v.ProgressGroup.Name = o.Redact(v.ProgressGroup.Id), o.Redact(v.ProgressGroup.Name)
		}
		if v.Completed != nil {
			lines = append(lines, logs.flush(func(l *log) bool { return l.last.Vertex == v.Digest })...)
		}
	}
	for _, st := range s.Statuses {
		o.packs.note(st)
		st.ID, st.Name = o.Redact(st.ID), o.Redact(st.Name)
	}
	for _, w := range s.Warnings {
		w.Short, w.URL = []byte(o.Redact(string(w.Short))), o.Redact(w.URL)
		for i, d := range w.Detail {
			w.Detail[i] = []byte(o.Redact(string(d)))
		}
		if w.SourceInfo != nil {
			w.SourceInfo.Data = []byte(o.Redact(string(w.SourceInfo.Data)))
			w.SourceInfo.Filename, w.SourceInfo.Language = o.Redact(w.SourceInfo.Filename), o.Redact(w.SourceInfo.Language)
			w.SourceInfo.Definition = nil // not shown by any display, and not ours to search
		}
		if o.Record != nil {
			o.Record.warn(*w)
		}
	}
	s.Logs = lines
	return s
}

// note tells of what matters beyond the display.
func (o Output) note(v *client.Vertex) {
	if from, ok := strings.CutPrefix(v.Name, "importing cache manifest from "); ok && v.Error != "" && v.Completed != nil {
		if m := hashedCache.FindStringSubmatch(from); m != nil {
			from = "type=" + m[1]
		}
		o.warn("the cache %s could not be read, so nothing comes from it: %s", o.Redact(from), o.Redact(firstLine(v.Error)))
	}
	if stepName.MatchString(v.Name) {
		o.trace.note(v.Name, false)
	}
	if o.ran != nil && v.Started != nil && !v.Cached && stepName.MatchString(v.Name) {
		o.ran(o.Redact(v.Name))
	}
}

// hashedCache matches what BuildKit calls a cache that is in no registry: its
// type and a hash of its attributes.
var hashedCache = regexp.MustCompile(`^(\w+):\d+$`)

// stepName matches the names of what makes a layer.
var stepName = regexp.MustCompile(`^\[(?:[^\]]+ )?\d+/\d+\] (?:ONBUILD )?(?:RUN|COPY|ADD|WORKDIR) `)

// there leaves out the local caches that are not there.
func (o Output) there(caches []Cache) []Cache {
	return slices.DeleteFunc(slices.Clone(caches), func(c Cache) bool {
		if c.missing() {
			o.warn("the cache %s is not there, so nothing comes from it", o.Redact(c.String()))
		}
		return c.missing()
	})
}

func (o Output) warn(format string, args ...any) {
	if o.Warn != nil {
		o.Warn(format, args...)
	}
}

// logs joins the chunks of each step's streams.
type logs struct {
	open    func(io.Writer) LogWriter
	streams map[stream]*log
	order   []*log // so that a flush says things in a steady order
}

type stream struct {
	vertex digest.Digest
	number int
}

type log struct {
	w    LogWriter
	buf  bytes.Buffer
	last client.VertexLog
}

func newLogs(open func(io.Writer) LogWriter) *logs {
	return &logs{open: open, streams: map[stream]*log{}}
}

// add takes a chunk and returns what may be shown now.
func (ls *logs) add(chunk *client.VertexLog) []byte {
	key := stream{chunk.Vertex, chunk.Stream}
	l := ls.streams[key]
	if l == nil {
		l = &log{}
		l.w = ls.open(&l.buf)
		ls.streams[key] = l
		ls.order = append(ls.order, l)
	}
	l.last = *chunk
	_, _ = l.w.Write(chunk.Data) // into a buffer, which does not fail
	return l.take()
}

// flush returns what the chosen streams still hold back.
func (ls *logs) flush(which func(*log) bool) []*client.VertexLog {
	var rest []*client.VertexLog
	for _, l := range ls.order {
		if !which(l) {
			continue
		}
		_ = l.w.Flush()
		if data := l.take(); len(data) > 0 {
			last := l.last
			last.Data = data
			rest = append(rest, &last)
		}
	}
	return rest
}

func (l *log) take() []byte {
	data := bytes.Clone(l.buf.Bytes())
	l.buf.Reset()
	return data
}
