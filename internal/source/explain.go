package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	sopsage "github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/kms"
	"github.com/getsops/sops/v3/pgp"

	"github.com/org/secure-build/internal/hint"
)

// explain says why no key fitted: for whom the file is encrypted, what was
// tried, and what to set.
func (k *keyring) explain(ctx context.Context, d *document, tried []attempt, got, need int) error {
	var forWhom, failed, strangers []string
	hasAge, hasPGP := "", false
	for _, a := range tried {
		forWhom = append(forWhom, keyName(a))
		var s stranger
		switch {
		case errors.As(a.err, &s):
			strangers = append(strangers, s.source)
			continue
		case !errors.Is(a.err, errNoIdentity):
			failed = append(failed, keyName(a)+": "+printable(a.err.Error()))
		}
		switch key := a.key.(type) {
		case *sopsage.MasterKey:
			hasAge = key.Recipient
		case *pgp.MasterKey:
			hasPGP = true
		}
	}
	if len(strangers) > 0 && len(strangers) == len(tried) {
		return refused(fmt.Errorf("decrypting %s: refusing to ask a key source that only the file names: %s", d.name, strings.Join(strangers, ", ")), strangers)
	}

	var text strings.Builder
	fmt.Fprintf(&text, "decrypting %s: no key fits: it is encrypted for %s", d.name, shortList(forWhom, 10))
	if need > 1 {
		fmt.Fprintf(&text, "; %d of its %d key groups are needed and %d opened", need, len(d.tree.Metadata.KeyGroups), got)
	}
	if hasAge != "" {
		text.WriteString("; age identities tried: " + orNone(k.ages.tried))
		failed = append(failed, k.ages.notes...)
	}
	if hasPGP {
		text.WriteString("; PGP secret keys tried: " + orNone(k.gpg.secretKeys(ctx)))
	}
	for _, f := range failed {
		text.WriteString("; " + f)
	}
	err := errors.New(text.String())
	if len(strangers) > 0 {
		err = refused(err, strangers)
	}
	for _, a := range tried {
		for _, h := range hint.Of(a.err) {
			err = hint.Wrap(err, "%s", h)
		}
	}
	return k.advise(err, hasAge, hasPGP, slices.ContainsFunc(tried, func(a attempt) bool {
		return isRemote(a.key) && !errors.As(a.err, new(stranger))
	}))
}

func refused(err error, strangers []string) error {
	slices.Sort(strangers)
	flags := make([]string, 0, len(strangers))
	for _, s := range slices.Compact(strangers) {
		flags = append(flags, "--allow-key-source "+printable(s))
	}
	return hint.Wrap(err, "a changed file could name anyone's server; if this one is yours: %s", strings.Join(flags, " "))
}

func (k *keyring) advise(err error, recipient string, hasPGP, wasAsked bool) error {
	if wasAsked {
		err = hint.Wrap(err, "the key service was asked: does this job log in to it before this step, and may it decrypt with that key?")
	}
	if hasPGP {
		err = hint.Wrap(err, "for PGP, import a secret key of the file into the keyring at GNUPGHOME before this step (gpg --batch --import)")
	}
	switch {
	case recipient == "":
	case len(k.ages.tried) == 0:
		err = hint.Wrap(err, "set SOPS_AGE_KEY to the private key of %s (it begins with AGE-SECRET-KEY-1), or SOPS_AGE_KEY_FILE to its file", printable(recipient))
	default:
		err = hint.Wrap(err, "set SOPS_AGE_KEY to a private key of the file, or add your recipient to it: sops rotate --in-place --add-age RECIPIENT FILE")
	}
	return err
}

// keyName names a recipient as its own tools do, in text that can be shown.
func keyName(a attempt) string {
	if name := printable(rawName(a)); name != "" {
		return name
	}
	return "a recipient without a name"
}

func rawName(a attempt) string {
	switch key := a.key.(type) {
	case *pgp.MasterKey:
		return "PGP " + key.Fingerprint
	case *kms.MasterKey: // ToString panics on a null in the encryption context
		return key.Arn
	}
	return a.key.ToString()
}

func orNone(all []string) string {
	if len(all) == 0 {
		return "none"
	}
	return shortList(all, 10)
}

// printable makes one short line of text that a file or a server wrote.
func printable(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 400 {
		text = text[:400] + "…"
	}
	quoted := strconv.Quote(text)
	if inner := quoted[1 : len(quoted)-1]; strings.ReplaceAll(inner, `\"`, `"`) != text {
		return quoted
	}
	return text
}
