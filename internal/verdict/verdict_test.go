package verdict

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
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

// TestBookOfMintedValues: values that are new in every run decide by their age.
func TestBookOfMintedValues(t *testing.T) {
	now, key := time.Now(), []byte("0123456789abcdef")
	for _, tc := range []struct {
		name   string
		known  time.Time // the blob, by a run with the values "first"
		since  time.Time // no value of the later run existed before; zero for no such values
		values string
		want   bool
	}{
		{"older than the values", now.Add(-time.Hour), now.Add(-30 * time.Minute), "second", true},
		{"younger than the values", now.Add(-time.Hour), now.Add(-2 * time.Hour), "second", false},
		{"as old", now, now, "second", false},
		{"older by less than clocks may differ", now.Add(-time.Hour), now.Add(-time.Hour + skew - time.Second), "second", false},
		{"younger than the same values", now.Add(-time.Hour), now.Add(-2 * time.Hour), "first", true},
		{"no such values", now, time.Time{}, "", true},
	} {
		b := Open(t.TempDir(), key)
		b.Mint(now.Add(-100*time.Hour), []byte("first"))
		if err := b.put(digest, []byte("clean"), tc.known); err != nil {
			t.Fatal(err)
		}
		if b.since = (time.Time{}); !tc.since.IsZero() {
			b.Mint(tc.since, []byte(tc.values))
		}
		if _, got := b.Get(digest); got != tc.want {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
	}
}

// TestBookKeepsTheAge: a blob that is scanned again with other new values is
// known as long as it was, so that one that is old enough is not scanned for
// ever. An entry that does not count says nothing of the age.
func TestBookKeepsTheAge(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	b := Open(dir, []byte("key"))
	put := func(known time.Time, values string) {
		t.Helper()
		b.Mint(now.Add(-36*time.Hour), []byte(values))
		if err := b.put(digest, []byte(values), known); err != nil {
			t.Fatal(err)
		}
	}
	put(now.Add(-40*time.Hour), "first")
	put(now, "second")
	b.Mint(now.Add(-36*time.Hour), []byte("third"))
	if got, ok := b.Get(digest); !ok || string(got) != "second" {
		t.Errorf("got %q, %v", got, ok)
	}
	file, err := os.ReadFile(b.path(digest))
	if err != nil {
		t.Fatal(err)
	}
	file[len(file)-1] ^= 1
	if err := os.WriteFile(b.path(digest), file, 0o600); err != nil {
		t.Fatal(err)
	}
	put(now, "second")
	b.Mint(now.Add(-36*time.Hour), []byte("third"))
	if _, ok := b.Get(digest); ok {
		t.Error("the age of an entry that was changed counts")
	}
	(*Book)(nil).Mint(now, nil) // no key, no memory
}
