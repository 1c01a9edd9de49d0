package buildkit

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// Words that make a name the name of a secret, where none of the harmless ones
// is among them: NPM_TOKEN and dbPassword, and not NPM_TOKEN_FILE or KEYBOARD.
var (
	secretWords = []string{
		"TOKEN", "SECRET", "SECRETS", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "CREDENTIALS",
		"APIKEY", "AUTHTOKEN", "ACCESSTOKEN", "PRIVATEKEY", "SECRETKEY", "ACCESSKEY",
	}
	// Words that need another before them: DB_PASS, SIGNING_KEY.
	secretPairs = map[string][]string{
		"PASS": nil, "PWD": nil, // any word before them
		"KEY": {"API", "ACCESS", "PRIVATE", "SECRET", "SIGNING", "ENCRYPTION", "DEPLOY", "SSH", "LICENSE", "MASTER", "ACCOUNT", "AUTH"},
	}
	harmlessWords = []string{
		"FILE", "FILES", "PATH", "DIR", "FOLDER", "NAME", "ID", "IDS", "URL", "URI", "ENDPOINT", "HOST", "VERSION", "TTL", "EXPIRY",
		"EXPIRATION", "EXPIRES", "LENGTH", "SIZE", "TYPE", "ALGORITHM", "ALG", "HEADER", "ISSUER", "ENABLED", "REQUIRED", "COUNT",
		"LIMIT", "LIMITS", "MAX", "PREFIX", "SUFFIX", "FORMAT", "POLICY", "BACKEND", "PROVIDER", "STORE", "ARN", "REF", "PUBLIC", "PUB", "HASH", "HELPER",
	}
)

// secretName says whether a variable or a setting is named like a secret.
func secretName(name string) bool {
	words := wordsOf(name)
	found := false
	for i, w := range words {
		if slices.Contains(harmlessWords, w) {
			return false
		}
		before, pair := secretPairs[w]
		found = found || slices.Contains(secretWords, w) || pair && i > 0 && (before == nil || slices.Contains(before, words[i-1]))
	}
	return found
}

// wordsOf splits a name at _, -, ., / and :, and before a capital in camel case.
func wordsOf(name string) []string {
	var words []string
	var word []rune
	end := func() {
		if len(word) > 0 {
			words = append(words, strings.ToUpper(string(word)))
		}
		word = nil
	}
	last := ' '
	for _, r := range name {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			end()
		} else {
			if unicode.IsUpper(r) && unicode.IsLower(last) {
				end()
			}
			word = append(word, r)
		}
		last = r
	}
	end()
	return words
}

// vendorKeys are what cannot be taken for anything but a key: the shapes that
// their issuers gave them. (The scan of the image has gitleaks' whole list.)
var vendorKeys = regexp.MustCompile(`gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60,}|glpat-[A-Za-z0-9_-]{20}|npm_[A-Za-z0-9]{36}|` +
	`(?:AKIA|ASIA)[A-Z0-9]{16}|sk_live_[A-Za-z0-9]{20,}|xox[abprs]-[A-Za-z0-9-]{20,}|AIza[A-Za-z0-9_-]{35}|hf_[A-Za-z0-9]{34}|` +
	`dckr_pat_[A-Za-z0-9_-]{27}|pypi-AgEI[A-Za-z0-9_-]{50,}|SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}|AGE-SECRET-KEY-1[A-Z0-9]{58}|` +
	`-----BEGIN (?:RSA |EC |DSA |OPENSSH |PGP )?PRIVATE KEY(?: BLOCK)?-----(?:\s|\\n|\\r)+(?:[\w-]+: [^\n]*\s+)*[A-Za-z0-9+/]{16}`)

// vendorKey says whether a text holds a key of a known shape. AWS's own examples
// end in EXAMPLE.
func vendorKey(text string) bool {
	for _, k := range vendorKeys.FindAllString(text, -1) {
		if !strings.HasSuffix(k, "EXAMPLE") {
			return true
		}
	}
	return false
}

var placeholder = regexp.MustCompile(`(?i)^(?:true|false|yes|no|on|off|none|null|nil|[0-9.]+[smhd]?|[.~]?/.*|[a-z][a-z0-9+.-]*://[^@]*|<.*>|\{\{.*\}\}|\*+|x+|` +
	`.*(?:change-?_?me|replace-?_?me|placeholder|dummy|example|sample|fake|unused|todo|your[-_ ]).*|build(?:-?time)?|test(?:ing)?|ci|development|secret|password|token)$`)

// harmless says that a setting's value is none: empty, a switch, a number, a
// path, a stand-in, or the name of another variable.
func harmless(value string) bool {
	value = strings.Trim(strings.TrimSpace(value), `"'`)
	return value == "" || placeholder.MatchString(value) || indirect.MatchString(value)
}

// indirect is a value that only names where it comes from: $X, ${X}, $(x).
var indirect = regexp.MustCompile(`^(?:\$\{?[A-Za-z_][A-Za-z0-9_]*[^{}]*\}?|\$\([^()]*\)|%[A-Za-z_]+%)$`)

// A credential in a URL.
type credential struct {
	scheme, host string
	variable     bool // the password is filled in from a variable or a command
}

// credentialURL ends the password at the last @, so that no part of it is taken
// for the host, which is shown.
var credentialURL = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*)://([^\s/:@"'<>` + "`" + `]*):([^\s/"'<>` + "`" + `]+)@([^\s/:@"'<>]*)`)

// urlCredentials lists the URLs of a text that have a password in them.
func urlCredentials(text string) []credential {
	var all []credential
	if !strings.Contains(text, "://") {
		return nil // the expression is slow
	}
	for _, m := range credentialURL.FindAllStringSubmatch(text, -1) {
		c := credential{scheme: strings.ToLower(m[1]), host: m[4], variable: strings.Contains(m[3], "$")}
		if !c.variable && (harmless(m[3]) || m[2] == m[3]) || slices.Contains([]string{"localhost", "127.0.0.1"}, c.host) {
			continue
		}
		all = append(all, c)
	}
	return all
}

// fetched says that a URL is one that a build fetches from, not a database's.
func (c credential) fetched() bool {
	return slices.Contains([]string{"http", "https", "git", "git+https", "git+http", "ftp", "ftps", "sftp", "ssh"}, c.scheme)
}
