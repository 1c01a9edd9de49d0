package rules

import (
	"regexp"
	"strings"

	"github.com/org/secure-build/internal/finding"
)

var (
	// secretName is what names of secrets have in them, as whole words.
	secretName = regexp.MustCompile(`(?i)(?:^|[_.-])(?:\w*token|\w*secret|\w*passw(?:or)?d|passphrase|pass|pwd|api_?key|\w*credentials?|private_?key|access_?key|(?:secret|signing|encryption|master|auth|app|license)_?key|key|auth)s?$`)
	// publicName is what only sounds so: fingerprints of public keys are in the
	// environment of many official images.
	publicName = regexp.MustCompile(`(?i)(?:gpg|pgp|pub|public|ssh_host|sort|primary|foreign|partition|cache|index)_?keys?$|^(?:old)?pwd$|^(?:ssh|git|basic|http|use|enable|require|no)_auth$`)
	// noSecret is a value that cannot be one: a path, a variable, a placeholder,
	// a switch, a number.
	noSecret = regexp.MustCompile(`(?i)^(?:\.{0,2}/.*|~/.*|[a-z]:\\.*|\$\w+|\$?\{.*\}|\$\(.*\)|<.*>|%\w+%|\[.*\]|[x*.#-]+|true|false|yes|no|on|off|none|null|nil|undefined|enabled|disabled|optional|required|your[_-].*|change[_-]?me.*|placeholder.*|example.*|redacted|\d{1,5})$`)
	// userInfo is a password in a URL.
	userInfo = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9+.-]*://[^/\s:@]*:([^/\s@]+)@`)
)

// Env returns what a variable of an image's environment warns of: a value that
// by its name is a secret, or a URL with a password. Tokens that show by their
// own shape are for Stream.
func Env(name, value string) (Hit, bool) {
	value = strings.Trim(strings.TrimSpace(value), `"'`)
	hit := Hit{Rule: "secret-env", Description: "A variable that by its name is a secret", Severity: finding.Warning}
	if m := userInfo.FindStringSubmatch(value); m != nil {
		hit.Description = "A variable with a password in its URL"
		return hit, !noSecret.MatchString(m[1])
	}
	is := value != "" && secretName.MatchString(name) && !publicName.MatchString(name) && !noSecret.MatchString(value)
	return hit, is
}
