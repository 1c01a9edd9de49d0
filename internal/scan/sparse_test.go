package scan

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/scan/nested"
)

// tarEntry is one entry as it stands in a tar archive, of kinds that archive/tar
// does not write. Tweak may change the header before its sum is made.
func tarEntry(name string, kind byte, content string, tweak func(h []byte)) string {
	h := make([]byte, 512)
	copy(h, name)
	copy(h[100:], "0000644\x000000000\x000000000\x00")
	copy(h[124:], fmt.Sprintf("%011o\x00%011o\x00", len(content), 0))
	h[156] = kind
	copy(h[257:], "ustar\x0000")
	if tweak != nil {
		tweak(h)
	}
	copy(h[148:], "        ")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	return string(h) + content + strings.Repeat("\x00", (512-len(content)%512)%512)
}

// paxEntry is an entry with records before it.
func paxEntry(name, content string, records ...string) string {
	var pax strings.Builder
	for i := 0; i < len(records); i += 2 {
		n := len(records[i]) + len(records[i+1]) + 3
		for n < len(fmt.Sprint(n))+len(records[i])+len(records[i+1])+3 {
			n++
		}
		fmt.Fprintf(&pax, "%d %s=%s\n", n, records[i], records[i+1])
	}
	return tarEntry("PaxHeaders/"+name, 'x', pax.String(), nil) + tarEntry(name, '0', content, nil)
}

const tarEnd = 1024 // zeros

// sparseForms are a tar archive with one sparse file, in each of the forms in
// which GNU tar writes them: the second half of content is behind a hole.
func sparseForms(name, content string, hole int) map[string]string {
	half := min(len(content)/2, 4096)
	first, second := content[:half], content[half:]
	at, size := fmt.Sprint(half+hole), fmt.Sprint(len(content)+hole)
	n1, n2 := fmt.Sprint(len(first)), fmt.Sprint(len(second))
	list := "2\n0\n" + n1 + "\n" + at + "\n" + n2 + "\n"
	gnu := func(h []byte) {
		copy(h[257:], "ustar  \x00")
		oct := func(i, n int) { copy(h[i:], fmt.Sprintf("%011o\x00", n)) }
		oct(386, 0)
		oct(398, len(first))
		oct(410, half+hole)
		oct(422, len(second))
		oct(483, len(content)+hole)
	}
	end := strings.Repeat("\x00", tarEnd)
	return map[string]string{
		"GNU": tarEntry(name, 'S', content, gnu) + end,
		"PAX 0.0": paxEntry(name, content, "GNU.sparse.size", size, "GNU.sparse.numblocks", "2", "GNU.sparse.offset", "0", "GNU.sparse.numbytes", n1,
			"GNU.sparse.offset", at, "GNU.sparse.numbytes", n2) + end,
		"PAX 0.1": paxEntry("GNUSparseFile.0/x", content, "GNU.sparse.name", name, "GNU.sparse.size", size, "GNU.sparse.numblocks", "2",
			"GNU.sparse.map", "0,"+n1+","+at+","+n2) + end,
		"PAX 1.0": paxEntry("GNUSparseFile.0/x", list+strings.Repeat("\x00", 512-len(list))+content, "GNU.sparse.major", "1", "GNU.sparse.minor", "0",
			"GNU.sparse.name", name, "GNU.sparse.realsize", size) + end,
	}
}

// TestSparse: a sparse file is one as everybody sees it who unpacks the archive,
// in a layer and in an archive in one.
func TestSparse(t *testing.T) {
	inner := string(tarOf(t, file("empty", strings.Repeat("\x00", 4096+3072)), file("pw", string(gz(t, []byte(strings.Repeat("some text that compresses well\n", 40)+password))))))
	packed := inner[:512+4096] + inner[512+4096+3072:] // without what is the hole
	for form, archive := range sparseForms("s.tar", packed, 3072) {
		for name, layer := range map[string]string{
			"s.tar!/pw!":         archive[:len(archive)-tarEnd] + string(tarOf(t, file("after", "x"))),
			"in.tar!/s.tar!/pw!": string(tarOf(t, file("in.tar", archive), file("after", "x"))),
			"in.tgz!/s.tar!/pw!": string(tarOf(t, file("in.tgz", string(gz(t, []byte(archive)))))),
		} {
			for _, cut := range []int{0, 1, 700} {
				sc := New(Options{Index: testIndex()})
				sc.cut = cut
				rec := sc.inspect("", bytes.NewReader([]byte(layer)))
				if t.Run(form+" "+name, func(t *testing.T) { checkNested(t, rec, name, "raw") }); t.Failed() {
					return
				}
			}
		}
	}
	for form, archive := range sparseForms("s", password+" and more, and short: "+pin, 8<<10) {
		rec := New(Options{Index: testIndex()}).inspect("", bytes.NewReader([]byte(archive)))
		for _, h := range rec.hits {
			if h.path != "s" || h.Encoding != "raw" {
				t.Errorf("%s, plain: got %s", form, hitsOf(rec))
			}
		}
		if len(rec.hits) == 0 {
			t.Errorf("%s, plain: nothing", form)
		}
	}
}

// TestSparseHole: a hole of gigabytes takes no more than the budget, is said to
// be unread, and what follows it is searched.
func TestSparseHole(t *testing.T) {
	content := string(gz(t, []byte("nothing")))
	after := string(gz(t, []byte(strings.Repeat("some text that compresses well\n", 40)+password)))
	start := time.Now()
	for form, archive := range sparseForms("s.gz", content, 7<<30) {
		s := blobs{}
		layer := archive[:len(archive)-tarEnd] + string(tarOf(t, file("a.gz", after)))
		sc := New(Options{Index: testIndex(), Nested: nested.Limits{Free: 1 << 20}})
		rep, err := sc.Report(t.Context(), s.manifest(object{}, s.put(ociLayer, []byte(layer))), s.open)
		if err != nil {
			t.Fatal(err)
		}
		if rep.Verdict != finding.Leaked || rep.Findings[0].Path != "a.gz!" {
			t.Errorf("%s: got %s, %+v", form, rep.Verdict, rep.Findings)
		}
		if len(rep.Coverage.Unread) != 1 || rep.Coverage.Unread[0].Path != "s.gz" {
			t.Errorf("%s: got %+v, want the file to be unread", form, rep.Coverage)
		}
	}
	// Where nothing is to be opened, the data was searched all the same.
	for form, archive := range sparseForms("s", strings.Repeat("text ", 2000)+password, 7<<30) {
		rec := New(Options{Index: testIndex(), Nested: nested.Limits{Free: 1 << 20}}).inspect("", bytes.NewReader([]byte(archive)))
		if len(rec.hits) != 1 || rec.hits[0].path != "s" || len(rec.found.unread.list) != 0 || len(rec.found.remarks.list) != 1 {
			t.Errorf("%s, plain: got %s, unread %v, remarks %v", form, hitsOf(rec), rec.found.unread.list, rec.found.remarks.list)
		}
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %s", took)
	}
}

// TestTypes: every kind of entry that has content is opened.
func TestTypes(t *testing.T) {
	packed := string(gz(t, []byte(strings.Repeat("some text that compresses well\n", 40)+password)))
	for _, kind := range "\x000127SZ" {
		layer := tarEntry("f.gz", byte(kind), packed, nil) + tarEntry("after", '0', "x", nil) + strings.Repeat("\x00", tarEnd)
		rec := New(Options{Index: testIndex()}).inspect("", bytes.NewReader([]byte(layer)))
		if len(rec.unread) == 0 && !strings.Contains(hitsOf(rec), `"f.gz!"`) {
			t.Errorf("%q: got %s", kind, hitsOf(rec))
		}
		if isRead := strings.ContainsRune("\x0007Z", kind); isRead != (len(rec.unread) == 0) {
			t.Errorf("%q: unread %v", kind, rec.unread)
		}
	}
}
