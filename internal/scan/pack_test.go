package scan

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

const (
	packOffset = 6 // a base is named by its distance
	packRef    = 7 // or by its digest
)

// packOf is a git pack with one blob, each version of it after that as a delta of
// the one before, and a checksum.
func packOf(kind byte, versions ...string) []byte {
	out := []byte("PACK\x00\x00\x00\x02\x00\x00\x00\x02")
	put := func(kind byte, base []byte, content string) {
		b, n := kind<<4|byte(len(content)&15), len(content)>>4
		for ; n > 0; n >>= 7 {
			out = append(out, b|0x80)
			b = byte(n & 0x7f)
		}
		out = append(append(append(out, b), base...), zlibOf([]byte(content))...)
	}
	last := 0
	for i, v := range versions {
		start := len(out)
		if i == 0 {
			put(3, nil, v)
		} else if kind == packRef {
			put(kind, []byte(deltaID(versions[i-1])), deltaOf(versions[i-1], v))
		} else {
			put(kind, distance(start-last), deltaOf(versions[i-1], v))
		}
		last = start
	}
	return append(out, make([]byte, 20)...)
}

// distance is how git writes that of a base.
func distance(n int) []byte {
	b := []byte{byte(n & 0x7f)}
	for n >>= 7; n > 0; n >>= 7 {
		n--
		b = append([]byte{0x80 | byte(n&0x7f)}, b...)
	}
	return b
}

// deltaOf copies what two texts begin and end with.
func deltaOf(base, text string) string {
	out := binary.AppendUvarint(binary.AppendUvarint(nil, uint64(len(base))), uint64(len(text)))
	cp := func(start, end int) {
		for ; start < end; start += 0x8000 {
			n := min(end-start, 0x8000)
			out = append(out, 0x80|0x0f|0x30, byte(start), byte(start>>8), byte(start>>16), byte(start>>24), byte(n), byte(n>>8))
		}
	}
	start, end := 0, 0
	for start < min(len(base), len(text)) && base[start] == text[start] {
		start++
	}
	for end < min(len(base), len(text))-start && base[len(base)-1-end] == text[len(text)-1-end] {
		end++
	}
	cp(0, start)
	for fresh := text[start : len(text)-end]; fresh != ""; {
		n := min(len(fresh), 127)
		out = append(append(out, byte(n)), fresh[:n]...)
		fresh = fresh[n:]
	}
	cp(len(base)-end, len(base))
	return string(out)
}

// TestPackDeltas: a value is found that the object has which a delta makes, and
// that the delta itself has not, along a chain of them too.
func TestPackDeltas(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 5))
	var lines strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&lines, "line %d %d\n", i, r.Uint64())
	}
	half, all := len(password)/2, lines.String()
	like := password[:half] + strings.Repeat("?", len(password)-half)
	cut := strings.Index(all, "line 1500")
	text := func(value string) string { return all[:cut] + "key=" + value + "\n" + all[cut:] }
	packed := func(value string) string {
		return string(tarOf(t, file("a", strings.Repeat("x", 3000)), file("b.gz", value+string(gz(t, []byte(all+password))))))
	}
	for name, tt := range map[string]struct {
		versions []string
		want     int // hits
	}{
		"first":             {[]string{text(password), text(like)}, 1},
		"second":            {[]string{text(like), text(password)}, 1},
		"after many":        {[]string{text(like), text(like) + "1", text(like) + "12", "0" + text(like), text(password)}, 1},
		"within many":       {[]string{text(like), text(password), text(password) + "1"}, 1},
		"joined by a copy":  {[]string{text("?"), all[:cut] + password[:half] + all[cut:], all[:cut] + password[:half] + password[half:] + all[cut:]}, 1},
		"none":              {[]string{text(like), text(like + "?")}, 0},
		"packed in a delta": {[]string{packed("\x1f"), packed("")}, 1},
	} {
		for _, kind := range []byte{packOffset, packRef} {
			pack := string(packOf(kind, tt.versions...))
			rec := New(Options{Index: testIndex()}).inspect("", bytes.NewReader(tarOf(t, file("p.pack", pack))))
			if len(rec.hits) != tt.want || len(rec.found.unread.list)+len(rec.found.remarks.list) > 0 {
				t.Errorf("%s, %d: got %s, remarks %v", name, kind, hitsOf(rec), rec.found.remarks.list)
			}
		}
	}
	// A base that is not there is remarked on, and the delta is searched as it is.
	lost := string(packOf(packRef, "", text(password)))
	lost = strings.Replace(lost, deltaID(""), strings.Repeat("\x01", 20), 1)
	rec := New(Options{Index: testIndex()}).inspect("", bytes.NewReader(tarOf(t, file("p.pack", lost))))
	if len(rec.hits) != 1 || len(rec.found.remarks.list) != 1 || !strings.Contains(rec.found.remarks.list[0].Reason, "of 1 deltas 1 have no base at hand") {
		t.Errorf("got %s, remarks %v", hitsOf(rec), rec.found.remarks.list)
	}
}

func deltaID(text string) string {
	id := sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(text), text))
	return string(id[:])
}
