package scan

import (
	"bytes"
	"compress/gzip"
	"io"
	"testing"

	"github.com/org/secure-build/internal/finding"
)

// FuzzBlob: no bytes panic, hang or grow, and a gzip that the standard library
// cannot read to its end is never clean.
func FuzzBlob(f *testing.F) {
	plain := tarOf(f, file("a", "b"), file("c", password))
	for _, seed := range [][]byte{nil, plain, gz(f, plain), zst(f, plain), []byte(`{"a":["b",{"c":1}]}`), gz(f, []byte("{}")), gz(f, plain)[:100]} {
		f.Add(seed)
	}
	idx := testIndex()
	f.Fuzz(func(t *testing.T, b []byte) {
		s := blobs{}
		root := s.manifest(object{}, s.put(ociLayer+"+gzip", b))
		sc := New(Options{Index: idx, MaxBytes: 64 << 20})
		w := sc.Blob(digestOf(b))
		_, _ = w.Write(b)
		_ = w.Close()
		rep, err := sc.Report(t.Context(), root, s.open)
		if err != nil {
			t.Fatal(err)
		}
		checkNoValue(t, rep)
		if !bytes.HasPrefix(b, gzipMagic) {
			return
		}
		zr, err := gzip.NewReader(bytes.NewReader(b))
		if err == nil {
			_, err = io.Copy(io.Discard, io.LimitReader(zr, 64<<20))
		}
		if err != nil && err != gzip.ErrHeader && rep.Verdict == finding.Clean {
			t.Errorf("clean, but: %v", err)
		}
	})
}

// FuzzManifest: no document panics or keeps us busy, whatever it points at.
func FuzzManifest(f *testing.F) {
	s := blobs{}
	root := s.manifest(object{"history": history("COPY a /")}, s.put(ociLayer, tarOf(f, file("a", password))))
	f.Add(s[root.Digest])
	f.Add([]byte(`{"manifests":[{"digest":"sha256:0","platform":{"os":"linux"},"data":"e30="}]}`))
	for _, b := range s {
		f.Add(b)
	}
	idx := testIndex()
	f.Fuzz(func(t *testing.T, b []byte) {
		own := blobs{}
		for d, blob := range s {
			own[d] = blob
		}
		rep, err := New(Options{Index: idx}).Report(t.Context(), own.put(ociManifest, b), own.open)
		if err != nil {
			t.Fatal(err)
		}
		checkNoValue(t, rep)
	})
}
