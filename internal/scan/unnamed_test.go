package scan

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/org/secure-build/internal/finding"
)

// TestUnnamed scans layers before their digests are known. What came of it
// counts for the layer with these very bytes, and for nothing else.
func TestUnnamed(t *testing.T) {
	const leak = `password raw layer=0 path="pw" field=""`
	clean, leaky := gz(t, tarOf(t, file("a", "b"))), gz(t, tarOf(t, file("pw", password)))
	changed := bytes.Clone(leaky)
	changed[len(changed)-1] ^= 1
	tests := []struct {
		name  string
		layer []byte
		early []io.Reader // what was read early
		gone  bool        // the layer cannot be read again
		want  string
		read  int // times that the layer was opened
		clean bool
	}{
		{"a leak", leaky, []io.Reader{bytes.NewReader(leaky)}, true, leak, 0, false},
		{"a clean layer", clean, []io.Reader{bytes.NewReader(clean)}, true, "", 0, true},
		{"in small pieces", leaky, []io.Reader{iotest.OneByteReader(bytes.NewReader(leaky))}, true, leak, 0, false},
		{"another build's leak", clean, []io.Reader{bytes.NewReader(leaky)}, false, "", 1, true},
		{"another build's clean layer", leaky, []io.Reader{bytes.NewReader(clean)}, false, leak, 1, false},
		{"its beginning", leaky, []io.Reader{bytes.NewReader(leaky[:len(leaky)-9])}, false, leak, 1, false},
		{"more than it", leaky, []io.Reader{io.MultiReader(bytes.NewReader(clean), bytes.NewReader(leaky))}, false, leak, 1, false},
		{"other bytes than it", leaky, []io.Reader{bytes.NewReader(changed)}, false, leak, 1, false},
		{"a reader that fails", leaky, []io.Reader{io.MultiReader(bytes.NewReader(leaky), iotest.ErrReader(errors.New("no")))}, false, leak, 1, false},
		{"nothing", leaky, []io.Reader{bytes.NewReader(nil)}, false, leak, 1, false},
		{"other bytes, and gone", leaky, []io.Reader{bytes.NewReader(changed)}, true, "", 1, false},
		{"twice", leaky, []io.Reader{bytes.NewReader(leaky), bytes.NewReader(leaky)}, true, leak, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store := blobs{}
			layer := store.put(ociLayer, tt.layer)
			root := store.manifest(object{"os": "linux", "architecture": "amd64"}, layer)
			s := New(Options{Index: testIndex()})
			for _, r := range tt.early {
				s.Unnamed(r)
			}
			opened := 0
			rep, err := s.Report(t.Context(), root, func(digest string) (io.ReadCloser, error) {
				if digest == layer.Digest {
					if opened++; tt.gone {
						return nil, fmt.Errorf("no %s", digest)
					}
				}
				return store.open(digest)
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.TrimSpace(shorts(rep)); got != tt.want || opened != tt.read {
				t.Errorf("got %q, and opened %d times; want %q, %d times", got, opened, tt.want, tt.read)
			}
			if (rep.Verdict == finding.Clean) != tt.clean {
				t.Errorf("verdict: got %s", rep.Verdict)
			}
			if rep.Coverage.Blobs > len(store) {
				t.Errorf("%d blobs in the report, of an image of %d", rep.Coverage.Blobs, len(store))
			}
		})
	}
}

// TestUnnamedThenSent: a blob that comes under its name after it was read is not
// scanned again, and what is written then can change nothing.
func TestUnnamedThenSent(t *testing.T) {
	store := blobs{}
	layer := gz(t, tarOf(t, file("pw", password)))
	root := store.manifest(object{"os": "linux"}, store.put(ociLayer, layer))
	s := New(Options{Index: testIndex()})
	s.Unnamed(bytes.NewReader(layer))
	w := s.Blob(store.put(ociLayer, layer).Digest)
	if _, err := w.Write([]byte("something else")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	rep, err := s.Report(t.Context(), root, store.open)
	if err != nil || rep.Verdict != finding.Leaked {
		t.Errorf("got %s, %v, want leaked", rep.Verdict, err)
	}
}
