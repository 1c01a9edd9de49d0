package scan

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/org/secure-build/internal/finding"
)

// peakHeap is the most that the heap holds while do runs, in bytes.
func peakHeap(do func()) (peak uint64) {
	stop, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	do()
	close(stop)
	<-watched
	return peak
}

// repeated gives b again and again, n times.
type repeated struct {
	b  []byte
	at int
	n  int
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.n == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.b[r.at:])
	if r.at += n; r.at == len(r.b) {
		r.at, r.n = 0, r.n-1
	}
	return n, nil
}

// TestLargeFile: a value at the end of one file of 2 GB and more, for which a
// header has no room in digits that are the usual ones, is found in a gzipped
// layer and in a plain one, in little memory.
func TestLargeFile(t *testing.T) {
	const mb = 1 << 20
	n := 2100
	if testing.Short() {
		n = 64
	}
	size := int64(n)*mb + int64(len(password))
	var head bytes.Buffer
	if err := tar.NewWriter(&head).WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "big", Size: size, Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	block := []byte(strings.Repeat("a line of a log, 64 characters with its end, and nothing else. \n", mb/64+1)[:mb])
	tail := append([]byte(password), make([]byte, 4*tarBlock)...)
	tail = tail[:(len(password)+tarBlock-1)/tarBlock*tarBlock+2*tarBlock]
	for name, r := range map[string]io.Reader{
		"gzip":  io.MultiReader(bytes.NewReader(gz(t, head.Bytes())), &repeated{b: gz(t, block), n: n}, bytes.NewReader(gz(t, tail))),
		"plain": io.MultiReader(&head, &repeated{b: block, n: n}, bytes.NewReader(tail)),
	} {
		var rec *record
		start := time.Now()
		peak := peakHeap(func() { rec = New(Options{Index: testIndex()}).inspect("", r) })
		t.Logf("%s: %s, peak heap %d MB", name, time.Since(start), peak>>20)
		if got, want := hitsOf(rec), fmt.Sprintf("password raw \"big\"  %d\n", int64(n)*mb); got != want || !rec.verified || len(rec.unread) > 0 {
			t.Errorf("%s: got %s, unread %v, want %s", name, got, rec.unread, want)
		}
		if rec.total < size {
			t.Errorf("%s: %d bytes searched of %d", name, rec.total, size)
		}
		if peak > 64*mb {
			t.Errorf("%s: %d MB at the peak", name, peak/mb)
		}
		if took := time.Since(start); took > time.Minute {
			t.Errorf("%s: took %s", name, took)
		}
	}
}

// TestNamesThatLeaveTheLayer: files under absolute names and names with .. are
// searched and named as they are. Nothing is written anywhere.
func TestNamesThatLeaveTheLayer(t *testing.T) {
	dir := t.TempDir()
	deep := filepath.Join(dir, "a", "b", "c")
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(deep)
	absolute := filepath.Join(dir, "absolute")
	link := func(kind byte, name, to string) tar.Header {
		return tar.Header{Typeflag: kind, Name: name, Linkname: to}
	}
	tests := []struct {
		name  string
		files []tar.Header
		want  string // path and field
	}{
		{"absolute", []tar.Header{file(absolute, password)}, absolute + " "},
		{"..", []tar.Header{file("../../escape", password)}, "../../escape "},
		{".. in the midst", []tar.Header{file("etc/../../../escape", password)}, "etc/../../../escape "},
		{"only ..", []tar.Header{file("..", password)}, ".. "},
		{"backslashes", []tar.Header{file(`..\..\escape`, password)}, `..\..\escape `},
		{"the value after ..", []tar.Header{file("../"+password, "x")}, "../[masked:password] path"},
		{"the value between ..", []tar.Header{file("../"+password+"/../x", "x")}, "../[masked:password]/../x path"},
		{"behind a link", []tar.Header{link(tar.TypeSymlink, "etc", "../.."), file("etc/escape", password)}, "etc/escape "},
		{"a link out", []tar.Header{link(tar.TypeSymlink, "l", "../../"+password)}, "l link"},
		{"a hard link out", []tar.Header{link(tar.TypeLink, "l", absolute+"/../"+password)}, "l link"},
		{"a packed file", []tar.Header{file("../escape.gz", string(gz(t, []byte("pw="+password))))}, "../escape.gz! "},
		{"in an archive", []tar.Header{file("x.tgz", string(gz(t, tarOf(t, file("../../escape", password), file(absolute, "x")))))}, "x.tgz!/../../escape "},
		{"in an archive, absolute", []tar.Header{file("x.tgz", string(gz(t, tarOf(t, file(absolute, password)))))}, "x.tgz!" + absolute + " "},
		{"in a zip", []tar.Header{file("x.zip", string(zipOf(t, 8, "../../escape", strings.Repeat("x", 99)+password)))}, "x.zip!/../../escape "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := blobs{}
			list := append([]tar.Header{file("before", "nothing")}, append(tt.files, file("after", "nothing"))...)
			rep := scanAll(t, s, s.manifest(object{}, s.put(ociLayer+"+gzip", gz(t, tarOf(t, list...)))), true)
			if rep.Verdict != finding.Leaked || len(rep.Findings) != 1 {
				t.Fatalf("got %s, %s", rep.Verdict, shorts(rep))
			}
			if got := rep.Findings[0].Path + " " + rep.Findings[0].Field; got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			t.Errorf("%s was written", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	for _, name := range []string{"escape", "x"} {
		if _, err := os.Lstat(filepath.Join(filepath.Dir(dir), name)); err == nil {
			t.Errorf("%s was written beside the folder of the test", name)
		}
	}
}

// TestManyLayers: up to the bound every layer is read, and has its number and its
// instruction. An image of 10,000 layers is beyond it: what was read counts, and
// the verdict is never clean. Neither takes long.
func TestManyLayers(t *testing.T) {
	tests := []struct {
		name   string
		layers int
		leak   int // in this layer; -1 for none
		want   finding.Verdict
		found  bool
	}{
		{"100, clean", 100, -1, finding.Clean, false},
		{"100, a leak in the first", 100, 0, finding.Leaked, true},
		{"100, a leak in the last", 100, 99, finding.Leaked, true},
		{"as many as are read", maxDescriptors - 2, -1, finding.Clean, false},
		{"as many as are read, a leak in the last", maxDescriptors - 2, maxDescriptors - 3, finding.Leaked, true},
		{"one more", maxDescriptors - 1, -1, finding.Incomplete, false},
		{"10,000, clean", 10_000, -1, finding.Incomplete, false},
		{"10,000, a leak in the first", 10_000, 0, finding.Leaked, true},
		{"10,000, a leak in the last", 10_000, 9_999, finding.Incomplete, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := blobs{}
			var layers []Descriptor
			var steps []string
			for i := range tt.layers {
				content := fmt.Sprint("layer ", i)
				if i == tt.leak {
					content += password
				}
				layers = append(layers, s.put(ociLayer, tarOf(t, file("f", content))))
				steps = append(steps, fmt.Sprint("RUN ", i))
			}
			start := time.Now()
			rep, err := New(Options{Index: testIndex()}).Report(t.Context(), s.manifest(object{"history": history(steps...)}, layers...), s.open)
			if err != nil {
				t.Fatal(err)
			}
			if rep.Verdict != tt.want || (len(rep.Findings) == 1) != tt.found || len(rep.Findings) > 1 {
				t.Fatalf("got %s, %s, want %s", rep.Verdict, shorts(rep), tt.want)
			}
			if tt.found && (rep.Findings[0].Layer != tt.leak || rep.Findings[0].Instruction != fmt.Sprint("RUN ", tt.leak)) {
				t.Errorf("got %+v", rep.Findings[0])
			}
			if whole := tt.layers <= maxDescriptors-2; whole != (len(rep.Coverage.Unread) == 0) {
				t.Errorf("unread: %v", rep.Coverage.Unread)
			}
			if took := time.Since(start); took > time.Minute {
				t.Errorf("took %s", took)
			}
		})
	}
}
