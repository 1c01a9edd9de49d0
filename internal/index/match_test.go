package index

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

type place struct {
	at  int
	hit string
}

// naive is the reference: every needle at every offset.
func naive(needles []needle, p []byte) []place {
	var all []place
	for _, n := range needles {
		for at := 0; ; at++ {
			i := bytes.Index(p[at:], n.bytes)
			if i < 0 {
				break
			}
			at += i
			all = append(all, place{at, string(n.bytes)})
		}
	}
	return sorted(all)
}

func sorted(all []place) []place {
	slices.SortFunc(all, func(a, b place) int {
		if a.at != b.at {
			return a.at - b.at
		}
		return bytes.Compare([]byte(a.hit), []byte(b.hit))
	})
	return all
}

// needlesFrom cuts data into needles of least bytes and more, each once.
func needlesFrom(data []byte, least int) []needle {
	b := newBuilder()
	for len(data) > 0 {
		n := least + int(data[0])%24
		data = data[1:]
		if n > len(data) {
			break
		}
		b.needle(fmt.Sprint(len(b.needles)), data[:n], false)
		data = data[n:]
	}
	return b.needles
}

func engineHits(needles []needle, p []byte, least int) []place {
	e := newEngine(needles, least)
	var got []place
	e.each(p, Blob|Short, func(n *needle, start int) bool {
		got = append(got, place{start, string(n.bytes)})
		return true
	})
	return sorted(got)
}

// few returns n bytes of an alphabet so small that needles overlap themselves.
func few(r *rand.Rand, n, alphabet int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte('a' + r.IntN(alphabet))
	}
	return p
}

func TestEngineAgainstNaiveSearch(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 9))
	for round := range 3000 {
		least := []int{MinPattern, minLong}[round%2]
		alphabet := 1 + r.IntN(4)
		needles := needlesFrom(few(r, 20+r.IntN(400), alphabet), least)
		p := few(r, r.IntN(600), alphabet)
		for _, n := range needles {
			p = slices.Insert(p, r.IntN(len(p)+1), n.bytes...)
		}
		if got, want := engineHits(needles, p, least), naive(needles, p); !slices.Equal(got, want) {
			t.Fatalf("round %d: got %d places, want %d, in %q", round, len(got), len(want), p)
		}
	}
}

func FuzzEngine(f *testing.F) {
	f.Add([]byte("\x00abcdefgh\x01abcdefghi"), []byte("xabcdefghixxabcdefgh"))
	f.Add([]byte("\x03aaaaaaaaaaa\x00aaaaaaaa"), []byte("aaaaaaaaaaaaaaaaaaaaaaaa"))
	f.Fuzz(func(t *testing.T, keys, text []byte) {
		for _, least := range []int{MinPattern, minLong} {
			needles := needlesFrom(keys, least)
			for k := 0; k < len(needles) && k < 3; k++ {
				text = append(text, needles[k].bytes...)
			}
			if got, want := engineHits(needles, text, least), naive(needles, text); !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		}
	})
}

func TestStreamCutAnywhere(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 9))
	type hit struct {
		off int64
		p   *Pattern
	}
	rounds := 300
	if testing.Short() {
		rounds = 30
	}
	for round := range rounds {
		var values []string
		for range 1 + r.IntN(4) {
			values = append(values, string(few(r, 6+r.IntN(40), 2+r.IntN(3)))+"7")
		}
		x := compile(t, append(values, string(randomToken(r, 700)))...)
		text := few(r, 200, 3)
		for range 6 {
			n := x.get().long.needles
			text = slices.Insert(text, r.IntN(len(text)), n[r.IntN(len(n))].bytes...)
		}
		collect := func(cut func(left int) int) []hit {
			var hits []hit
			s := x.NewStream(Text, func(off int64, p *Pattern) { hits = append(hits, hit{off, p}) })
			for rest := text; len(rest) > 0; {
				n := cut(len(rest))
				_, _ = s.Write(rest[:n])
				rest = rest[n:]
			}
			if s.Offset() != int64(len(text)) {
				t.Fatalf("offset: got %d, want %d", s.Offset(), len(text))
			}
			_ = s.Close()
			slices.SortFunc(hits, func(a, b hit) int {
				if a.off != b.off {
					return int(a.off - b.off)
				}
				return bytes.Compare([]byte(a.p.Secret+a.p.Encoding), []byte(b.p.Secret+b.p.Encoding))
			})
			return hits
		}
		want := collect(func(left int) int { return left })
		if len(want) == 0 {
			t.Fatal("nothing found in one piece")
		}
		for _, most := range []int{1, 3, 17, 600, 2000} {
			if got := collect(func(left int) int { return min(left, 1+r.IntN(most)) }); !slices.Equal(got, want) {
				t.Fatalf("round %d, cuts of at most %d: got %d, want %d", round, most, len(got), len(want))
			}
		}
	}
}

func TestPending(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 9))
	for range 200 {
		x := compile(t, string(few(r, 8+r.IntN(30), 2))+"9", string(randomToken(r, 20)))
		all := slices.Concat(x.get().long.needles, x.get().short.needles)
		p := append(few(r, 40, 2), all[r.IntN(len(all))].bytes...)
		p = p[:len(p)-r.IntN(8)]
		want := 0
		for i := range p {
			for _, n := range all {
				if n.class&Log != 0 && len(n.bytes) > len(p)-i && bytes.HasPrefix(n.bytes, p[i:]) {
					want = max(want, len(p)-i)
				}
			}
		}
		if got := x.Pending(p); got != want {
			t.Fatalf("%q: got %d, want %d", p, got, want)
		}
	}
}

func TestPendingButForTheLastByte(t *testing.T) {
	x := compile(t, "correct-horse")
	var long []byte
	for _, n := range x.get().long.needles {
		if len(n.bytes) > len(long) {
			long = n.bytes
		}
	}
	if got, want := x.Pending(append([]byte("before "), long[:len(long)-1]...)), x.MaxLen()-1; got != want {
		t.Errorf("got %d, want %d", got, want)
	}
	if got := x.Pending(append([]byte("before "), long...)); got >= len(long) {
		t.Errorf("a whole pattern is pending: %d", got)
	}
}

func TestMatchingDoesNotAllocate(t *testing.T) {
	x := Compile(testSet(50, 16))
	p := corpus("text")[:1<<16]
	p = append(p, x.get().long.needles[3].bytes...)
	s := x.NewStream(Blob, func(int64, *Pattern) {})
	n := 0
	for name, f := range map[string]func(){
		"Each":    func() { x.Each(p, Text, func(Match) bool { n++; return true }) },
		"Stream":  func() { _, _ = s.Write(p); _, _ = s.Write(p[:10]) },
		"Pending": func() { n += x.Pending(p) },
	} {
		if got := testing.AllocsPerRun(50, f); got != 0 {
			t.Errorf("%s: %v allocations", name, got)
		}
	}
	if n == 0 {
		t.Error("nothing found")
	}
}

func TestAnEmptyIndexFindsNothing(t *testing.T) {
	for _, x := range []*Index{nil, {}, compile(t)} {
		if x.Has([]byte("anything at all"), Text) || x.Pending([]byte("abc")) != 0 || x.MaxLen() != 0 {
			t.Error("something found")
		}
		if _, err := x.NewStream(Blob, nil).Write([]byte("anything at all")); err != nil {
			t.Error(err)
		}
	}
}
