package source

import (
	"crypto/sha256"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"

	"github.com/org/secure-build/internal/secret"
)

// keyVariables hold keys themselves: whoever has one decrypts what we decrypt.
// (The identities of age have rules of their own. AWS_ACCESS_KEY_ID, addresses
// and the names of roles and keys are public.)
var keyVariables = []string{
	"VAULT_TOKEN",
	"AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_SESSION_TOKEN",
	"AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PASSWORD", "AZURE_PASSWORD",
	"GOOGLE_OAUTH_ACCESS_TOKEN", "HUAWEICLOUD_SDK_SK",
	"ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ACTIONS_RUNTIME_TOKEN",
}

// minKey is the length in bytes below which a variable does not hold a key that
// any service makes, but what a stand-in on a laptop takes ("testing",
// "minioadmin"). Whoever searched for that would find it in many an image.
const minKey = 16

// hiddenKeys are the keys of this job: values that are worse to leak than any
// that they decrypt, and that no build may mount. Each is there once.
type hiddenKeys struct {
	opts Options
	list []secret.Secret
	seen map[[sha256.Size]byte]bool
}

// add takes a key. The id names its kind, and the origin its public half, since
// two of one id and origin are taken for one.
func (h *hiddenKeys) add(sec secret.Secret, value string) {
	sum := sha256.Sum256([]byte(value))
	if value == "" || h.seen[sum] {
		return
	}
	if h.seen == nil {
		h.seen = map[[sha256.Size]byte]bool{}
	}
	h.seen[sum] = true
	h.list = append(h.list, sec)
}

// addEnviron takes the keys that lie in variables, used or not, and in the files
// that variables name.
func (h *hiddenKeys) addEnviron() {
	for _, name := range slices.Concat(keyVariables, h.opts.Keyless.variables()) {
		value := strings.TrimSpace(h.opts.env(name))
		if value != "" && len(value) < minKey {
			h.opts.note("%s is shorter than the keys of any service: it is neither masked nor searched for", name)
			continue
		}
		h.add(h.opts.Hidden(name, "$"+name, value), value)
	}
	for _, name := range []string{"GOOGLE_CREDENTIALS", "GOOGLE_APPLICATION_CREDENTIALS"} {
		h.addGoogle(name)
	}
}

// addGoogle takes what is secret of Google's credentials: a JSON document, or
// the path of one, with much in it that is public.
// https://cloud.google.com/docs/authentication/application-default-credentials
func (h *hiddenKeys) addGoogle(name string) {
	text := h.opts.env(name)
	if text == "" {
		return
	}
	if data, err := readFile(h.opts, text, 1<<20, false); err == nil {
		text = string(data)
	}
	var fields map[string]any
	if json.Unmarshal([]byte(text), &fields) != nil {
		if strings.HasPrefix(strings.TrimSpace(text), "{") || len(text) > 1024 { // damaged, or in base64, but no path
			h.add(h.opts.Hidden(name, "$"+name, text), text)
		}
		return
	}
	for _, field := range []string{"private_key", "client_secret", "refresh_token"} {
		if value, ok := fields[field].(string); ok {
			h.add(h.opts.Hidden(name, "the "+field+" of $"+name, value), value)
		}
	}
}

// addIdentity takes an age identity, or an SSH key. public is its public half.
func (h *hiddenKeys) addIdentity(place, kind, public, value string) {
	id := place
	if filepath.IsAbs(place) {
		id = kind
	}
	h.add(h.opts.Hidden(id, place+" ("+public+")", value), value)
}

// JobKeys is the set of the keys that the environment holds or names, for what
// is printed before Load.
func JobKeys(opts Options) (set secret.Set) {
	newKeyring(opts).hide(&set)
	return set
}

// hide puts all that is known of the keys on the list of what is searched for.
func (k *keyring) hide(set *secret.Set) {
	k.ages.again = true // what no decryption has asked for is left to whom it is meant for
	k.ages.loadNamed()
	k.hidden.addEnviron()
	for _, h := range k.hidden.list {
		set.AddHidden(h)
	}
}
