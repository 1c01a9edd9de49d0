package rules

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// goroot is where Go's own files are.
func goroot(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatalf("asking go: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// corpus reads real files: Go's sources, or its programs.
func corpus(b *testing.B, folder string, limit int) []byte {
	b.Helper()
	var all []byte
	err := filepath.WalkDir(filepath.Join(goroot(b), folder), func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if len(all) >= limit {
			return fs.SkipAll
		}
		text, err := os.ReadFile(name)
		all = append(all, text...)
		return err
	})
	if err != nil || len(all) == 0 {
		b.Fatalf("reading %s: %d bytes, %v", folder, len(all), err)
	}
	return all
}

func BenchmarkStream(b *testing.B) {
	r, err := Default()
	if err != nil {
		b.Fatal(err)
	}
	for _, folder := range []string{"src", "bin"} {
		text := corpus(b, folder, 32<<20)
		pass := func(b *testing.B, write func(part []byte)) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				for i := 0; i < len(text); i += 64 << 10 {
					write(text[i:min(len(text), i+64<<10)])
				}
			}
		}
		b.Run(folder, func(b *testing.B) {
			s := r.Stream("", func(Hit) {})
			pass(b, func(part []byte) { _, _ = s.Write(part) })
			_ = s.Close()
		})
		b.Run(folder+"/beginnings", func(b *testing.B) {
			pass(b, func(part []byte) { r.grams.each(part, 0, len(part), func(int, uint16) {}) })
		})
	}
}

// BenchmarkNew is what every run pays before it begins.
func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		if _, err := New(Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkName is for every entry of every layer.
func BenchmarkName(b *testing.B) {
	for b.Loop() {
		Name("usr/lib/python3/dist-packages/some/module/file_of_it.py", 0o644, false)
		Name("app/src/components/header/Header.test.tsx", 0o644, false)
	}
}
