package index

// Bounds of a pattern's length in bytes.
const (
	MinPattern = 6   // shorter is no pattern: 5 bytes are found by chance in any log
	minLong    = 8   // shorter is class Short
	leastWide  = 24  // shorter ASCII in UTF-16 is a pattern like any other
	MaxPattern = 512 // longer is cut into pieces; it bounds the carry-over of a stream
)

// A Class is a set of kinds of pattern to look for.
type Class uint8

const (
	Long  Class = 1 << iota // 8 bytes and more
	Short                   // 6 and 7 bytes
	Multi                   // holds line breaks, while its lines are patterns of their own
	Wide                    // ASCII in UTF-16, of leastWide bytes and more

	// Log is what a log is searched for. Without Multi the masks do not depend
	// on how the lines arrive.
	Log = Long | Short | Wide
	// Blob is what any file or stream is searched for. Whoever searches UTF-16
	// made narrow beside it does without Wide.
	Blob = Long | Multi | Wide
	// Text is what small texts are searched for: configs, environments, labels.
	Text = Long | Short | Multi | Wide
)

// A Pattern says what was found. It holds names only, never bytes of the value.
type Pattern struct {
	Secret   string // the secret's id
	Origin   string // where the secret came from: secrets.yaml#db.password
	Encoding string // raw, line, base64, hex, …; with "-part" for a part of a long one
	Mask     string // what is shown in its place: [masked:ID]
}

// A Match is one place where a pattern stands: p[Start:End].
type Match struct {
	Start, End int
	*Pattern
}

// A needle is one byte string to find. If it is a part of a longer text then
// whole[at:] starts with it.
type needle struct {
	bytes   []byte
	class   Class
	pattern *Pattern
	whole   []byte
	at      int
}

// Each calls yield for every place in p at which a pattern of the classes
// stands, until yield returns false. The order is that of p only roughly.
// Matches overlap where patterns do. It does not allocate.
func (x *Index) Each(p []byte, want Class, yield func(Match) bool) {
	x.get().each(p, want, func(n *needle, start int) bool {
		s, e := n.extend(p, start)
		return yield(Match{Start: s, End: e, Pattern: n.pattern})
	})
}

// Has says whether any pattern of the classes stands in p.
func (x *Index) Has(p []byte, want Class) bool {
	found := false
	x.get().each(p, want, func(*needle, int) bool {
		found = true
		return false
	})
	return found
}

func (st *state) each(p []byte, want Class, yield func(*needle, int) bool) {
	if want&(Long|Multi|Wide) != 0 && !st.long.each(p, want, yield) {
		return
	}
	if want&Short != 0 {
		st.short.each(p, want, yield)
	}
}

// extend widens the match of a part as far as p agrees with the text that it is
// a part of, within its line: a row of wrapped base64 is then covered to both its
// ends. The bound keeps many parts of one long text from each walking all of it.
func (n *needle) extend(p []byte, start int) (s, e int) {
	s, e = start, start+len(n.bytes)
	if n.whole == nil {
		return s, e
	}
	for i := n.at - 1; i >= 0 && s > 0 && start-s < MaxPattern && p[s-1] == n.whole[i] && p[s-1] != '\n'; i-- {
		s--
	}
	for i := n.at + len(n.bytes); i < len(n.whole) && e < len(p) && e-start < MaxPattern && p[e] == n.whole[i] && p[e] != '\n'; i++ {
		e++
	}
	return s, e
}
