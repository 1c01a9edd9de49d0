package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/org/secure-build/internal/held"
)

// built is a layout with an image in it, as it is between the scan and the
// outputs.
func built(t *testing.T) (*Layout, ocispecs.Manifest) {
	t.Helper()
	img, err := random.Image(1<<20, 2)
	if err != nil {
		t.Fatal(err)
	}
	l := &Layout{dir: filepath.Join(t.TempDir(), "layout")}
	if err := writeLayout(l.dir, img); err != nil {
		t.Fatal(err)
	}
	root, err := l.Root()
	if err != nil {
		t.Fatal(err)
	}
	if err := l.SetRoot(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	var m ocispecs.Manifest
	if err := l.decode(root, &m); err != nil {
		t.Fatal(err)
	}
	return l, m
}

// rewrite changes a file as somebody who may write to our folder can.
func rewrite(t *testing.T, name string, change func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(name, 0o600), os.WriteFile(name, change(b), 0o600)); err != nil {
		t.Fatal(err)
	}
}

var changes = map[string]func([]byte) []byte{
	"another byte": func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
	"the last one": func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
	"shorter":      func(b []byte) []byte { return b[:len(b)-1] },
	"longer":       func(b []byte) []byte { return append(b, ' ') },
	"empty":        func([]byte) []byte { return nil },
}

// TestNothingThatChangedIsWritten: the bytes of the layout change between the
// scan and the outputs.
func TestNothingThatChangedIsWritten(t *testing.T) {
	blobs := map[string]func(*Layout, ocispecs.Manifest) digest.Digest{
		"layer":    func(_ *Layout, m ocispecs.Manifest) digest.Digest { return m.Layers[1].Digest },
		"config":   func(_ *Layout, m ocispecs.Manifest) digest.Digest { return m.Config.Digest },
		"manifest": func(l *Layout, _ ocispecs.Manifest) digest.Digest { return l.root.Digest },
	}
	for blob, of := range blobs {
		for name, change := range changes {
			t.Run(blob+", "+name, func(t *testing.T) {
				l, m := built(t)
				d := of(l, m)
				rewrite(t, l.path(d), change)
				for form, write := range map[string]func(io.Writer, []string) error{"oci": l.WriteOCI, "docker": l.WriteDocker} {
					var out bytes.Buffer
					if err := write(&out, []string{"app:1"}); !errors.Is(err, held.ErrChanged) || !strings.Contains(err.Error(), d.Encoded()) {
						t.Errorf("%s: got %v, want %v of %s", form, err, held.ErrChanged, d)
					}
					if err := wholeTar(&out); err == nil && out.Len() > 0 {
						t.Errorf("%s: what was written is taken for a whole archive", form)
					}
				}
				parent := t.TempDir()
				if err := l.WriteDir(filepath.Join(parent, "a", "b"), nil); !errors.Is(err, held.ErrChanged) {
					t.Errorf("folder: got %v, want %v", err, held.ErrChanged)
				}
				if left, _ := os.ReadDir(parent); len(left) != 0 {
					t.Errorf("folder: left behind: %v", left)
				}
			})
		}
	}
}

// wholeTar reads an archive to its end, which tar takes for one although the
// last blocks are missing if it is between two files.
func wholeTar(r io.Reader) error {
	for tr := tar.NewReader(r); ; {
		_, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			_, err = io.Copy(io.Discard, tr)
		}
		if err != nil {
			return err
		}
	}
}

// TestChangedIndex: which image it is was settled when it was scanned.
func TestChangedIndex(t *testing.T) {
	l, _ := built(t)
	want := l.root.Digest
	other, _ := built(t)
	b, err := os.ReadFile(filepath.Join(other.dir, ocispecs.ImageIndexFile))
	if err != nil {
		t.Fatal(err)
	}
	rewrite(t, filepath.Join(l.dir, ocispecs.ImageIndexFile), func([]byte) []byte { return b })
	if got, err := l.Root(); err != nil || got.Digest != want {
		t.Errorf("got %s, %v, want %s", got.Digest, err, want)
	}
}

// TestWriteDirOver: a folder keeps what it has, if it is what it says, and all
// of it after an error.
func TestWriteDirOver(t *testing.T) {
	l, m := built(t)
	dir := t.TempDir()
	if err := l.WriteDir(dir, nil); err != nil {
		t.Fatal(err)
	}
	out := &Layout{dir: dir}
	rewrite(t, out.path(m.Layers[0].Digest), changes["another byte"])
	before, err := os.Stat(out.path(m.Layers[1].Digest))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.WriteDir(dir, nil); err != nil {
		t.Fatal(err)
	}
	for _, layer := range m.Layers {
		if !holds(out.path(layer.Digest), layer.Digest) {
			t.Errorf("%s is not what its name says", layer.Digest)
		}
	}
	if after, err := os.Stat(out.path(m.Layers[1].Digest)); err != nil || !os.SameFile(before, after) {
		t.Errorf("a blob that was there was written again: %v", err)
	}

	other, om := built(t)
	rewrite(t, other.path(om.Layers[1].Digest), changes["another byte"])
	if err := other.WriteDir(dir, nil); !errors.Is(err, held.ErrChanged) {
		t.Errorf("got %v, want %v", err, held.ErrChanged)
	}
	if got, err := out.Root(); err != nil || got.Digest != l.root.Digest {
		t.Errorf("the image that was there: got %s, %v, want %s", got.Digest, err, l.root.Digest)
	}
	checkBlobs(t, out, 4)
}

// TestChangedFiles: the archive of an output of files changes.
func TestChangedFiles(t *testing.T) {
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			f := staged(t, &tar.Header{Name: "d/file", Typeflag: tar.TypeReg, Mode: 0o644})
			rewrite(t, f.path, change)
			var out bytes.Buffer
			if err := f.Copy(&out); !errors.Is(err, held.ErrChanged) {
				t.Errorf("tar: got %v, want %v", err, held.ErrChanged)
			}
			if out.Len() > 0 {
				t.Errorf("tar: %d bytes were written", out.Len())
			}
			parent := t.TempDir()
			old := filepath.Join(parent, "d", "file")
			if err := errors.Join(os.Mkdir(filepath.Dir(old), 0o755), os.WriteFile(old, []byte("old"), 0o644)); err != nil {
				t.Fatal(err)
			}
			for _, dir := range []string{parent, filepath.Join(parent, "new", "folder")} {
				if err := f.Extract(dir); !errors.Is(err, held.ErrChanged) {
					t.Errorf("local: got %v, want %v", err, held.ErrChanged)
				}
			}
			if got, err := os.ReadFile(old); err != nil || string(got) != "old" {
				t.Errorf("local: what was there is %q, %v", got, err)
			}
			if left, _ := os.ReadDir(parent); len(left) != 1 {
				t.Errorf("local: left behind: %v", left)
			}
		})
	}
}

// TestFilesChangeWhileExtracted: after the first look at the archive. What was
// written by then is removed, and nothing else.
func TestFilesChangeWhileExtracted(t *testing.T) {
	headers := []*tar.Header{
		{Name: "d/", Typeflag: tar.TypeDir, Mode: 0o500}, {Name: "d/file", Typeflag: tar.TypeReg, Mode: 0o644},
		{Name: "e/f/file", Typeflag: tar.TypeReg, Mode: 0o644}, {Name: "kept/new", Typeflag: tar.TypeReg, Mode: 0o644},
		{Name: "kept/link", Typeflag: tar.TypeSymlink, Linkname: "old"},
	}
	f := staged(t, headers...)
	b, err := os.ReadFile(f.path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(b, []byte("body of e/f/file"))
	for name, at := range map[string]int{"a file": at, "a header": at - 512, "behind the end": len(b) - 1} {
		t.Run(name, func(t *testing.T) {
			c := bytes.Clone(b)
			c[at] ^= 1
			parent := t.TempDir()
			kept := filepath.Join(parent, "kept", "old")
			if err := errors.Join(os.Mkdir(filepath.Dir(kept), 0o755), os.WriteFile(kept, nil, 0o644)); err != nil {
				t.Fatal(err)
			}
			for _, dir := range []string{parent, filepath.Join(parent, "new", "folder")} {
				if err := f.extract(dir, bytes.NewReader(c)); !errors.Is(err, held.ErrChanged) {
					t.Errorf("got %v, want %v", err, held.ErrChanged)
				}
			}
			if left, _ := files(parent); len(left) != 1 || left[0].path != kept {
				t.Errorf("left: %v, want %s", left, kept)
			}
			if left, _ := os.ReadDir(parent); len(left) != 1 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// TestCopyVerified: what has the digest comes whole, and nothing else does,
// whatever its size has to do with that of a piece.
func TestCopyVerified(t *testing.T) {
	for _, size := range []int{0, 1, pieceSize - 1, pieceSize, pieceSize + 1, 2 * pieceSize, 3*pieceSize + 7} {
		b := bytes.Repeat([]byte("x"), size)
		d := digest.FromBytes(b)
		var out bytes.Buffer
		if err := copyVerified(&out, bytes.NewReader(b), d); err != nil || !bytes.Equal(out.Bytes(), b) {
			t.Errorf("%d bytes: got %d, %v", size, out.Len(), err)
		}
		out.Reset()
		if err := copyVerified(&out, bytes.NewReader(append(b, 'y')), d); !errors.Is(err, held.ErrChanged) || out.Len() > size {
			t.Errorf("%d bytes and another: got %d, %v", size, out.Len(), err)
		}
		if size == 0 {
			continue
		}
		out.Reset()
		b[0] = 'y'
		if err := copyVerified(&out, bytes.NewReader(b), d); !errors.Is(err, held.ErrChanged) || out.Len() >= size {
			t.Errorf("%d other bytes: got %d, %v", size, out.Len(), err)
		}
	}
	if err := copyVerified(io.Discard, strings.NewReader(""), "md5:d41d8cd98f00b204e9800998ecf8427e"); err == nil {
		t.Error("a digest of an unknown kind: got no error")
	}
}

// TestLoadWhatChanged: Docker is not left with an archive that looks whole.
func TestLoadWhatChanged(t *testing.T) {
	l, m := built(t)
	rewrite(t, l.path(m.Layers[1].Digest), changes["the last one"])
	archive := func(w io.Writer) error { return l.WriteDocker(w, nil) }

	ends := make(chan error, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		ends <- err
	}))
	defer server.Close()
	if err := (Docker{Host: "tcp://" + strings.TrimPrefix(server.URL, "http://")}).Load(t.Context(), archive); !errors.Is(err, held.ErrChanged) {
		t.Errorf("by the API: got %v, want %v", err, held.ErrChanged)
	}
	if err := <-ends; err == nil {
		t.Error("by the API: the engine saw the end of the archive")
	}

	bin := t.TempDir()
	script := "#!/bin/sh\nwhile read -r line; do :; done\necho loaded > " + bin + "/loaded\n"
	if err := os.WriteFile(filepath.Join(bin, "docker"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	if err := (Docker{Context: "far"}).Load(t.Context(), archive); !errors.Is(err, held.ErrChanged) {
		t.Errorf("by the command: got %v, want %v", err, held.ErrChanged)
	}
	if _, err := os.Stat(filepath.Join(bin, "loaded")); err == nil {
		t.Error("by the command: it saw the end of the archive")
	}
}
