package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/org/secure-build/internal/hint"
)

// A entry is one file of an archive.
type entry struct {
	name, data string
}

func tarred(t testing.TB, files ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		err := w.WriteHeader(&tar.Header{Name: f.name, Size: int64(len(f.data)), Mode: 0o644, Typeflag: tar.TypeReg})
		if err == nil {
			_, err = io.WriteString(w, f.data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// saved is what docker save wrote before it wrote OCI layouts: images by the
// contents of their layers.
func saved(t testing.TB, images ...[]string) []entry {
	t.Helper()
	var files []entry
	list := []map[string]any{}
	for i, layers := range images {
		names := []string{}
		for j, layer := range layers {
			names = append(names, fmt.Sprintf("%d-%d/layer.tar", i, j))
			files = append(files, entry{names[j], layer})
		}
		config := fmt.Sprintf("%d.json", i)
		files = append(files, entry{config, fmt.Sprintf(`{"os":"linux","author":"%d"}`, i)})
		list = append(list, map[string]any{"Config": config, "Layers": names})
	}
	b, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	return append(files, entry{"manifest.json", string(b)})
}

// laidOut is an OCI layout of one image, its manifest by the name of its blob.
func laidOut(t testing.TB, config string, layers ...string) (files []entry, manifest ocispecs.Descriptor) {
	t.Helper()
	put := func(mediaType string, b []byte) ocispecs.Descriptor {
		d := ocispecs.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
		files = append(files, entry{"blobs/sha256/" + d.Digest.Encoded(), string(b)})
		return d
	}
	var m ocispecs.Manifest
	m.Config = put(ocispecs.MediaTypeImageConfig, []byte(config))
	for _, layer := range layers {
		m.Layers = append(m.Layers, put(ocispecs.MediaTypeImageLayer, []byte(layer)))
	}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	manifest = put(ocispecs.MediaTypeImageManifest, b)
	b, err = json.Marshal(ocispecs.Index{Manifests: []ocispecs.Descriptor{manifest}, Annotations: map[string]string{"note": "of the index"}})
	if err != nil {
		t.Fatal(err)
	}
	return append(files, entry{"index.json", string(b)}), manifest
}

// find writes an archive and opens it. The cache is where it was unpacked.
func find(t testing.TB, archive []byte) (src *Source, cache string, err error) {
	t.Helper()
	dir := t.TempDir()
	name := filepath.Join(dir, "saved.tar")
	if err := os.WriteFile(name, archive, 0o600); err != nil {
		t.Fatal(err)
	}
	cache = filepath.Join(dir, "cache")
	if err := os.Mkdir(cache, 0o700); err != nil {
		t.Fatal(err)
	}
	src, err = Find(t.Context(), name, cache, authn.DefaultKeychain)
	if err == nil {
		t.Cleanup(func() { _ = src.Close() })
	}
	return src, cache, err
}

// leadsTo lists every blob that a source leads to.
func leadsTo(t testing.TB, src *Source) map[digest.Digest]bool {
	t.Helper()
	seen := map[digest.Digest]bool{}
	var follow func(d ocispecs.Descriptor)
	follow = func(d ocispecs.Descriptor) {
		if seen[d.Digest] {
			return
		}
		seen[d.Digest] = true
		r, err := src.Open(d.Digest.String())
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		b, err := io.ReadAll(r)
		if err != nil || digest.FromBytes(b) != d.Digest || int64(len(b)) != d.Size {
			t.Errorf("%s: %d bytes of %s, %v; want %d", d.Digest, len(b), digest.FromBytes(b), err, d.Size)
		}
		var doc struct {
			Manifests, Layers []ocispecs.Descriptor
			Config            *ocispecs.Descriptor
		}
		if json.Unmarshal(b, &doc) != nil {
			return
		}
		if doc.Config != nil && doc.Config.Digest != "" {
			follow(*doc.Config)
		}
		for _, d := range append(doc.Manifests, doc.Layers...) {
			follow(d)
		}
	}
	follow(src.Root)
	for _, d := range src.Documents {
		follow(d)
	}
	return seen
}

// sparse is an entry of a tar archive that claims to have so many bytes, nearly
// all of them in holes: in the form of a PAX header, which takes two KiB.
func sparse(size int64) []byte {
	block := func(name string, kind byte, data []byte) []byte {
		h := make([]byte, 512)
		copy(h, name)
		copy(h[100:], "0000644\x000000000\x000000000\x00")
		copy(h[124:], fmt.Sprintf("%011o\x0000000000000\x00        ", len(data)))
		h[156] = kind
		copy(h[257:], "ustar\x0000")
		sum := 0
		for _, b := range h {
			sum += int(b)
		}
		copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
		return append(append(h, data...), make([]byte, (512-len(data)%512)%512)...)
	}
	var records bytes.Buffer
	for _, r := range []string{"GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=junk", fmt.Sprintf("GNU.sparse.realsize=%d", size)} {
		n := len(r) + 4
		if n > 99 || n < 10 {
			panic("a record of another length")
		}
		fmt.Fprintf(&records, "%d %s\n", n, r)
	}
	return append(block("PaxHeaders/junk", tar.TypeXHeader, records.Bytes()), block("GNUSparseFile/junk", tar.TypeReg, append([]byte("0\n"), make([]byte, 510)...))...)
}

// TestArchiveBombs: an archive takes no more of the disk than its size allows,
// and says so when it wants more.
func TestArchiveBombs(t *testing.T) {
	image := tarred(t, saved(t, []string{"a layer"})...)
	var zipped bytes.Buffer
	zw, _ := gzip.NewWriterLevel(&zipped, gzip.BestSpeed)
	tw := tar.NewWriter(zw)
	err := tw.WriteHeader(&tar.Header{Name: "zeros", Size: 512 << 20, Mode: 0o644, Typeflag: tar.TypeReg})
	for zeros := make([]byte, 1<<20); err == nil; {
		_, err = tw.Write(zeros)
	}
	if err = zw.Close(); err != nil {
		t.Fatal(err)
	}
	var crowd bytes.Buffer
	tw = tar.NewWriter(&crowd)
	for i := range maxEntries + 1 {
		if err := tw.WriteHeader(&tar.Header{Name: fmt.Sprint(i), Linkname: "x", Typeflag: tar.TypeSymlink}); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name    string
		archive []byte
		want    string // of the error
		hint    string
	}{
		{"sparse", append(sparse(300<<20), image...), "junk is a sparse file", "docker save"},
		{"zipped", zipped.Bytes(), "unpacks to more than ", "gunzip"},
		{"many entries", crowd.Bytes(), "more than 100000 entries", "docker save"},
		{"a long name", tarred(t, entry{strings.Repeat("n/", 4<<10) + "n", ""}), "a name of ", "docker save"},
		{"two indexes", tarred(t, entry{"index.json", "{}"}, entry{"./x/../index.json", "{}"}), "index.json twice", "docker save"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, cache, err := find(t, tt.archive)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(strings.Join(hint.Of(err), "\n"), tt.hint) {
				t.Errorf("got %v, %q, want %q with a hint of %s", err, hint.Of(err), tt.want, tt.hint)
			}
			left := int64(0)
			_ = filepath.WalkDir(cache, func(_ string, d fs.DirEntry, err error) error {
				if fi, ierr := d.Info(); err == nil && ierr == nil && fi.Mode().IsRegular() {
					left += fi.Size()
				}
				return nil
			})
			if left > 0 {
				t.Errorf("%d bytes were left behind", left)
			}
		})
	}
}

func TestMostUnpacked(t *testing.T) {
	for _, tt := range []struct{ packed, want int64 }{
		{0, unpackFree},
		{1 << 20, unpackFree + 200<<20},
		{100 << 30, unpackTotal},
		{1<<63 - 1, unpackTotal},
	} {
		if got := mostUnpacked(tt.packed); got != tt.want {
			t.Errorf("%d: got %d, want %d", tt.packed, got, tt.want)
		}
	}
}

// TestArchiveOfTwoKinds: an engine may load what index.json names, or what
// manifest.json does. Whatever either leads to is scanned, and the two files.
func TestArchiveOfTwoKinds(t *testing.T) {
	layout, manifest := laidOut(t, `{"os":"linux"}`, "one", "two")
	blob := func(content string) string { return "blobs/sha256/" + digest.FromString(content).Encoded() }
	names := func(config string, layers ...string) entry {
		b, err := json.Marshal([]map[string]any{{"Config": config, "RepoTags": []string{"x:1"}, "Layers": layers}})
		if err != nil {
			t.Fatal(err)
		}
		return entry{"manifest.json", string(b)}
	}
	for _, tt := range []struct {
		name  string
		files []entry
		same  bool // the root is the image that index.json names
		want  []string
	}{
		{"index.json alone", nil, true, nil},
		{"the same image", []entry{names(blob(`{"os":"linux"}`), blob("one"), blob("two"))}, true, nil},
		{"another", saved(t, []string{"leaky"}), false, []string{"leaky", `{"os":"linux","author":"0"}`}},
		{"one layer more", []entry{{"more.tar", "leaky"}, names(blob(`{"os":"linux"}`), blob("one"), blob("two"), "/more.tar")}, false, []string{"leaky"}},
		{"another config", []entry{{"c.json", `{"env":1}`}, names("c.json", blob("one"))}, false, []string{`{"env":1}`}},
		{"none", []entry{{"manifest.json", "[]"}}, true, nil},
		{"some other document", []entry{{"manifest.json", `{"schemaVersion":2}`}}, true, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all := append(append([]entry{}, layout...), tt.files...)
			src, _, err := find(t, tarred(t, all...))
			if err != nil {
				t.Fatal(err)
			}
			if same := src.Root.Digest == manifest.Digest; same != tt.same {
				t.Errorf("the root is the image of index.json: got %v, want %v", same, tt.same)
			}
			seen := leadsTo(t, src)
			want := append([]string{"one", "two", `{"os":"linux"}`}, tt.want...)
			for _, f := range all {
				if f.name == "index.json" || f.name == "manifest.json" {
					want = append(want, f.data)
				}
			}
			for _, content := range want {
				if !seen[digest.FromString(content)] {
					t.Errorf("%q is not scanned", content)
				}
			}
		})
	}
	t.Run("what is not in it", func(t *testing.T) {
		if _, _, err := find(t, tarred(t, append(layout, names("absent.json"))...)); err == nil || !strings.Contains(err.Error(), `"absent.json"`) {
			t.Errorf("got %v, want an error that names it", err)
		}
	})
	t.Run("a link to nowhere", func(t *testing.T) {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		_ = w.WriteHeader(&tar.Header{Name: "manifest.json", Linkname: "nowhere", Typeflag: tar.TypeSymlink})
		_ = w.Close()
		if _, _, err := find(t, b.Bytes()); err == nil {
			t.Error("want an error")
		}
	})
}

// TestFindDocuments: an index.json has annotations of its own, also if it names
// one image, which is the root then.
func TestFindDocuments(t *testing.T) {
	files, manifest := laidOut(t, "{}", "one")
	dir := t.TempDir()
	var index string
	for _, f := range files {
		name := filepath.Join(dir, f.name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(f.data), 0o600)); err != nil {
			t.Fatal(err)
		}
		index = f.data // the last
	}
	src, err := Find(t.Context(), dir, t.TempDir(), authn.DefaultKeychain)
	if err != nil {
		t.Fatal(err)
	}
	if src.Root.Digest != manifest.Digest {
		t.Errorf("got the root %s, want %s", src.Root.Digest, manifest.Digest)
	}
	if got := leadsTo(t, src); !got[digest.FromString(index)] {
		t.Error("index.json itself is not scanned")
	}
}

// FuzzArchive: whatever an archive says, it is a Source whose documents can be
// read, or an error, and nothing of it is left behind.
func FuzzArchive(f *testing.F) {
	layout, _ := laidOut(f, "{}", "one")
	index, manifest := layout[len(layout)-1], saved(f, []string{"one"}, []string{"two"})
	list := manifest[len(manifest)-1]
	for _, docs := range [][2]string{{index.data, list.data}, {index.data, "{}"}, {index.data, ""}, {`{"manifests":[{"digest":"x"}]}`, list.data}, {"", list.data}, {"[]", "[]"}, {`{"manifests":null}`, `[{}]`}} {
		f.Add(docs[0], docs[1], true, true)
		f.Add(docs[0], docs[1], docs[0] != "", false)
	}
	f.Fuzz(func(t *testing.T, index, list string, hasIndex, hasList bool) {
		files := append(append([]entry{}, layout[:len(layout)-1]...), manifest[:len(manifest)-1]...)
		if hasIndex {
			files = append(files, entry{"index.json", index})
		}
		if hasList {
			files = append(files, entry{"manifest.json", list})
		}
		src, cache, err := find(t, tarred(t, files...))
		if err == nil {
			for _, d := range src.Documents {
				if r, err := src.Open(d.Digest.String()); err != nil || r.Close() != nil {
					t.Errorf("a document: %v", err)
				}
			}
			err = src.Close()
			if err != nil {
				t.Error(err)
			}
		}
		if left, _ := os.ReadDir(filepath.Join(cache, "runs")); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}
