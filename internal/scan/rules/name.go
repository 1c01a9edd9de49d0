package rules

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/org/secure-build/internal/finding"
)

// Rules that are named in more than one place.
const (
	privateKey    = "private-key"
	worldReadable = "world-readable-key"
)

// A fileName is a kind of file that has no place in an image.
type fileName struct {
	rule, description string
	patterns          []glob // for the last part of a path, or for as many as it has
	except            []glob // of the same kind
	system            bool   // in what distributions and package managers install too
	open              bool   // nobody but its owner should be able to read it
}

var fileNames = []fileName{
	{"dotenv-file", "A file of settings, where passwords are often kept", globs(".env", ".env.*", "*.env", ".envrc"), templates, true, false},
	{"npmrc-file", "npm's settings, where its token is kept", globs(".npmrc", ".yarnrc.yml"), nil, false, true},
	{"pypirc-file", "Python's upload settings, where their password is kept", globs(".pypirc"), nil, true, true},
	{"netrc-file", "Passwords for machines by name", globs(".netrc", "_netrc", ".pgpass", ".my.cnf"), nil, true, true},
	{"git-credentials-file", "Git's passwords", globs(".git-credentials"), nil, true, true},
	{"ssh-key-file", "An SSH key", globs(".ssh/id_*", "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*"), append(globs("*.pub"), programs...), true, true},
	{"key-file", "A key or a store of keys", globs("*.key", "*.ppk", "*.jks", "*.keystore", "*.kdbx"), globs("*.pub.key", "pub*.key"), false, true},
	{"pem-file", "A file that may hold a private key", globs("*.pem"), certificates, false, false},
	{"aws-credentials-file", "AWS's keys", globs(".aws/credentials"), nil, true, true},
	{"gcp-credentials-file", "Google Cloud's keys", globs("application_default_credentials.json", ".boto"), nil, true, true},
	{"azure-credentials-file", "Azure's tokens", globs(".azure/accessTokens.json", ".azure/msal_token_cache.json"), nil, true, true},
	{"kubeconfig-file", "The keys of a Kubernetes cluster", globs("kubeconfig", "*.kubeconfig", "*kubeconfig.yaml", "*kubeconfig.yml", "*kubeconfig.json", ".kube/config", "etc/kubernetes/admin.conf"), nil, true, true},
	{"terraform-state-file", "Terraform's state, which holds passwords in clear text", globs("*.tfstate", "*.tfstate.backup", "*.tfvars"), nil, true, false},
	{"docker-config-file", "Docker's passwords for registries", globs(".dockercfg", ".dockerconfigjson", ".docker/config.json"), nil, true, true},
	{"vault-token-file", "A token of HashiCorp Vault", globs(".vault-token"), nil, true, true},
	{"secret-file", "A file that is called a secret", globs("*secret*", "*credentials*"), programs, false, false},
}

// What only looks like one of them.
var (
	templates    = globs(".env.example", ".env.sample", ".env.template", ".env.dist", ".env.defaults", "example.env", "sample.env", "template.env")
	certificates = globs("cert.pem", "certs.pem", "ca.pem", "cacert.pem", "cacerts.pem", "ca-*.pem", "*-ca.pem", "*cert.pem", "chain.pem", "fullchain.pem", "*bundle*.pem", "*pub*.pem", "dhparam*.pem")
	programs     = globs("*.py", "*.pyc", "*.pyi", "*.go", "*.js", "*.mjs", "*.cjs", "*.ts", "*.map", "*.rb", "*.php", "*.java", "*.class", "*.c", "*.h", "*.hpp", "*.cpp", "*.rs", "*.cs", "*.so", "*.so.*", "*.a", "*.o", "*.md", "*.html", "*.css", "*.svg", "*.png", "*.rst", "*.gz", "*.pl", "*.pm")
)

// system are the folders that distributions and package managers fill.
var system = []string{
	"usr/lib/", "usr/lib32/", "usr/lib64/", "usr/libexec/", "usr/share/", "usr/include/", "usr/src/", "usr/bin/", "usr/sbin/",
	"lib/", "lib64/", "bin/", "sbin/", "etc/ssl/certs/", "etc/pki/", "etc/ca-certificates/", "etc/apk/keys/", "var/lib/dpkg/",
	"usr/local/go/", "usr/local/share/ca-certificates/",
}

// installed are folders of package managers, wherever they are.
var installed = []string{"/node_modules/", "/site-packages/", "/dist-packages/", "/go/pkg/mod/", "/vendor/bundle/", "/.cargo/registry/"}

// Name returns what the name and mode of an entry of a layer warn of. The path
// is as it stands in the archive, the mode has the permission bits of its
// header.
func Name(name string, mode int64, isDir bool) []Hit {
	list := gitFolder(name, isDir)
	if isDir {
		return list
	}
	p := strings.TrimPrefix(path.Clean("/"+name), "/")
	plain := isSystem(p)
	ends := endsOf(p)
	for i := range fileNames {
		f := &fileNames[i]
		if plain && !f.system || !ends.match(f.patterns) || ends.match(f.except) {
			continue
		}
		return append(list, f.hits(mode)...)
	}
	if plain {
		return list
	}
	if d, ok := pathRule(p); ok {
		f := fileName{rule: d.id, description: d.description, open: true}
		list = append(list, f.hits(mode)...)
	}
	return list
}

// gitFolder warns of a Git repository. A layer may have what is in it without an
// entry of the folder itself, so every entry below it says that it is there.
func gitFolder(name string, isDir bool) []Hit {
	if isDir && !strings.HasSuffix(name, "/") {
		name += "/"
	}
	const folder = ".git/"
	for at := 0; ; at++ {
		i := strings.Index(name[at:], folder)
		if i < 0 {
			return nil
		}
		if at += i; at == 0 || name[at-1] == '/' {
			return []Hit{{Rule: "git-folder", Description: "A Git repository: all that was ever committed", Severity: finding.Warning, Folder: name[:at+len(folder)]}}
		}
	}
}

// hits are the warnings for a file of this kind.
func (f *fileName) hits(mode int64) []Hit {
	list := []Hit{{Rule: f.rule, Description: f.description, Severity: finding.Warning}}
	if f.open && isOpen(mode) {
		list = append(list, openKey(f.description))
	}
	return list
}

// isOpen says whether everyone may read a file.
func isOpen(mode int64) bool { return mode&0o004 != 0 }

func openKey(description string) Hit {
	return Hit{Rule: worldReadable, Description: description + ", and everyone may read it", Severity: finding.Warning}
}

// Open returns the warning for a file in which a rule has found a private key,
// and which everyone may read. A name does not tell that: a *.pem may be a
// certificate, and a key may have any name. It is the zero Hit, and false, if
// there is nothing to warn of that Name does not.
func Open(found Hit, name string, mode int64) (Hit, bool) {
	known := func(h Hit) bool { return h.Rule == worldReadable }
	if found.Rule != privateKey || !isOpen(mode) || slices.ContainsFunc(Name(name, mode, false), known) {
		return Hit{}, false
	}
	h := openKey(found.Description)
	h.Offset = found.Offset
	return h, true
}

// ends are the last one, two and three parts of a path, as they are and in lower
// case: "Secret" is a secret too.
type ends [maxParts][2]string

// maxParts is how many parts a pattern may have.
const maxParts = 3

func endsOf(p string) (e ends) {
	lower := strings.ToLower(p)
	from := [2]int{len(p), len(lower)} // they may differ in length
	for i := range e {
		for j, name := range [2]string{p, lower} {
			from[j] = strings.LastIndexByte(name[:max(0, from[j])], '/')
			e[i][j] = name[from[j]+1:]
		}
	}
	return e
}

// match compares as many of the last parts as a pattern has.
func (e *ends) match(patterns []glob) bool {
	for _, g := range patterns {
		if end := &e[g.slashes]; g.match(end[0]) || g.match(end[1]) {
			return true
		}
	}
	return false
}

func isSystem(p string) bool {
	return slices.ContainsFunc(system, func(s string) bool { return strings.HasPrefix(p, s) }) ||
		slices.ContainsFunc(installed, func(s string) bool { return strings.Contains("/"+p, s) })
}

// pathRules are gitleaks' rules for names alone.
var pathRules = sync.OnceValue(func() []pathOnly {
	var list []pathOnly
	defs, _, _ := parse(gitleaks) // New says what is wrong with it
	for _, d := range defs {
		if re, err := regexp.Compile(d.path); d.regex == "" && err == nil {
			list = append(list, pathOnly{d, re})
		}
	}
	return list
})

type pathOnly struct {
	definition
	re *regexp.Regexp
}

// pathRule is gitleaks' rule for this name.
func pathRule(p string) (definition, bool) {
	for _, r := range pathRules() {
		if r.re.MatchString(p) {
			return r.definition, true
		}
	}
	return definition{}, false
}
