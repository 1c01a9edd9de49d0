package source

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/getsops/sops/v3/azkv"
	"github.com/getsops/sops/v3/gcpkms"
	"github.com/getsops/sops/v3/hckms"
	"github.com/getsops/sops/v3/hcvault"
	"github.com/getsops/sops/v3/keys"
	"github.com/getsops/sops/v3/kms"

	"github.com/org/secure-build/internal/hint"
)

// trust decides which key services may be asked (I10). Their addresses stand
// in the file, which anyone who opens a pull request can change, and asking
// them means to show them this job's token or role. So an address is used only
// if the environment names it too, by the variables that sops itself encrypts
// with, or if --allow-key-source does.
type trust struct{ opts Options }

// A stranger is a key source that only the file names.
type stranger struct{ source string }

func (s stranger) Error() string { return s.source + " is named by nothing but the file itself" }

// check returns nil if the key's service may be asked, a stranger if not, and
// another error if the address is none. It contacts nobody.
func (t trust) check(key keys.MasterKey) error {
	switch key := key.(type) {
	case *hcvault.MasterKey:
		return t.checkVault(key)
	case *kms.MasterKey:
		return t.checkKMS(key)
	case *azkv.MasterKey:
		return t.checkAzure(key)
	case *gcpkms.MasterKey:
		return t.checkName(key.ResourceID, gcpName, "SOPS_GCP_KMS_IDS")
	case *hckms.MasterKey:
		return t.checkName(key.KeyID, huaweiName, "SOPS_HUAWEICLOUD_KMS_IDS")
	}
	return nil // age and gpg ask nobody
}

// The shapes of key names. They are narrower than the library's, in which a
// "region" may be any text and becomes part of a host name, and a Vault key
// name may hold ".." and so reach any other path of the Vault.
var (
	kmsName    = regexp.MustCompile(`^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:(key|alias)/[A-Za-z0-9/_-]+$`)
	roleName   = regexp.MustCompile(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9/_+=,.@-]+$`)
	gcpName    = regexp.MustCompile(`^projects/[A-Za-z0-9:._-]+/locations/[A-Za-z0-9-]+/keyRings/[A-Za-z0-9_-]+/cryptoKeys/[A-Za-z0-9_-]+$`)
	huaweiName = regexp.MustCompile(`^[a-z]+(-[a-z0-9]+)+:([A-Za-z0-9-]+|\*)$`)
	pathName   = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*$`)
	azureName  = regexp.MustCompile(`^[A-Za-z0-9-]*$`)
)

func badName(name string) error { return fmt.Errorf("%q is no key source", name) }

func (t trust) checkName(name string, shape *regexp.Regexp, variable string) error {
	switch {
	case !shape.MatchString(name):
		return badName(name)
	case slices.Contains(t.list(variable), name), t.allowed(name):
		return nil
	}
	return stranger{name}
}

// checkKMS also looks at the role to assume and at the profile to use: they
// choose the credentials that the request is made with.
func (t trust) checkKMS(key *kms.MasterKey) error {
	var arns, roles []string
	for _, entry := range t.list("SOPS_KMS_ARN") {
		arn, role, _ := strings.Cut(entry, "+")
		arns, roles = append(arns, arn), append(roles, role)
	}
	switch {
	case !kmsName.MatchString(key.Arn):
		return badName(key.Arn)
	case key.Role != "" && !roleName.MatchString(key.Role):
		return badName(key.Role)
	case !slices.Contains(arns, key.Arn) && !t.allowed(key.Arn):
		return stranger{key.Arn}
	case key.Role != "" && !slices.Contains(roles, key.Role) && !t.allowed(key.Role):
		return stranger{key.Role}
	case key.AwsProfile != "" && key.AwsProfile != t.opts.env("AWS_PROFILE") && !t.allowed("profile:"+key.AwsProfile):
		return stranger{"profile:" + key.AwsProfile}
	}
	return nil
}

func (t trust) checkVault(key *hcvault.MasterKey) error {
	address, err := parseURL(key.VaultAddress)
	if err != nil || !pathName.MatchString(key.EnginePath) || !pathName.MatchString(key.KeyName) || strings.Contains(key.KeyName, "/") {
		return badName(key.ToString())
	}
	full := below(address, "v1", key.EnginePath, "keys", key.KeyName)
	if own, err := parseURL(t.opts.env("VAULT_ADDR")); err == nil && own.String() == address.String() {
		return nil
	}
	for _, entry := range slices.Concat(t.list("SOPS_VAULT_URIS"), t.list("SOPS_HC_VAULT_ALLOWLIST"), t.opts.AllowKeySource) {
		if covers(entry, full) {
			return nil
		}
	}
	return stranger{address.String()}
}

func (t trust) checkAzure(key *azkv.MasterKey) error {
	address, err := parseURL(key.VaultURL)
	if err != nil || address.Scheme != "https" || !azureName.MatchString(key.Name) || !azureName.MatchString(key.Version) {
		return badName(key.ToString())
	}
	full := below(address, "keys", key.Name, key.Version)
	for _, entry := range slices.Concat(t.list("SOPS_AZURE_KEYVAULT_URLS"), t.opts.AllowKeySource) {
		if covers(entry, full) {
			return nil
		}
	}
	return stranger{address.String()}
}

// list splits a variable of sops at its commas.
func (t trust) list(variable string) []string {
	var all []string
	for entry := range strings.SplitSeq(t.opts.env(variable), ",") {
		if entry = strings.TrimSpace(entry); entry != "" {
			all = append(all, entry)
		}
	}
	return all
}

// allowed matches a name against --allow-key-source: whole, or by a prefix
// that ends in "*".
func (t trust) allowed(name string) bool {
	return slices.ContainsFunc(t.opts.AllowKeySource, func(entry string) bool {
		prefix, isPrefix := strings.CutSuffix(entry, "*")
		return entry == name || isPrefix && prefix != "" && strings.HasPrefix(name, prefix)
	})
}

// parseURL reads and normalises a server's address. One with a password, a
// query or a fragment is refused: what would be sent where is not plain.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSuffix(text, "/"))
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" ||
		u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.Opaque != "" || u.RawPath != "" {
		return nil, badName(text)
	}
	if u.Path != "" && path.Clean(u.Path) != u.Path {
		return nil, badName(text)
	}
	u.Host = strings.ToLower(u.Host)
	if u.Scheme == "https" {
		u.Host = strings.TrimSuffix(u.Host, ":443")
	} else {
		u.Host = strings.TrimSuffix(u.Host, ":80")
	}
	return u, nil
}

// below is the URL of a key. (JoinPath would make it relative.)
func below(address *url.URL, parts ...string) *url.URL {
	u := *address
	u.Path = path.Join(append([]string{"/", u.Path}, parts...)...)
	return &u
}

// covers says whether the URL of a key lies at or below an allowed one.
func covers(entry string, key *url.URL) bool {
	u, err := parseURL(entry)
	if err != nil || u.Scheme != key.Scheme || u.Host != key.Host {
		return false
	}
	return u.Path == key.Path || strings.HasPrefix(key.Path, u.Path+"/")
}

// checkKeySource finds an --allow-key-source that could never match, or that
// would match everything.
func checkKeySource(entry string) error {
	err := fmt.Errorf("parsing --allow-key-source %q: it names no key source", entry)
	help := "write a Vault or Key Vault URL, arn:aws:kms:REGION:ACCOUNT:* or a whole ARN, projects/PROJECT/*, or profile:NAME"
	if strings.Contains(entry, "://") {
		if _, bad := parseURL(entry); bad != nil || strings.Contains(entry, "*") {
			return hint.Wrap(err, "%s; a URL allows what is below it and takes no *", help)
		}
		return nil
	}
	kind, rest, _ := strings.Cut(entry, ":")
	switch {
	case kind == "arn" && strings.Count(entry, ":") >= 5, strings.HasPrefix(entry, "projects/") && len(entry) > len("projects/*"),
		kind == "profile" && rest != "", huaweiName.MatchString(entry):
		return nil
	}
	return hint.Wrap(err, "%s", help)
}
