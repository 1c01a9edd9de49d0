package image

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

func TestCache(t *testing.T) {
	dir := t.TempDir()
	cache := OpenCache(dir, 1500)
	put := func(l *Layout, blob []byte) digest.Digest {
		t.Helper()
		w := openWriter(t, l.Store(newWatcher().watch), blob)
		if _, err := w.Write(blob); err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(t.Context(), 0, digest.FromBytes(blob)); err != nil {
			t.Fatal(err)
		}
		return digest.FromBytes(blob)
	}
	temp := func() *Layout {
		t.Helper()
		l, err := Temp(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Remove() })
		l.Use(cache)
		return l
	}
	has := func(l *Layout, d digest.Digest) bool {
		_, err := l.Store(newWatcher().watch).Info(t.Context(), d)
		return err == nil
	}

	first := temp()
	a, b := put(first, bytes.Repeat([]byte("a"), 1000)), put(first, bytes.Repeat([]byte("b"), 400))
	if has(temp(), a) {
		t.Error("a blob is there before it was kept")
	}
	if err := first.Keep(); err != nil {
		t.Fatal(err)
	}
	if err := first.Remove(); err != nil {
		t.Fatal(err)
	}
	second := temp()
	if !has(second, a) || !has(second, b) {
		t.Error("the blobs were not kept")
	}
	if rc, err := second.Open(a.String()); err != nil {
		t.Error(err)
	} else {
		_ = rc.Close()
	}

	// a was used last, so b goes when there is not enough room.
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(cache.path(b), old, old); err != nil {
		t.Fatal(err)
	}
	third := temp()
	c := put(third, bytes.Repeat([]byte("c"), 450))
	if err := third.Keep(); err != nil {
		t.Fatal(err)
	}
	fourth := temp()
	if !has(fourth, a) || !has(fourth, c) || has(fourth, b) {
		t.Errorf("kept: a %v, b %v, c %v, want all but b", has(fourth, a), has(fourth, b), has(fourth, c))
	}
	if err := fourth.Disown([]string{c.String(), b.String(), "", "sha256:../../etc/passwd"}); err != nil {
		t.Fatal(err)
	}
	if fifth := temp(); has(fifth, c) || !has(fifth, a) {
		t.Errorf("after c was disowned: a %v, c %v, want a alone", has(fifth, a), has(fifth, c))
	}
	if has(fourth, "sha256:../../etc/passwd") {
		t.Error("a digest that is none was looked up")
	}
}
