package nested

import (
	"io"
	"strconv"
	"strings"
)

// An arArchive reads ar files: Debian packages (deb(5)) and static libraries,
// with the long names of both GNU and BSD (ar(5)).
type arArchive struct {
	r     *Reader
	end   int64
	names string // GNU's table of long names
}

const arHeader = 60 // bytes

func (a *arArchive) Next() (*Entry, error) {
	if a.end > 0 {
		if err := a.r.skipTo(a.end); err != nil {
			return nil, err
		}
		if a.end%2 == 1 {
			_, _ = a.r.ReadByte()
		}
	}
	e := &Entry{Header: a.r.Pos()}
	h := make([]byte, arHeader)
	if _, err := io.ReadFull(a.r, h); err != nil {
		return nil, err
	}
	size, err := strconv.ParseInt(strings.TrimSpace(string(h[48:58])), 10, 64)
	if err != nil || size < 0 || string(h[58:]) != "`\n" {
		return nil, errDamaged
	}
	e.Data = a.r.Pos()
	a.end = e.Data + size
	if err := a.name(e, strings.TrimRight(string(h[:16]), " "), size); err != nil {
		return nil, err
	}
	e.Size = a.end - a.r.Pos()
	e.Content = io.LimitReader(a.r, e.Size)
	return e, nil
}

// name resolves a long name, which is in a table or in front of the data.
func (a *arArchive) name(e *Entry, short string, size int64) error {
	e.Name = strings.TrimSuffix(short, "/")
	switch length, isBSD := strings.CutPrefix(short, "#1/"); {
	case isBSD:
		n, err := strconv.ParseInt(length, 10, 32)
		if err != nil || n < 0 || n > min(size, maxName) {
			return errDamaged
		}
		name := make([]byte, n)
		if _, err := io.ReadFull(a.r, name); err != nil {
			return unexpected(err)
		}
		e.Name, e.Data = strings.TrimRight(string(name), "\x00"), e.Data+n
	case short == "//" && size <= 1<<20:
		table, _ := a.r.Peek(int(min(size, int64(a.r.Size()))))
		a.names, e.Name = string(table), "//"
	case len(short) > 1 && short[0] == '/':
		if at, err := strconv.Atoi(short[1:]); err == nil && at >= 0 && at < len(a.names) {
			e.Name, _, _ = strings.Cut(a.names[at:], "\n")
			e.Name = strings.TrimSuffix(e.Name, "/")
		}
	}
	return nil
}
