package buildkit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"github.com/moby/patternmatcher/ignorefile"
	"github.com/tonistiigi/fsutil"
)

// Names of files that have secrets in them, lower case: of the last part, with
// at most one * in it, or of the last two without one.
var (
	secretFiles = namesOf(
		".env", ".env.*", "*.env", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "id_*", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore",
		"*.ppk", "*.kdbx", ".npmrc", ".yarnrc.yml", ".netrc", "_netrc", ".pypirc", "pip.conf", ".git-credentials", ".dockercfg", ".htpasswd", ".pgpass",
		".my.cnf", "kubeconfig", "*.kubeconfig", "credentials.json", "credentials", "service-account*.json", "service_account*.json", "*.tfstate",
		"*.tfvars", "keys.txt", "key.txt", "*.agekey", "secret.*", "secrets.*", "*.secret", "*.secrets", "auth.json",
		".docker/config.json", ".kube/config", ".aws/config",
	)
	publicFiles = namesOf("*.pub", ".env.example", ".env.sample", ".env.template", ".env.dist", ".env.defaults", "*.example", "*.sample", "*.template")
	keyStores   = namesOf("*.p12", "*.pfx", "*.jks", "*.keystore", "*.ppk", "*.kdbx")
	netrcs      = namesOf(".netrc", "_netrc")
	passwords   = namesOf(".htpasswd", ".pgpass")
)

// names are patterns for names of files, told apart by how they are compared:
// that is done for every file of a build context.
type names struct {
	whole, extensions map[string]bool
	around            [][2]string // before and after *
	paths             []string    // of two parts
}

func namesOf(patterns ...string) names {
	n := names{whole: map[string]bool{}, extensions: map[string]bool{}}
	for _, p := range patterns {
		before, after, star := strings.Cut(p, "*")
		switch {
		case strings.Contains(p, "/"):
			n.paths = append(n.paths, p)
		case !star:
			n.whole[p] = true
		case before == "" && strings.LastIndexByte(after, '.') == 0:
			n.extensions[after] = true
		default:
			n.around = append(n.around, [2]string{before, after})
		}
	}
	return n
}

// suspicious says that a file is named as files with secrets are.
func suspicious(name string) bool { return secretFiles.have(name) && !publicFiles.have(name) }

// have says whether a file has one of the names.
func (n names) have(name string) bool {
	name = strings.ToLower(name)
	last := path.Base(name)
	if n.whole[last] || n.extensions[path.Ext(last)] {
		return true
	}
	for _, a := range n.around {
		if len(last) >= len(a[0])+len(a[1]) && strings.HasPrefix(last, a[0]) && strings.HasSuffix(last, a[1]) {
			return true
		}
	}
	for _, p := range n.paths {
		if name == p || strings.HasSuffix(name, p) && name[len(name)-len(p)-1] == '/' {
			return true
		}
	}
	return false
}

// encrypted are the marks of files that are safe to show: SOPS, age, Ansible
// Vault, git-crypt, an encrypted PEM key.
var encrypted = regexp.MustCompile(`ENC\[AES256_GCM,|^age-encryption\.org/|^-----BEGIN AGE ENCRYPTED FILE-----|^\$ANSIBLE_VAULT;|^\x00GITCRYPT\x00|-----BEGIN ENCRYPTED PRIVATE KEY-----|Proc-Type: 4,ENCRYPTED`)

// jsonSetting is a setting whose value is a string, in JSON on any number of lines.
var jsonSetting = regexp.MustCompile(`"([^"\\]+)"\s*:\s*"([^"\\]*)`)

// settings lists the names and values of a JSON document, or of the lines of a
// dotenv, INI, YAML or .npmrc file.
func settings(text string) [][2]string {
	var all [][2]string
	if t := strings.TrimSpace(text); strings.HasPrefix(t, "{") || strings.HasPrefix(t, "[{") {
		for _, m := range jsonSetting.FindAllStringSubmatch(t, -1) {
			all = append(all, [2]string{m[1], m[2]})
		}
		return all
	}
	for line := range strings.Lines(text) {
		line = strings.TrimPrefix(strings.TrimLeft(strings.TrimSpace(line), "- "), "export ")
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok || strings.Contains(name, ": ") { // YAML with = in the value
			name, value, ok = strings.Cut(line, ": ")
		}
		if ok && !strings.ContainsAny(strings.TrimSpace(name), " \t") {
			all = append(all, [2]string{strings.Trim(strings.TrimSpace(name), `"'`), strings.TrimSpace(value)})
		}
	}
	return all
}

var netrc = regexp.MustCompile(`(?m)\bpassword[ \t\n]+\S`)

// contents says what secrets a text has, in words; "" for none.
func contents(name, text string) (what string, sure bool) {
	switch {
	case encrypted.MatchString(text):
		return "", false
	case vendorKey(text) && strings.Contains(text, "PRIVATE KEY"):
		return "a private key", true
	case vendorKey(text):
		return "a key", true
	case keyStores.have(name):
		return "keys, by its name", false
	case len(urlCredentials(text)) > 0:
		return "a URL with a password", false
	case netrcs.have(name) && netrc.MatchString(text):
		return "a password", false
	case passwords.have(name) && strings.Contains(text, ":"):
		return "passwords", false
	}
	for _, s := range settings(text) {
		if key := s[0]; len(key) < 80 && tells(key) && !harmless(s[1]) {
			return "a setting named " + key[strings.LastIndexAny(key, ":/")+1:], false
		}
	}
	return "", false
}

// tells says that a setting is a secret: what is named like one, and the names
// that kubectl and Docker give theirs.
func tells(key string) bool {
	switch key {
	case "client-key-data", "auth", "_auth", "pass":
		return true
	}
	return secretName(key)
}

// ignoreFile reads the patterns of a folder's .dockerignore.
func ignoreFile(dir fsutil.FS) ([]string, error) {
	f, err := dir.Open(".dockerignore")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading .dockerignore: %w", err)
	}
	defer f.Close()
	patterns, err := ignorefile.ReadAll(io.LimitReader(f, maxDockerfile))
	if err != nil {
		return nil, fmt.Errorf("reading .dockerignore: %w", err)
	}
	return patterns, nil
}
