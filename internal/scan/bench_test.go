package scan

import (
	"archive/tar"
	"bytes"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// BenchmarkLayer scans a layer of real files, the Go toolchain's own, in each
// compression.
func BenchmarkLayer(b *testing.B) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		b.Fatal(err)
	}
	plain := filesOf(b, strings.TrimSpace(string(root)), 128<<20)
	for name, layer := range map[string][]byte{"plain": plain, "gzip": gz(b, plain), "zstd": zst(b, plain)} {
		b.Run(name, func(b *testing.B) {
			sc := New(Options{Index: testIndex()})
			b.SetBytes(int64(len(plain)))
			for b.Loop() {
				if rec := sc.inspect("sha256:0", bytes.NewReader(layer)); len(rec.unread) > 0 {
					b.Fatal(rec.unread)
				}
			}
		})
	}
}

// filesOf makes a tar of the files below dir, up to about size bytes.
func filesOf(b *testing.B, dir string, size int) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || out.Len() > size {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: path, Size: int64(len(content)), Mode: 0o644}); err != nil {
			return err
		}
		_, err = io.Copy(w, bytes.NewReader(content))
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	return out.Bytes()
}
