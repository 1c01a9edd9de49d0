package verdict

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

const digest = "sha256:aaaa"

func TestBook(t *testing.T) {
	dir := t.TempDir()
	key := []byte("0123456789abcdef")
	b := Open(dir, key, []byte("values"), []byte("rules"))
	if _, ok := b.Get(digest); ok {
		t.Error("an empty book has an entry")
	}
	if err := b.Put(digest, []byte("entry")); err != nil {
		t.Fatal(err)
	}
	if got, ok := Open(dir, key, []byte("values"), []byte("rules")).Get(digest); !ok || string(got) != "entry" {
		t.Errorf("got %q, %v", got, ok)
	}
	for name, other := range map[string]*Book{
		"another key":     Open(dir, []byte("another key"), []byte("values"), []byte("rules")),
		"other values":    Open(dir, key, []byte("others"), []byte("rules")),
		"other rules":     Open(dir, key, []byte("values"), []byte("others")),
		"shifted context": Open(dir, key, []byte("valuesr"), []byte("ules")),
		"less context":    Open(dir, key, []byte("values")),
	} {
		if _, ok := other.Get(digest); ok {
			t.Errorf("%s: the entry counts all the same", name)
		}
	}
	if _, ok := b.Get("sha256:bbbb"); ok {
		t.Error("another blob is remembered")
	}
}

// TestBookCannotBeForged: whoever can write the folder, but has no key, cannot
// make an entry count: not a changed one, nor one of another blob.
func TestBookCannotBeForged(t *testing.T) {
	dir := t.TempDir()
	b := Open(dir, []byte("key"))
	if err := b.Put(digest, []byte(`{"clean":true}`)); err != nil {
		t.Fatal(err)
	}
	entry, err := os.ReadFile(b.path(digest))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains([]byte(b.path(digest)), []byte("aaaa")) {
		t.Error("the entry's name tells the digest")
	}
	for i := range entry {
		changed := bytes.Clone(entry)
		changed[i] ^= 1
		if err := os.WriteFile(b.path(digest), changed, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, ok := b.Get(digest); ok {
			t.Fatalf("byte %d was changed, and the entry counts", i)
		}
	}
	for n := range entry {
		if err := os.WriteFile(b.path(digest), entry[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, ok := b.Get(digest); ok {
			t.Fatalf("cut off after %d bytes, the entry counts", n)
		}
	}
	if err := os.WriteFile(b.path("sha256:leaky"), entry, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, ok := b.Get("sha256:leaky"); ok {
		t.Error("an entry that was copied to another blob's name counts")
	}
}

func TestNoKeyNoMemory(t *testing.T) {
	dir := t.TempDir()
	b := Open(dir, nil, []byte("values"))
	if err := b.Put(digest, []byte("x")); err != nil {
		t.Error(err)
	}
	if _, ok := b.Get(digest); ok {
		t.Error("something was remembered without a key")
	}
	if err := b.Trim(); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 0 {
		t.Errorf("written: %v", left)
	}
}
