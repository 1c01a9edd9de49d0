// Package config is the one table of options: the flag, the environment
// variable, the CI input and the line in the documentation of an option are all
// made from its row here, and tests hold them together.
package config

import (
	"fmt"
	"slices"
	"strings"
)

// A Kind is what an option takes.
type Kind int

const (
	String Kind = iota
	Bool
	List // a flag given many times; in the environment, one item a line
)

// An Option is one row of the table.
type Option struct {
	Flag    string // long name without dashes
	Short   string // one letter, or ""
	Kind    Kind
	Default string
	Arg     string // what the value is called in help; "" for Bool
	Usage   string // one sentence, lower case, no final period
	Group   string // heading in the help and in the README
	EnvOnly bool   // has no flag: its value is a secret, which no argument may be, or has no need of one
}

// Env is the environment variable that sets the option when its flag is not
// given: SECURE_BUILD_ and the flag, upper-cased, dashes as underscores.
func (o Option) Env() string {
	return "SECURE_BUILD_" + strings.ToUpper(strings.ReplaceAll(o.Flag, "-", "_"))
}

// The groups, in the order in which they are shown.
const (
	GroupBuild   = "Build (as in docker buildx build)"
	GroupSecrets = "Secrets"
	GroupKeyless = "Keyless cloud keys (id-token: write on GitHub, id_tokens on GitLab)"
	GroupScan    = "Scan"
	GroupPush    = "Push"
	GroupOutput  = "Output"
	GroupEngine  = "Engine"
	GroupGitLab  = "GitLab"
)

// Groups lists them.
var Groups = []string{GroupSecrets, GroupKeyless, GroupBuild, GroupScan, GroupPush, GroupOutput, GroupEngine, GroupGitLab}

// secrets is the part of a table that says which secrets there are, for a
// command that decrypts them.
var secrets = []Option{
	{Flag: "sops", Kind: List, Arg: "[ID=]FILE[#KEY]", Group: GroupSecrets,
		Usage: "SOPS file to take secrets from: every encrypted value, one (FILE#db.password), one under another name (ID=FILE#KEY), or the whole document as one file (ID=FILE)"},
	{Flag: "secret", Kind: List, Arg: "id=ID[,src=FILE|,env=NAME|,sops=FILE#KEY]", Group: GroupSecrets,
		Usage: "secret as in docker buildx build, or a value of a SOPS file"},
	{Flag: "variable", Kind: List, Arg: "[ID=]NAME", Group: GroupSecrets,
		Usage: "variable of the CI, by its name: its value, or the content of a File variable of GitLab"},
	{Flag: "allow-key-source", Kind: List, Arg: "ENDPOINT", Group: GroupSecrets,
		Usage: "decryption endpoint (KMS key, Vault address, Key Vault URL) that only the SOPS file names and that may be used"},
	{Flag: "require-ram", Kind: Bool, Group: GroupSecrets,
		Usage: "fail rather than keep a decrypted secret anywhere but in memory"},
	{Flag: "allow-disk", Kind: Bool, Group: GroupSecrets,
		Usage: "where no memory-backed files are to be had, keep decrypted secrets on disk"},
}

// keyless is the part that says how a job without keys gets credentials for the
// key services. The names are those of the clouds' own actions.
var keyless = []Option{
	{Flag: "aws-role", Kind: String, Arg: "ARN", Group: GroupKeyless,
		Usage: "role to assume by the job's OIDC token, for AWS KMS (role-to-assume of aws-actions/configure-aws-credentials)"},
	{Flag: "aws-region", Kind: String, Arg: "REGION", Group: GroupKeyless,
		Usage: "region whose STS is asked (default: AWS_REGION, or the global one)"},
	{Flag: "gcp-workload-identity-provider", Kind: String, Arg: "PROVIDER", Group: GroupKeyless,
		Usage: "workload identity provider that takes the job's OIDC token, for GCP KMS (as in google-github-actions/auth)"},
	{Flag: "gcp-service-account", Kind: String, Arg: "EMAIL", Group: GroupKeyless,
		Usage: "service account to impersonate, where the identity itself may not decrypt"},
	{Flag: "vault-role", Kind: String, Arg: "ROLE", Group: GroupKeyless,
		Usage: "role for a login with the job's OIDC token at the Vault of VAULT_ADDR (role of hashicorp/vault-action)"},
	{Flag: "vault-auth-path", Kind: String, Arg: "PATH", Group: GroupKeyless, Usage: "where that Vault has its JWT method (default: jwt)"},
	{Flag: "oidc-audience", Kind: String, Arg: "AUDIENCE", Group: GroupKeyless,
		Usage: "whom GitHub is to make the token for (default: what each cloud's own action asks for)"},
	{Flag: "oidc-token-env", Kind: List, Arg: "[aws=|gcp=|vault=]NAME", Group: GroupKeyless,
		Usage: "variable that holds the token, as id_tokens of GitLab make them"},
}

// inputs are the forms in which a CI hands secrets over. Values come by the
// environment alone: every process of a machine can read arguments.
var inputs = []Option{
	{Flag: "secret-env", Kind: List, Arg: "ID=NAME", Group: GroupSecrets,
		Usage: "secret that is the value of an environment variable (secret-envs of docker/build-push-action)"},
	{Flag: "secret-file", Kind: List, Arg: "ID=FILE", Group: GroupSecrets,
		Usage: "secret that is the content of a file (secret-files of docker/build-push-action)"},
	{Flag: "secret-values", Kind: List, Arg: "ID=VALUE", Group: GroupSecrets, EnvOnly: true,
		Usage: "secrets by value, one a line; one of several lines stands in double quotes, as in the input secrets of docker/build-push-action"},
	{Flag: "github-token", Kind: String, Arg: "TOKEN", Group: GroupSecrets, EnvOnly: true,
		Usage: "token for contexts that are fetched from GitHub: the secret GIT_AUTH_TOKEN, where no other is given"},
}

// dockerfile is the part that says which Dockerfile is meant, and what the check
// of it lets pass.
var dockerfile = []Option{
	{Flag: "optional-secret", Kind: List, Arg: "ID", Group: GroupSecrets,
		Usage: "secret that a step mounts and that may be missing or empty"},
	{Flag: "file", Short: "f", Kind: String, Arg: "FILE", Group: GroupBuild, Usage: "Dockerfile (default CONTEXT/Dockerfile); - is standard input"},
	{Flag: "target", Kind: String, Arg: "STAGE", Group: GroupBuild, Usage: "stage to build"},
	{Flag: "build-arg", Kind: List, Arg: "NAME[=VALUE]", Group: GroupBuild, Usage: "build argument; without a value it is taken from the environment"},
}

var platform = Option{Flag: "platform", Kind: List, Arg: "OS/ARCH", Group: GroupBuild, Usage: "platform to build for, such as linux/arm64; several are one index (default: DOCKER_DEFAULT_PLATFORM, or the builder's own)"}

var contexts = Option{Flag: "build-context", Kind: List, Arg: "NAME=WHERE", Group: GroupBuild,
	Usage: "another context, or another image for a base: a folder, oci-layout://DIR[:TAG], docker-image://REF, target:STAGE, or a git or https address"}

// compose is the part that says where the options of several images are.
var compose = []Option{
	{Flag: "compose", Kind: List, Arg: "FILE", Group: GroupBuild, Usage: "Compose file to take contexts, options and secrets from; several are merged, as with docker compose -f"},
	{Flag: "service", Kind: List, Arg: "NAME", Group: GroupBuild, Usage: "service of the Compose file to build (default: all that have a build)"},
}

// scan is the part that says what a scan looks for and what blocks.
var scan = []Option{
	{Flag: "fail-on", Kind: String, Default: "error", Arg: "known-value|error|warning", Group: GroupScan,
		Usage: "what blocks: only the values of the given secrets, patterns and mistakes that are sure too, or everything that is found"},
	{Flag: "baseline", Kind: String, Arg: "FILE", Group: GroupScan,
		Usage: "findings of patterns that were looked at and accepted, with a reason and an expiry date; a value of a given secret cannot be accepted"},
	{Flag: "no-patterns", Kind: Bool, Group: GroupScan, Usage: "look for the values of the given secrets only"},
	{Flag: "all-patterns", Kind: Bool, Group: GroupScan, Usage: "look for whatever looks like a key too, which is mostly wrong"},
	{Flag: "no-nested", Kind: Bool, Group: GroupScan, Usage: "leave archives inside layers packed"},
	{Flag: "allow-unread", Kind: List, Arg: "PATH", Group: GroupScan,
		Usage: "file in a layer that may unpack to more than the budget without blocking, such as app/**/*.zip"},
}

// rescan belongs to build: scan itself remembers nothing.
var rescan = Option{Flag: "rescan", Kind: Bool, Group: GroupScan, Usage: "scan every blob, also those that were clean before by the same values and rules"}

// engine is the part that says which BuildKit to use.
var engine = []Option{
	{Flag: "builder", Kind: List, Arg: "[PLATFORM=]NAME|ADDRESS", Group: GroupEngine,
		Usage: "BuildKit daemon, such as tcp://host:1234, or the name of a builder of buildx; given once for each platform, such as linux/arm64=tcp://host:1234, the results are one index (default: BUILDKIT_HOST, the builder that buildx uses, a daemon on its usual socket, or a private one)"},
	{Flag: "builder-tls", Kind: String, Arg: "DIR", Group: GroupEngine,
		Usage: "folder with ca.pem, cert.pem and key.pem for builders at tcp://"},
	{Flag: "cache-dir", Kind: String, Arg: "DIR", Group: GroupEngine, Usage: "where the private daemon keeps its cache, and images are unpacked (default: secure-build in the user's cache folder)"},
}

// Build is the table of "secure-build build".
var Build = slices.Concat(secrets, inputs, keyless, dockerfile, scan, []Option{rescan}, []Option{
	{Flag: "context", Kind: String, Arg: "CONTEXT", Group: GroupBuild, EnvOnly: true, Usage: "the build context where the argument is left out"},
	contexts,
	compose[0], compose[1],
	{Flag: "tag", Short: "t", Kind: List, Arg: "REF", Group: GroupBuild, Usage: "name of the image, such as registry.example.com/team/app:1.2"},
	{Flag: "label", Kind: List, Arg: "NAME=VALUE", Group: GroupBuild, Usage: "label of the image"},
	platform,
	{Flag: "no-cache", Kind: Bool, Group: GroupBuild, Usage: "run every step again"},
	{Flag: "no-cache-filter", Kind: List, Arg: "STAGE", Group: GroupBuild, Usage: "run every step of a stage again"},
	{Flag: "pull", Kind: Bool, Group: GroupBuild, Usage: "ask the registry for newer base images"},
	{Flag: "annotation", Kind: List, Arg: "[TYPE:]NAME=VALUE", Group: GroupBuild, Usage: "annotation of the image; TYPE is manifest (default), index, manifest-descriptor or index-descriptor, with [PLATFORM]"},
	{Flag: "ssh", Kind: List, Arg: "default|ID[=SOCKET|KEY[,KEY]]", Group: GroupBuild, Usage: "SSH agent or keys for RUN --mount=type=ssh and git contexts; they stay here"},
	{Flag: "network", Kind: String, Default: "default", Arg: "default|none|host", Group: GroupBuild, Usage: "network of RUN"},
	{Flag: "add-host", Kind: List, Arg: "NAME:IP", Group: GroupBuild, Usage: "line of /etc/hosts for RUN"},
	{Flag: "shm-size", Kind: String, Arg: "SIZE", Group: GroupBuild, Usage: "size of /dev/shm for RUN, such as 128m"},
	{Flag: "ulimit", Kind: List, Arg: "NAME=SOFT[:HARD]", Group: GroupBuild, Usage: "limit for RUN, such as nofile=1024:2048"},
	{Flag: "resource", Kind: List, Arg: "NAME=VALUE", Group: GroupBuild, Usage: "limit of the control group of RUN: memory, memory-swap, cpu-shares, cpu-period, cpu-quota, cpuset-cpus or cpuset-mems, such as memory=2g"},
	{Flag: "cgroup-parent", Kind: String, Arg: "NAME", Group: GroupBuild, Usage: "control group above those of RUN"},
	{Flag: "allow", Kind: List, Arg: "ENTITLEMENT", Group: GroupBuild, Usage: "what RUN may have beyond the usual: network.host, security.insecure, device"},
	{Flag: "attest", Kind: List, Arg: "type=sbom|provenance[,NAME=VALUE]", Group: GroupBuild, Usage: "attestation to add to the image"},
	{Flag: "provenance", Kind: String, Arg: "true|false|mode=min|mode=max", Group: GroupBuild, Usage: "how the image was built, as an attestation (default: mode=min, as buildx has it; BUILDX_NO_DEFAULT_ATTESTATIONS leaves it out)"},
	{Flag: "sbom", Kind: String, Arg: "true|false|generator=REF", Group: GroupBuild, Usage: "what is in the image, as an attestation"},
	{Flag: "call", Kind: String, Default: "build", Arg: "METHOD[,format=json][,ignorestatus=true]", Group: GroupBuild, Usage: "what to do with the Dockerfile: build, check, outline or targets; all but build need no key and build nothing"},
	{Flag: "check", Kind: Bool, Group: GroupBuild, Usage: "short for --call check"},
	{Flag: "compression", Kind: String, Arg: "gzip|zstd|estargz|uncompressed", Group: GroupBuild, Usage: "how the layers that this build makes are packed, as the attribute of outputs (default: gzip, which everything reads; zstd is several times faster, and unknown to Docker before 23)"},
	{Flag: "compression-level", Kind: String, Arg: "N", Group: GroupBuild, Usage: "0 to 9 for gzip and estargz, 0 to 22 for zstd (default: the method's own)"},
	{Flag: "force-compression", Kind: Bool, Group: GroupBuild, Usage: "pack layers again that are packed in another way, such as those of base images"},
	{Flag: "cache-from", Kind: List, Arg: "REF|type=TYPE[,…]", Group: GroupBuild, Usage: "cache to read from, as in docker buildx build: registry, local, gha, s3 or azblob; one that is not there is a warning, except with gha, s3 and azblob, where BuildKit takes it for an empty one"},
	{Flag: "cache-to", Kind: List, Arg: "REF|type=TYPE[,…]", Group: GroupBuild, Usage: "cache to write to, as in docker buildx build: inline, registry, local, gha, s3 or azblob; it is scanned by itself, and written only if it is clean"},
	{Flag: "no-rotation", Kind: Bool, Group: GroupBuild, Usage: "let a step that mounts a secret stay in the cache when the secret has changed, as docker buildx build does"},
	{Flag: "keep-leak", Kind: Bool, Group: GroupBuild, Usage: "after a leak, leave the daemon's cache records of this build, to look into the steps; our copy of the image goes all the same"},

	{Flag: "push", Kind: Bool, Group: GroupPush, Usage: "push to every tag after a clean scan, exactly what was scanned"},
	{Flag: "registry", Kind: String, Arg: "HOST", Group: GroupPush, Usage: "registry that the login is for (default: that of every tag); base images are pulled from it with the same login"},
	{Flag: "registry-username", Kind: String, Arg: "NAME", Group: GroupPush, Usage: "login for the registry (default: Docker's credential files)"},
	{Flag: "registry-password-env", Kind: String, Arg: "NAME", Group: GroupPush, Usage: "environment variable that holds the registry's password; a login without name and password is none"},
	{Flag: "registry-password-stdin", Kind: Bool, Group: GroupPush, Usage: "read the registry's password from standard input"},

	{Flag: "output", Short: "o", Kind: List, Arg: "type=TYPE[,dest=FILE][,NAME=VALUE]", Group: GroupOutput,
		Usage: "what to write after a clean scan: registry (as --push), oci, docker, local or tar; oci and tar without dest go to standard output, docker without dest into Docker"},
	{Flag: "load", Kind: Bool, Group: GroupOutput, Usage: "load the image into Docker after a clean scan"},
	{Flag: "quiet", Short: "q", Kind: Bool, Group: GroupOutput, Usage: "print the id of the image if it is clean, and nothing else; warnings and errors go to standard error"},
	{Flag: "progress", Kind: String, Default: "auto", Arg: "auto|plain|tty|rawjson|none|quiet", Group: GroupOutput, Usage: "how to show the build; quiet is --quiet, none leaves our own words"},
	{Flag: "metadata-file", Kind: String, Arg: "FILE", Group: GroupOutput, Usage: "write the build's metadata as JSON, with the keys of buildx"},
	{Flag: "iidfile", Kind: String, Arg: "FILE", Group: GroupOutput, Usage: "write the image's id; what an earlier run has written there is removed first"},
	{Flag: "report-dir", Kind: String, Arg: "DIR", Group: GroupOutput, Usage: "write the reports there: findings.json, SARIF, GitLab's two, summary.md, report.html, receipt.json"},
	{Flag: "dotenv", Kind: String, Arg: "FILE", Group: GroupOutput, Usage: "on GitLab, write what came out there as a dotenv report: SECURE_BUILD_DIGEST and others"},
}, engine)

// Exec is the table of "secure-build exec".
var Exec = slices.Concat(secrets, keyless, []Option{
	{Flag: "env", Kind: List, Arg: "ID=NAME", Group: GroupSecrets,
		Usage: "give the command the secret ID in the environment variable NAME too"},
	{Flag: "plain-files", Kind: Bool, Group: GroupSecrets,
		Usage: "regular files on a tmpfs instead of links to anonymous memory, for a command that bind-mounts or resolves them"},
})

// Check is the table of "secure-build check".
var Check = slices.Concat(secrets[:3:3], inputs[:3:3], dockerfile, []Option{
	contexts,
	compose[0], compose[1],
	platform,
	scan[0],
	{Flag: "json", Kind: Bool, Group: GroupOutput, Usage: "print JSON"},
})

// Scan is the table of "secure-build scan".
var Scan = slices.Concat(secrets[:4:4], keyless, scan, []Option{
	{Flag: "report-dir", Kind: String, Arg: "DIR", Group: GroupOutput, Usage: "write the reports there: findings.json, SARIF, GitLab's two, summary.md, report.html, receipt.json"},
	engine[2],
})

// Doctor is the table of "secure-build doctor".
var Doctor = []Option{
	{Flag: "json", Kind: Bool, Group: GroupOutput, Usage: "print JSON"},
	engine[0], engine[1], engine[2],
	{Flag: "tag", Short: "t", Kind: List, Arg: "REF", Group: GroupPush, Usage: "image whose registry's login is to be looked at"},
}

// Pairs reads NAME=VALUE items. A NAME alone is looked up in the environment
// when lookup is given, and left out if it is not set, as docker build does.
func Pairs(what string, items []string, lookup func(string) (string, bool)) (map[string]string, error) {
	pairs := map[string]string{}
	for _, item := range items {
		name, value, ok := strings.Cut(item, "=")
		if name == "" || !ok && lookup == nil {
			return nil, fmt.Errorf("reading --%s %q: want NAME=VALUE", what, item)
		}
		if !ok {
			if value, ok = lookup(name); !ok {
				continue
			}
		}
		pairs[name] = value
	}
	return pairs, nil
}
