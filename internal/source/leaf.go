package source

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/getsops/sops/v3"
)

// A leaf is one value or comment of a document, where it is, and whether SOPS
// encrypted it.
type leaf struct {
	path    []string // keys and list indexes; "doc2" first in the second document of a YAML file
	inTree  string   // how the sops library names the place: keys only, "a:b:"
	raw     any      // as in the file
	value   any      // decrypted, or raw
	covered bool     // the file's selectors say that it is encrypted
}

func (l leaf) name() string { return formatKey(l.path) }

// encrypted says whether SOPS keeps the value secret: the selectors cover it
// (an empty string, which SOPS leaves as it is, too), or decryption changed it.
// The second is certain by position; the first is known without a key.
func (l leaf) encrypted() bool { return l.covered || text(l.raw) != text(l.value) }

func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	case sops.Comment:
		return v.Value
	}
	return fmt.Sprintf("%T %v", v, v)
}

// walkTree lists the values and the comments of a tree in the order in which
// the library visits them, which is the same before and after decryption.
func walkTree(tree sops.TreeBranches) (leaves, comments []leaf, err error) {
	var w walker
	for i, branch := range tree {
		var path []string
		if i > 0 {
			path = []string{"doc" + strconv.Itoa(i+1)}
		}
		if err := w.branch(branch, path, nil); err != nil {
			return nil, nil, err
		}
	}
	return w.leaves, w.comments, nil
}

type walker struct{ leaves, comments []leaf }

func (w *walker) branch(branch sops.TreeBranch, path, keys []string) error {
	seen := map[string]bool{}
	for _, item := range branch {
		if c, ok := item.Key.(sops.Comment); ok {
			w.comment(c, path, keys)
			continue
		}
		key, ok := item.Key.(string)
		if !ok {
			return fmt.Errorf("the key %s is not a string: put it in quotes", formatKey(append(slices.Clone(path), fmt.Sprint(item.Key))))
		}
		here, keysHere := append(slices.Clone(path), key), append(slices.Clone(keys), key)
		if seen[key] {
			return fmt.Errorf("the key %s is there twice", formatKey(here))
		}
		seen[key] = true
		if err := w.value(item.Value, here, keysHere); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) value(v any, path, keys []string) error {
	switch v := v.(type) {
	case sops.TreeBranch:
		return w.branch(v, path, keys)
	case []any:
		i := 0
		for _, item := range v {
			if c, ok := asComment(item); ok {
				w.comment(c, path, keys)
				continue
			}
			if err := w.value(item, append(slices.Clone(path), strconv.Itoa(i)), keys); err != nil {
				return err
			}
			i++
		}
	default:
		if c, ok := asComment(v); ok {
			w.comment(c, path, keys)
			return nil
		}
		w.leaves = append(w.leaves, leaf{path: path, inTree: inTree(keys), raw: v, value: v})
	}
	return nil
}

// asComment knows a comment in a list, which SOPS stores as an item of the
// list for as long as it is encrypted.
func asComment(v any) (sops.Comment, bool) {
	if s, ok := v.(string); ok && strings.HasPrefix(s, "ENC[AES256_GCM,") && strings.HasSuffix(s, ",type:comment]") {
		return sops.Comment{Value: s}, true
	}
	c, ok := v.(sops.Comment)
	return c, ok
}

func (w *walker) comment(c sops.Comment, path, keys []string) {
	w.comments = append(w.comments, leaf{path: path, inTree: inTree(keys), raw: c.Value, value: c.Value})
}

func inTree(keys []string) string { return strings.Join(keys, ":") + ":" }
