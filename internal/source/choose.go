package source

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/getsops/sops/v3/cmd/sops/formats"

	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/secret"
)

// A choice is a leaf and the id that it is to have.
type choice struct {
	leaf
	id string
}

// choose picks the leaves that ref names: the one at its key, encrypted or
// not, since it was asked for by name, or else every encrypted one.
func (d *document) choose(ref Ref) ([]choice, error) {
	if ref.key == "" {
		var all []choice
		for _, l := range d.leaves {
			if l.encrypted() {
				all = append(all, choice{l, d.leafID(l)})
			}
		}
		if all == nil {
			return nil, hint.Wrap(fmt.Errorf("%s has no encrypted value", d.name), "look at its selectors (encrypted_regex and the like), or name a value: %s#KEY", d.name)
		}
		return all, nil
	}
	if d.format == formats.Binary {
		return nil, hint.Wrap(fmt.Errorf("%s is a binary file: it is one value and has no key %q", d.name, ref.key), "write ID=%s, or encrypt it again by its format: sops encrypt --input-type dotenv", d.name)
	}
	l, err := d.find(ref)
	if err != nil {
		return nil, err
	}
	id := ref.id
	if id == "" {
		id = d.leafID(l)
	}
	if err := secret.CheckID(id); err != nil {
		return nil, hint.Wrap(fmt.Errorf("reading %s: %w", d.origin(l), err), "name it: ID=%s", ref)
	}
	return []choice{{l, id}}, nil
}

// leafID joins the key path. "export" in a dotenv file is no part of a name.
func (d *document) leafID(l leaf) string {
	if d.format == formats.Dotenv {
		return secret.ID(strings.TrimPrefix(l.path[0], "export "))
	}
	return secret.ID(l.path...)
}

func (d *document) origin(l leaf) string { return d.name + "#" + l.name() }

// find looks for the leaf at ref's key, first part by part and then by its
// literal name (a key "a.b" may be written without quotes).
func (d *document) find(ref Ref) (leaf, error) {
	var found []leaf
	for _, l := range d.leaves {
		if slices.Equal(l.path, ref.path) {
			found = append(found, l)
		}
	}
	for _, l := range d.leaves {
		if len(found) == 0 && strings.Join(l.path, ".") == ref.key {
			found = append(found, l)
		}
	}
	switch {
	case len(found) == 0:
		return leaf{}, d.notFound(ref)
	case found[0].raw == nil:
		return leaf{}, hint.Wrap(fmt.Errorf("reading %s: it is null", ref), "set it with sops edit %s", d.name)
	}
	return found[0], nil
}

// notFound says what there is instead: the keys below a map, or the nearest.
func (d *document) notFound(ref Ref) error {
	var below, all []string
	for _, l := range d.leaves {
		all = append(all, l.name())
		if len(l.path) > len(ref.path) && slices.Equal(l.path[:len(ref.path)], ref.path) {
			below = append(below, d.origin(l))
		}
	}
	if below != nil {
		return hint.Wrap(fmt.Errorf("reading %s: it is not one value but a map or list of %d", ref, len(below)), "name one of them: %s", shortList(below, 5))
	}
	err := fmt.Errorf("%s has no key %q", d.name, ref.key)
	if near := hint.Nearest(ref.key, all); near != "" {
		return hint.Wrap(err, "did you mean %s#%s?", d.name, near)
	}
	if len(all) == 0 {
		return hint.Wrap(err, "it holds no values")
	}
	return hint.Wrap(err, "it has %s", shortList(all, 8))
}

func shortList(all []string, n int) string {
	if len(all) <= n {
		return strings.Join(all, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(all[:n], ", "), len(all)-n)
}

// addTo puts what ref names on the list.
func (d *document) addTo(set *secret.Set, ref Ref) error {
	if ref.whole(d) {
		return d.addWhole(set, ref)
	}
	chosen, err := d.choose(ref)
	if err != nil {
		return err
	}
	for _, c := range chosen {
		value, err := d.render(c.leaf)
		if err != nil {
			return err
		}
		sec := secret.New(c.id, d.origin(c.leaf), value).Keyed(d.dataKey())
		if secret.CheckID(c.id) != nil {
			// A key that cannot be an id ("..", longer than a name) is a secret
			// all the same; with ID=FILE#KEY it can be mounted too.
			set.AddHidden(sec)
			continue
		}
		if err := add(set, sec); err != nil {
			return err
		}
	}
	if ref.key == "" {
		for _, c := range d.hidden("") {
			set.AddHidden(c)
		}
	}
	return nil
}

// addWhole mounts the bytes of sops decrypt FILE, masked leaf by leaf.
func (d *document) addWhole(set *secret.Set, ref Ref) error {
	plain, err := d.emit()
	if err != nil {
		return err
	}
	id := d.wholeID(ref)
	if err := secret.CheckID(id); err != nil {
		return hint.Wrap(fmt.Errorf("reading %s: %w", d.name, err), "name it: ID=%s", d.name)
	}
	if d.format == formats.Binary {
		return add(set, secret.New(id, d.name, plain).Keyed(d.dataKey()))
	}
	parts := d.hidden(id)
	for _, l := range d.leaves {
		if !l.encrypted() {
			continue
		}
		value, err := d.render(l)
		if err != nil {
			return err
		}
		parts = append(parts, secret.New(secret.ID(append([]string{id}, l.path...)...), d.origin(l), value))
	}
	return add(set, secret.NewDocument(id, d.name, plain, parts).Keyed(d.dataKey()))
}

// hidden lists the encrypted comments.
func (d *document) hidden(prefix string) []secret.Secret {
	var all []secret.Secret
	for _, c := range d.comments {
		if !c.encrypted() {
			continue
		}
		path := append(slices.Clone(c.path), "comment")
		if prefix != "" {
			path = append([]string{prefix}, path...)
		}
		origin := d.name + " (a comment)"
		if len(c.path) > 0 {
			origin = d.name + " (a comment in " + c.name() + ")"
		}
		all = append(all, secret.New(secret.ID(path...), origin, []byte(text(c.value))))
	}
	return all
}

// hideAll puts every value on the list of what nobody sees, where not all that
// was decrypted could be put on that of what is mounted.
func (d *document) hideAll(set *secret.Set) {
	for _, l := range d.leaves {
		if value, err := d.render(l); err == nil && l.encrypted() {
			set.AddHidden(secret.New(d.leafID(l), d.origin(l), value))
		}
	}
	for _, c := range d.hidden("") {
		set.AddHidden(c)
	}
}

func (d *document) emit() (plain []byte, err error) {
	defer recovered(&err, "writing out "+d.name)
	plain, err = d.store.EmitPlainFile(d.tree.Branches)
	if err != nil {
		return nil, fmt.Errorf("writing out %s: %w", d.name, errors.New("sops cannot"))
	}
	return plain, nil
}

// render gives the bytes that sops decrypt --extract prints: a string as it
// is, everything else in the file's format. (A number in YAML therefore ends
// in a line break. Quoted in the file it is a string and does not.)
func (d *document) render(l leaf) (value []byte, err error) {
	defer recovered(&err, "writing out "+d.name)
	switch v := l.value.(type) {
	case string:
		return []byte(v), nil
	case []byte:
		return v, nil
	default:
		value, err = d.store.EmitValue(v)
	}
	if err != nil {
		return nil, fmt.Errorf("writing out %s: %w", d.origin(l), errors.New("sops cannot"))
	}
	return value, nil
}
