// Package verdict remembers between runs which blobs were clean, so that a blob
// is not read again when everything that decided its verdict is the same.
//
// What is stored can neither be forged nor read back: the name of an entry is a
// MAC over the blob's digest and over everything that decided (the values, the
// rules, the options, the program), and its content is bound to it by another.
// The key comes from the data keys of the SOPS files, so it is there only while
// the secrets can be decrypted, and nobody without them can write "clean", nor
// tell by the entries which values were looked for. Without such a key nothing
// is remembered.
package verdict

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	maxEntries = 20_000
	maxEntry   = 64 << 10 // bytes of an entry
)

// A Book is the memory for one context. A nil Book remembers nothing.
type Book struct {
	dir string
	mac func(parts ...[]byte) []byte
}

// Open returns the book below dir for a key and a context: all that decides a
// verdict beside the blob itself. A nil key gives a nil Book.
func Open(dir string, key []byte, context ...[]byte) *Book {
	if len(key) == 0 {
		return nil
	}
	base := sum(key, append([][]byte{[]byte("secure-build verdict 1")}, context...)...)
	return &Book{
		dir: filepath.Join(dir, "verdicts"),
		mac: func(parts ...[]byte) []byte { return sum(base, parts...) },
	}
}

// sum is a MAC over parts that cannot be shifted into one another.
func sum(key []byte, parts ...[]byte) []byte {
	m := hmac.New(sha256.New, key)
	for _, p := range parts {
		_ = binary.Write(m, binary.BigEndian, uint64(len(p)))
		m.Write(p)
	}
	return m.Sum(nil)
}

func (b *Book) path(digest string) string {
	return filepath.Join(b.dir, hex.EncodeToString(b.mac([]byte("name"), []byte(digest))))
}

// Get returns what was remembered of a blob. Whatever is wrong with an entry
// (cut off, changed, of another context) makes it one that is not there.
func (b *Book) Get(digest string) (data []byte, ok bool) {
	if b == nil {
		return nil, false
	}
	f, err := os.Open(b.path(digest))
	if err != nil {
		return nil, false
	}
	defer f.Close()
	entry, err := io.ReadAll(io.LimitReader(f, maxEntry+sha256.Size+1))
	if err != nil || len(entry) < sha256.Size || len(entry) > maxEntry+sha256.Size {
		return nil, false
	}
	mac, data := entry[:sha256.Size], entry[sha256.Size:]
	if !hmac.Equal(mac, b.mac([]byte("content"), []byte(digest), data)) {
		return nil, false
	}
	now := time.Now()
	_ = os.Chtimes(f.Name(), now, now) // used last is thrown out last
	return data, true
}

// Put remembers a blob.
func (b *Book) Put(digest string, data []byte) error {
	if b == nil {
		return nil
	}
	if len(data) > maxEntry {
		return fmt.Errorf("remembering a verdict: %d bytes are more than an entry may have", len(data))
	}
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return fmt.Errorf("remembering a verdict: %w", err)
	}
	f, err := os.CreateTemp(b.dir, "new-")
	if err != nil {
		return fmt.Errorf("remembering a verdict: %w", err)
	}
	_, err = f.Write(append(b.mac([]byte("content"), []byte(digest), data), data...))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), b.path(digest))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("remembering a verdict: %w", err), os.Remove(f.Name()))
	}
	return nil
}

// Trim throws out the entries that were used longest ago when there are many.
// It is called at the end of a run.
func (b *Book) Trim() error {
	if b == nil {
		return nil
	}
	entries, err := os.ReadDir(b.dir)
	if errors.Is(err, fs.ErrNotExist) || len(entries) <= maxEntries {
		return nil
	}
	if err != nil {
		return fmt.Errorf("trimming the remembered verdicts: %w", err)
	}
	var infos []fs.FileInfo
	for _, e := range entries {
		if fi, err := e.Info(); err == nil {
			infos = append(infos, fi)
		}
	}
	slices.SortFunc(infos, func(x, y fs.FileInfo) int {
		return cmp.Or(y.ModTime().Compare(x.ModTime()), cmp.Compare(x.Name(), y.Name()))
	})
	for _, fi := range infos[min(maxEntries, len(infos)):] {
		if err := os.Remove(filepath.Join(b.dir, fi.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("trimming the remembered verdicts: %w", err)
		}
	}
	return nil
}
