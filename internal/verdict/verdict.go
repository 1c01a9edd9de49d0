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
//
// A value that is made anew for every run (a token of the job, the credentials
// of a session) is no part of what an entry is bound to, or no entry would ever
// count again. It need not be: a blob that was scanned before a value existed
// cannot hold it. So an entry also says since when its blob is known, and a run
// with such values takes it only if that was before the first of them, or if
// they are the very ones with which the blob was scanned. See [Book.Mint].
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
	maxEntry   = 64 << 10                      // bytes of an entry
	headSize   = sha256.Size + 8 + sha256.Size // before its data: see entry
	skew       = 5 * time.Minute               // between the clocks of machines that share a folder
)

// A Book is the memory for one context. A nil Book remembers nothing.
type Book struct {
	dir    string
	mac    func(parts ...[]byte) []byte
	since  time.Time // no minted value existed before; zero if there are none
	minted []byte    // a MAC over them
}

// Open returns the book below dir for a key and a context: all that decides a
// verdict beside the blob itself. A nil key gives a nil Book.
func Open(dir string, key []byte, context ...[]byte) *Book {
	if len(key) == 0 {
		return nil
	}
	base := sum(key, append([][]byte{[]byte("secure-build verdict 2")}, context...)...)
	return &Book{
		dir: filepath.Join(dir, "verdicts"),
		mac: func(parts ...[]byte) []byte { return sum(base, parts...) },
	}
}

// Mint tells the book of values that were looked for beside those of the
// context: that none of them existed before since, and a text that two runs
// share only if they have the same ones.
func (b *Book) Mint(since time.Time, values []byte) {
	if b != nil {
		b.since, b.minted = since, b.mac([]byte("minted"), values)
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

// An entry is what a file holds: a MAC over the rest, the time since when the
// blob is known, in seconds, the minted values with which it was scanned last,
// and the data.
type entry struct {
	known  time.Time
	minted [sha256.Size]byte
	data   []byte
}

func (e entry) head() []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(e.known.Unix())), e.minted[:]...)
}

// read returns an entry that was written with our key in our context. Whatever
// is wrong with one (cut off, changed, of another context) makes it one that is
// not there.
func (b *Book) read(digest string) (e entry, ok bool) {
	f, err := os.Open(b.path(digest))
	if err != nil {
		return e, false
	}
	defer f.Close()
	all, err := io.ReadAll(io.LimitReader(f, maxEntry+headSize+1))
	if err != nil || len(all) < headSize || len(all) > maxEntry+headSize {
		return e, false
	}
	e.known = time.Unix(int64(binary.BigEndian.Uint64(all[sha256.Size:])), 0)
	copy(e.minted[:], all[sha256.Size+8:])
	e.data = all[headSize:]
	return e, hmac.Equal(all[:sha256.Size], b.mac([]byte("content"), []byte(digest), e.head(), e.data))
}

// Get returns what was remembered of a blob, if that still holds.
func (b *Book) Get(digest string) (data []byte, ok bool) {
	if b == nil {
		return nil, false
	}
	e, ok := b.read(digest)
	if !ok || !b.since.IsZero() && !e.known.Add(skew).Before(b.since) && !hmac.Equal(e.minted[:], b.minted) {
		return nil, false
	}
	now := time.Now()
	_ = os.Chtimes(b.path(digest), now, now) // used last is thrown out last
	return e.data, true
}

// Put remembers a blob, which is known as long as it was before.
func (b *Book) Put(digest string, data []byte) error {
	if b == nil {
		return nil
	}
	return b.put(digest, data, time.Now())
}

func (b *Book) put(digest string, data []byte, known time.Time) error {
	e := entry{known: known, data: data}
	copy(e.minted[:], b.minted)
	if old, ok := b.read(digest); ok && old.known.Before(e.known) {
		e.known = old.known
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
	mac := b.mac([]byte("content"), []byte(digest), e.head(), data)
	_, err = f.Write(slices.Concat(mac, e.head(), data))
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
