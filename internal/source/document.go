package source

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	"github.com/getsops/sops/v3/cmd/sops/common"
	"github.com/getsops/sops/v3/cmd/sops/formats"
	"github.com/getsops/sops/v3/config"

	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/secret"
)

// A document is a SOPS file, first as it is, and after unlock decrypted.
type document struct {
	name     string // as the user wrote it
	format   formats.Format
	store    common.Store
	tree     sops.Tree
	leaves   []leaf
	comments []leaf
	dataKey  func() []byte // after decryption; behind a func, as every key
}

// openDocument reads a SOPS file without any key.
func openDocument(opts Options, ref Ref) (*document, error) {
	quiet()
	data, err := readFile(opts, ref.file, maxFile+1, false)
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, hint.Wrap(fmt.Errorf("%s is empty", ref.file), "sops edit %s makes a new one", ref.file)
	}
	format, err := formatOf(ref.file, ref.format, data)
	if err != nil {
		return nil, err
	}
	d := &document{name: ref.file, format: format, store: common.StoreForFormat(format, config.NewStoresConfig())}
	err = checkBounds(data, format)
	if err == nil {
		err = d.parse(data)
	}
	if err != nil {
		return nil, d.explainParse(err, data)
	}
	return d, nil
}

func (d *document) parse(data []byte) (err error) {
	defer recovered(&err, "reading "+d.name)
	if d.tree, err = d.store.LoadEncryptedFile(data); err != nil {
		return fmt.Errorf("%w: %w", errLoad, err)
	}
	if d.tree.Metadata.Version == "" { // the last thing that sops writes
		return errDamaged
	}
	if d.leaves, d.comments, err = walkTree(d.tree.Branches); err != nil {
		return err
	}
	return checkMetadata(d.tree.Metadata, d.leaves, d.comments)
}

// recovered makes an error of a panic inside the sops library, which trusts
// what it reads. The panic's words may quote the file, so they are dropped.
func recovered(err *error, doing string) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%s: %w", doing, errDamaged)
	}
}

var (
	errLoad    = errors.New("loading")
	errDamaged = errors.New("damaged sops metadata")
)

// explainParse tells what is wrong with a file that is no (whole) SOPS file.
// The library's own words are not used: they quote values.
func (d *document) explainParse(err error, data []byte) error {
	hasValues := bytes.Contains(data, []byte("ENC[AES256_GCM,"))
	whole := formatByContent(data) != ""
	lost := "restore it from version control: it may have been cut off, or merged by hand"
	switch {
	case errors.Is(err, errTooMuch):
		return fmt.Errorf("reading %s: %w", d.name, err)
	case errors.Is(err, sops.MetadataNotFound) && hasValues:
		return hint.Wrap(fmt.Errorf("%s is cut off: it has encrypted values but no sops metadata", d.name), "%s", lost)
	case errors.Is(err, sops.MetadataNotFound), !hasValues && !whole:
		return notEncrypted(d.name, d.format)
	case errors.Is(err, errSyntax):
		return hint.Wrap(fmt.Errorf("%s is cut off or damaged: %w", d.name, err), "%s", lost)
	case errors.Is(err, errLoad), errors.Is(err, errDamaged):
		return hint.Wrap(fmt.Errorf("%s is cut off or has damaged sops metadata", d.name), "%s", lost)
	}
	return fmt.Errorf("reading %s: %w", d.name, err)
}

// mark finds out which leaves the selectors cover, by letting the library walk
// the tree. With a key it decrypts the tree too; with a nil key nothing
// changes that is looked at afterwards.
func (d *document) mark(key []byte) (err error) {
	defer recovered(&err, "decrypting "+d.name)
	m := &marker{leaves: d.leaves}
	if key != nil {
		m.cipher = aes.NewCipher()
	}
	mac, err := d.tree.Decrypt(key, m)
	if err != nil {
		return d.explainWalk(m, key)
	}
	if key == nil {
		return nil
	}
	want, err := m.cipher.Decrypt(d.tree.Metadata.MessageAuthenticationCode, key, d.tree.Metadata.LastModified.Format(time.RFC3339))
	if err != nil || want != mac {
		return d.explainMAC()
	}
	leaves, comments, err := walkTree(d.tree.Branches)
	if err != nil || len(leaves) != len(d.leaves) || len(comments) != len(d.comments) {
		return fmt.Errorf("decrypting %s: %w", d.name, errDamaged)
	}
	for i := range leaves {
		d.leaves[i].value = leaves[i].raw
	}
	for i := range comments {
		d.comments[i].value = comments[i].raw
	}
	d.dataKey = func() []byte { return key }
	return nil
}

// A marker is the cipher that the library walks with. The library asks it for
// the leaves in order, and only for those that the selectors cover.
type marker struct {
	leaves []leaf
	next   int
	last   *leaf
	cipher sops.Cipher // nil when there is no key
}

func (m *marker) Encrypt(any, []byte, string) (string, error) { return "", errors.ErrUnsupported }

func (m *marker) Decrypt(ciphertext string, key []byte, place string) (any, error) {
	for i := m.next; i < len(m.leaves); i++ {
		if l := &m.leaves[i]; l.inTree == place && l.raw == ciphertext {
			l.covered, m.last, m.next = true, l, i+1
			break
		}
	}
	if m.cipher == nil {
		return ciphertext, nil
	}
	return m.cipher.Decrypt(ciphertext, key, place)
}

func (d *document) explainWalk(m *marker, key []byte) error {
	where := ""
	if m.last != nil {
		where = " at or after " + m.last.name()
	}
	err := fmt.Errorf("decrypting %s: a value%s is not what sops encrypted", d.name, where)
	if key == nil {
		err = fmt.Errorf("reading %s: a value%s is not encrypted, although its selectors cover it", d.name, where)
	}
	return hint.Wrap(err, "change the file with sops edit %s, never by hand", d.name)
}

func (d *document) explainMAC() error {
	what := "the MAC does not match: it was changed by hand, or by someone without the key"
	if d.tree.Metadata.MessageAuthenticationCode == "" {
		what = "it has no MAC: it was cut off, or changed by someone without the key"
	}
	return hint.Wrap(fmt.Errorf("decrypting %s: %s", d.name, what),
		"look at its history; who has the key repairs it with: sops decrypt --ignore-mac %s", d.name)
}

// whole says whether ref means the document as one file. A binary file is one
// value in any case.
func (r Ref) whole(d *document) bool {
	return r.key == "" && (r.id != "" || d.format == formats.Binary)
}

func (d *document) wholeID(ref Ref) string {
	if ref.id != "" {
		return ref.id
	}
	return secret.ID(unwrapped(filepath.Base(d.name)))
}
