package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	sopsage "github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/azkv"
	"github.com/getsops/sops/v3/gcpkms"
	"github.com/getsops/sops/v3/hckms"
	"github.com/getsops/sops/v3/hcvault"
	"github.com/getsops/sops/v3/keys"
	"github.com/getsops/sops/v3/kms"
	"github.com/getsops/sops/v3/pgp"
	"github.com/getsops/sops/v3/shamir"

	"filippo.io/age"
	"filippo.io/age/armor"
)

// A keyring opens data keys with what this job has: identities, gpg, and the
// key services that it may ask.
type keyring struct {
	trust    trust
	ages     *identities
	gpg      gpg
	exchange *exchanger
	hidden   *hiddenKeys
}

func newKeyring(opts Options) *keyring {
	hidden := &hiddenKeys{opts: opts}
	return &keyring{
		trust: trust{opts}, ages: &identities{opts: opts, hidden: hidden}, gpg: gpg{opts},
		exchange: &exchanger{opts: opts, hidden: hidden}, hidden: hidden,
	}
}

// An attempt is one recipient of a file and how asking for it went.
type attempt struct {
	key keys.MasterKey
	err error
}

// decrypt opens the file's data key and decrypts the document with it.
//
// The library's own way (Metadata.GetDataKey) contacts whatever the file
// names, in the file's order, and may prompt. Here the keys that need nobody
// come first, strangers are refused, and each attempt is remembered.
func (k *keyring) decrypt(ctx context.Context, d *document) (err error) {
	defer recovered(&err, "decrypting "+d.name)
	groups := d.tree.Metadata.KeyGroups
	need := 1
	if len(groups) > 1 {
		need = d.tree.Metadata.ShamirThreshold
		if need < 1 {
			need = len(groups)
		}
	}
	var parts [][]byte
	var tried []attempt
	for _, group := range groups {
		part, attempts := k.openGroup(ctx, group)
		tried = append(tried, attempts...)
		if part != nil {
			parts = append(parts, part)
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("decrypting %s: %w", d.name, err)
		}
		if len(parts) == need {
			break
		}
	}
	if len(parts) < need {
		return k.explain(ctx, d, tried, len(parts), need)
	}
	key, err := combine(parts, len(groups))
	if err != nil {
		return fmt.Errorf("decrypting %s: %w", d.name, err)
	}
	return d.mark(key)
}

// combine joins the parts of Shamir's secret sharing; one group is no sharing.
func combine(parts [][]byte, groups int) (key []byte, err error) {
	defer recovered(&err, "joining the parts of its key groups")
	if groups == 1 {
		return parts[0], nil
	}
	key, err = shamir.Combine(parts)
	if err != nil {
		return nil, errors.New("the parts of its key groups do not fit together")
	}
	return key, nil
}

// openGroup tries the keys of a group: those that need nobody first.
func (k *keyring) openGroup(ctx context.Context, group []keys.MasterKey) ([]byte, []attempt) {
	var tried []attempt
	for _, remote := range []bool{false, true} {
		for _, key := range group {
			if isRemote(key) != remote || ctx.Err() != nil {
				continue
			}
			part, err := k.open(ctx, key)
			if err == nil && len(part) == 0 {
				err = errors.New("an empty key came back")
			}
			if err == nil {
				return part, nil
			}
			tried = append(tried, attempt{key, err})
		}
	}
	return nil, tried
}

func isRemote(key keys.MasterKey) bool {
	switch key.(type) {
	case *sopsage.MasterKey, *pgp.MasterKey:
		return false
	}
	return true
}

// patience is how long one key may take: the SDKs retry, and some would wait
// for ever. It is long enough to touch a hardware key.
const patience = 90 * time.Second

func (k *keyring) open(ctx context.Context, key keys.MasterKey) (part []byte, err error) {
	defer recovered(&err, "asking for the key")
	if err := k.trust.check(key); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	switch key := key.(type) {
	case *sopsage.MasterKey:
		return k.openAge(ctx, key)
	case *pgp.MasterKey:
		return k.gpg.open(ctx, key)
	case *kms.MasterKey:
		if err := k.exchange.applyKMS(ctx, key); err != nil {
			return nil, err
		}
		return key.DecryptContext(ctx)
	case *gcpkms.MasterKey:
		if err := k.exchange.applyGCP(ctx, key); err != nil {
			return nil, err
		}
		return key.DecryptContext(ctx)
	case *azkv.MasterKey:
		return key.DecryptContext(ctx)
	case *hcvault.MasterKey:
		if err := k.exchange.applyVault(ctx, key); err != nil {
			return nil, err
		}
		return key.DecryptContext(ctx)
	case *hckms.MasterKey:
		return key.DecryptContext(ctx)
	}
	return nil, errors.New("a kind of key that is not known here")
}

var errNoIdentity = errors.New("no identity fits")

func (k *keyring) openAge(ctx context.Context, key *sopsage.MasterKey) ([]byte, error) {
	ids := k.ages.forRecipient(ctx, key.Recipient)
	if len(ids) == 0 {
		return nil, errNoIdentity
	}
	r, err := age.Decrypt(armor.NewReader(strings.NewReader(key.EncryptedKey)), ids...)
	if noMatch := (&age.NoIdentityMatchError{}); errors.As(err, &noMatch) {
		return nil, errNoIdentity
	}
	if err != nil {
		return nil, fmt.Errorf("opening the data key: %w", err)
	}
	var part bytes.Buffer
	if _, err := io.Copy(&part, io.LimitReader(r, 1024)); err != nil {
		return nil, fmt.Errorf("opening the data key: %w", err)
	}
	return part.Bytes(), nil
}
