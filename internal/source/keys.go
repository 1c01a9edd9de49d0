package source

import (
	"context"
	"os"
	"strings"
)

// A KeySource is one place where keys for decryption may come from, for doctor.
type KeySource struct {
	Place string // a variable, a file, or a service
	OK    bool
	Note  string // public halves, or why it cannot be used; never a part of a key
}

// services lists the variables that say that a job can ask a key service.
// Whether it may ask for a file's key is seen when there is a file.
var services = []struct {
	name      string
	variables []string
}{
	{"AWS KMS", []string{"AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"}},
	{"GCP KMS", []string{"GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CREDENTIALS", "GOOGLE_OAUTH_ACCESS_TOKEN"}},
	{"Azure Key Vault", []string{"AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE"}},
	{"HashiCorp Vault", []string{"VAULT_ADDR", "VAULT_TOKEN"}},
}

// Keys lists what there is to decrypt with here. No key service is asked, and
// no key's private half is shown.
func Keys(ctx context.Context, opts Options) []KeySource {
	var all []KeySource
	if err := Refuse(opts.LookupEnv); err != nil {
		all = append(all, KeySource{Place: "this job", Note: err.Error()})
	}
	ids := &identities{opts: opts, hidden: &hiddenKeys{opts: opts}}
	ids.forRecipient(ctx, "")
	for _, t := range ids.tried {
		all = append(all, KeySource{Place: "age", OK: true, Note: t})
	}
	for _, n := range ids.notes {
		all = append(all, KeySource{Place: "age", Note: n})
	}
	if home := opts.env("GNUPGHOME"); home != "" {
		_, err := os.Stat(home)
		all = append(all, KeySource{Place: "gpg", OK: err == nil, Note: "GNUPGHOME"})
	}
	for _, s := range services {
		var set []string
		for _, v := range s.variables {
			if opts.env(v) != "" {
				set = append(set, v)
			}
		}
		if len(set) > 0 {
			all = append(all, KeySource{Place: s.name, OK: true, Note: strings.Join(set, ", ")})
		}
	}
	return all
}
