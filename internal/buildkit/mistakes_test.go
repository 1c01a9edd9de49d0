package buildkit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/org/secure-build/internal/finding"
)

// Keys of vendors' shapes, put together here so that no scanner of sources
// takes them for leaked ones.
var (
	githubToken = "ghp" + "_" + strings.Repeat("aB3dE6gH9", 4)
	awsKey      = "AKIA" + "QWERTYUIOPASDFGH"
	privateKey  = "-----BEGIN OPENSSH " + "PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAE\n-----END OPENSSH PRIVATE KEY-----\n"
	ageKey      = "AGE-SECRET-" + "KEY-1" + strings.Repeat("QP", 29)
)

const stage = "FROM scratch\n"

func TestMistakes(t *testing.T) {
	tests := []struct {
		name, dockerfile string
		args             map[string]string
		want             string // as in TestContract
	}{
		{"ENV", stage + "ENV NPM_TOKEN=abc123def\n", nil, "warning secret-in-env 2 ENV NPM_TOKEN"},
		{"ENV in camel case", stage + "ENV dbPassword=hunter22\n", nil, "warning secret-in-env 2 ENV dbPassword"},
		{"ENV of several", stage + "ENV A=1 \\\n  API_KEY=abc123def \\\n  B=2\n", nil, "warning secret-in-env 2 ENV API_KEY"},
		{"ENV from an ARG", stage + "ARG NPM_TOKEN\nENV NPM_TOKEN=$NPM_TOKEN\n", nil, "warning secret-in-arg 2; warning secret-in-env 3 ENV NPM_TOKEN, like the secret \"npm_token\": what the build is given"},
		{"ENV with a vendor's key", stage + "ENV GREETING=" + githubToken + "\n", nil, "error secret-in-env 2 ENV GREETING has a key"},
		{"ENV with a URL", stage + "ENV DATABASE=postgres://app:hunter22@db/app\n", nil, "warning secret-in-env 2 ENV DATABASE has a URL with a password"},
		{"ENV of a stage that is not reached", "FROM scratch AS a\nENV NPM_TOKEN=abc123def\nFROM scratch\nCOPY Dockerfile /\n", nil, "warning SecretsUsedInArgOrEnv 2"},
		{"ENV of a stage that is copied from", "FROM scratch AS a\nENV NPM_TOKEN=abc123def\nFROM scratch\nCOPY --from=a /x /\n", nil, "warning secret-in-env 2"},
		{"ENV in ONBUILD", stage + "ONBUILD ENV NPM_TOKEN=abc123def\n", nil, "warning secret-in-env 2"},

		{"no secret: KEYBOARD", stage + "ENV KEYBOARD=qwerty KEYMAP=de TOKENIZER=bpe PASSENGER_COUNT=4\n", nil, ""},
		{"no secret: a path", stage + "ENV NPM_TOKEN_FILE=/run/secrets/npm_token DB_PASSWORD=/run/secrets/db\n", nil, "warning SecretsUsedInArgOrEnv 2"},
		{"no secret: switches", stage + "ENV MAX_TOKENS=4096 TOKEN_TTL=3600 PASSWORD_MIN_LENGTH=12\n", nil, "warning SecretsUsedInArgOrEnv 2; warning SecretsUsedInArgOrEnv 2"},
		{"no secret: a public key", stage + "ENV RELEASE_PUBLIC_KEY=RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3\n", nil, ""},
		{"no secret: ARG for a file", stage + "ARG NPM_TOKEN_FILE\nARG SECRET_NAME=x\n", nil, "warning SecretsUsedInArgOrEnv 3"},
		{"no secret: PWD", stage + "ENV PWD=/app OLDPWD=/ PASS=2\n", nil, ""},
		{"no secret: AWS's own example", stage + "ENV ID=AKIAIOSFODNN7EXAMPLE\n", nil, ""},
		{"no secret: the head of a key", stage + "RUN grep -q -e '" + strings.SplitAfter(privateKey, "\n")[0][:35] + "' /x\n", nil, ""},
		{"no secret: Rails' stand-in", stage + "RUN SECRET_KEY_BASE=dummy rails assets:precompile\n", nil, ""},

		{"ARG", stage + "ARG NPM_TOKEN\n", nil, "warning secret-in-arg 2 ARG NPM_TOKEN"},
		{"ARG above FROM", "ARG NPM_TOKEN\nFROM scratch\nCOPY Dockerfile /\n", nil, "warning secret-in-arg 1 ARG NPM_TOKEN"},
		{"ARG with a default", stage + "ARG DB_PASS=hunter22\n", nil, "warning secret-in-arg 2"},
		{"ARG with a vendor's key", stage + "ARG X=" + awsKey + "\n", nil, "error secret-in-arg 2 ARG X has a key"},
		{"no secret: ARG", stage + "ARG VERSION=1.2.3 KEYS_URL=https://example.com/keys\n", nil, ""},

		{"a key as build argument", stage + "ARG X\n", map[string]string{"X": githubToken}, "error secret-build-arg 2 the build argument X has a key"},
		{"a secret's id as build argument", stage + "ARG given\n", map[string]string{"given": "x"}, `error secret-build-arg 2 the secret "given" is passed as a build argument too; warning secret-in-arg 2`},
		{"an empty build argument", stage + "ARG given\n", map[string]string{"given": ""}, "warning secret-in-arg 2"},

		{"ARG with a secret's id", stage + "ARG db_url\n", nil, `warning secret-in-arg 2 ARG db_url, like the secret "db_url": a build argument is not secret`},
		{"ARG with a secret's id in capitals", stage + "ARG DB_URL=postgres-abc-def\n", nil, `warning secret-in-arg 2 ARG DB_URL, like the secret "db_url"`},
		{"ENV with a secret's id in capitals", stage + "ENV DB_URL=postgres-abc-def\n", nil, `warning secret-in-env 2 ENV DB_URL, like the secret "db_url": its value stays`},
		{"ENV with a secret's id in camel case", stage + "ENV dbUrl=$X\n", nil, `warning UndefinedVar 2; warning secret-in-env 2 ENV dbUrl, like the secret "db_url": what the build is given`},
		{"a secret's id in capitals as build argument", stage + "ARG NPM_TOKEN\n", map[string]string{"NPM_TOKEN": "abcdefgh"}, `error secret-build-arg 2 the secret "npm_token" is passed as the build argument NPM_TOKEN too; warning secret-in-arg 2 ARG NPM_TOKEN, like the secret "npm_token"`},
		{"a secret's id with dashes as build argument", stage + "ARG DB-URL\n", map[string]string{"DB-URL": "postgres-abc"}, `warning secret-build-arg 2 the build argument DB-URL is named like the secret "db_url"; warning secret-in-arg 2`},
		{"no secret: a number by a secret's name", stage + "ARG DB_URL=80\nENV DB_URL=80\n", map[string]string{"DB_URL": "80"}, ""},
		{"no secret: the file of a secret", stage + "ARG DB_URL_FILE=x\nENV DB_URL_FILE=x\n", map[string]string{"DB_URL_FILE": "x"}, ""},

		{"LABEL", stage + "LABEL a=" + githubToken + "\n", nil, "error secret-in-label 2 LABEL has a key"},
		{"CMD", stage + "CMD [\"app\", \"--db\", \"postgres://app:hunter22@db/app\"]\n", nil, "warning password-in-url 2 CMD has a URL"},
		{"RUN with a key", stage + "RUN curl -H 'Authorization: Bearer " + githubToken + "' https://example.com\n", nil, "error secret-in-run 2 RUN has a key"},
		{"heredoc with a key", stage + "COPY <<EOF /root/.ssh/id\n" + privateKey + "EOF\n", nil, "error copied-secret 2 COPY has a key"},

		{"ADD from a URL", stage + "ADD https://user:hunter22@example.com/x.tar /\n", nil, "error password-in-url 2 ADD from a URL with a password in it, which stays"},
		{"ADD from a URL with an ARG", stage + "ARG CREDS\nADD https://user:${CREDS}@example.com/x.tar /\n", nil, "error password-in-url 3 ADD from a URL with a password in it, which comes from"},
		{"a password with @ and :", stage + "ADD https://user:hunter22@x:y@example.com/x /\n", nil, "error password-in-url 2 ADD from a URL with a password in it, which stays in the image's history (example.com)"},
		{"ADD from git", stage + "ADD https://user:hunter22@example.com/x.git#main /src\n", nil, "error password-in-url 2"},
		{"RUN with a URL", stage + "RUN pip install -i https://user:hunter22@pypi.example.com/simple x\n", nil, "error password-in-url 2 RUN has a URL"},
		{"git clone with a mounted secret", stage + "RUN --mount=type=secret,id=given,env=T git clone https://x:$T@example.com/x.git\n", nil, "warning password-in-url 2 git keeps the URL"},
		{"no secret: URLs", stage + "ADD https://example.com/x:y@z.tar /\nRUN curl http://test:test@localhost:80/ https://user@example.com/ git@github.com:a/b\n", nil, ""},
		{"no secret: a stand-in", stage + "RUN echo mysql://<user>:<password>@host/ https://user:password@host/\n", nil, ""},
		{"curl with a mounted secret", stage + "RUN --mount=type=secret,id=given,env=T curl https://x:$T@example.com/x\n", nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := folderOf(t, map[string]string{"Dockerfile": tt.dockerfile})
			checked, err := Check(t.Context(), Request{Context: dir, BuildArgs: tt.args}, Given{IDs: []string{"given", "db_url", "npm_token"}})
			if err != nil {
				t.Fatal(err)
			}
			wantProblems(t, without(checked.Problems, RuleUnused), tt.want)
		})
	}
}

func without(problems []finding.Problem, rules ...string) []finding.Problem {
	var rest []finding.Problem
	for _, p := range problems {
		if !strings.Contains(strings.Join(rules, " "), p.Rule) {
			rest = append(rest, p)
		}
	}
	return rest
}

func TestPrintedAndKept(t *testing.T) {
	const mount = "RUN --mount=type=secret,id=file --mount=type=secret,id=var,env=TOKEN "
	tests := []struct{ name, command, want string }{
		{"echo", "echo $TOKEN", `warning printed-secret 2 echo prints the secret "var"`},
		{"echo in quotes", `echo "it is ${TOKEN}!"`, "warning printed-secret 2 echo"},
		{"echo of the file", `echo "it is $(cat /run/secrets/file)"`, `warning printed-secret 2 echo prints the secret "file"`},
		{"echo of the file, read by the shell", `echo $(</run/secrets/file)`, "warning printed-secret 2 echo"},
		{"printf", `printf '%s\n' "$TOKEN" >&2`, "warning printed-secret 2 printf"},
		{"cat", "cat /run/secrets/file", "warning printed-secret 2 cat"},
		{"cat of all", "cat /run/secrets/*", "warning printed-secret 2 cat"},
		{"cat by redirect", "cat </run/secrets/file", "warning printed-secret 2 cat"},
		{"exec form", `["cat", "/run/secrets/file"]`, "warning printed-secret 2 cat"},
		{"base64", "cat /run/secrets/file | base64", "warning printed-secret 2 base64"},
		{"through tee", "cat /run/secrets/file | tee /app/x", "warning kept-secret 2; warning printed-secret 2 tee"},
		{"after others", "apk add x && cat /run/secrets/file && true", "warning printed-secret 2 cat"},
		{"in a condition", "if true; then cat /run/secrets/file; fi", "warning printed-secret 2 cat"},
		{"in a function", "f() { echo $TOKEN; }; f", "warning printed-secret 2 echo"},
		{"printenv", "printenv", "warning printed-secret 2 printenv"},
		{"printenv of it", "printenv TOKEN", "warning printed-secret 2 printenv"},
		{"env", "env", "warning printed-secret 2 env"},
		{"env in a pipe", "env | sort", "warning printed-secret 2 sort"},
		{"export -p", "export -p", "warning printed-secret 2 export"},
		{"set -x", "set -ex; npm config set //registry/:_authToken=$TOKEN", "warning printed-secret 2 set -x"},
		{"a variable of the shell", "T=$(cat /run/secrets/file) && echo \"got $T\"", `warning printed-secret 2 echo prints the secret "file"`},
		{"an exported variable", "export T=\"$(cat /run/secrets/file)\"; printenv T", `warning printed-secret 2 printenv prints the secret "file"`},
		{"heredoc", "<<EOF\ntrue\ncat /run/secrets/file\nEOF", "warning printed-secret 2 cat"},

		{"kept by cp", "cp /run/secrets/file /root/.npmrc", `warning kept-secret 2 the secret "file" is written to /root/.npmrc`},
		{"kept by a redirect", "echo \"//registry/:_authToken=$TOKEN\" > /root/.npmrc", `warning kept-secret 2 the secret "var" is written to /root/.npmrc`},
		{"kept by cat", "cat /run/secrets/file >> /app/config", "warning kept-secret 2"},

		{"no print: login", "cat /run/secrets/file | npm login", ""},
		{"no print: docker login", "cat /run/secrets/file | docker login -u x --password-stdin", ""},
		{"no print: a digest", "cat /run/secrets/file | sha256sum", ""},
		{"no print: a count", "wc -c < /run/secrets/file", ""},
		{"no print: into nothing", "cat /run/secrets/file >/dev/null", ""},
		{"no print: a test", "test -s /run/secrets/file && grep -q token /run/secrets/file && [ -n \"$TOKEN\" ]", ""},
		{"no print: an argument", "npm config set _authToken $TOKEN && curl -H \"Authorization: $(cat /run/secrets/file)\" https://example.com", ""},
		{"no print: a variable of the shell", "export NPM_TOKEN=$(cat /run/secrets/file) && npm ci", ""},
		{"no print: its length", "echo ${#TOKEN}", ""},
		{"no print: whether it is there", "echo ${TOKEN:+yes}", ""},
		{"no print: its name", "echo '$TOKEN' /run/secrets/file", ""},
		{"no print: a variable of another name", "echo $TOKENS", ""},
		{"no print: env of a command", "env A=b npm ci", ""},
		{"no print: printenv of another", "printenv HOME", ""},
		{"no print: set -e", "set -eu; npm ci", ""},
		{"no print: set -x without it", "set -x; npm ci", ""},
		{"no print: set +x before", "set -x; apk add x; set +x; npm login $TOKEN", ""},
		{"no print: a variable of the shell that is not exported", "T=$(cat /run/secrets/file); printenv T", ""},
		{"not kept: removed", "cp /run/secrets/file /root/.npmrc && npm ci && rm -f /root/.npmrc", ""},
		{"not kept: a copy of something else", "cp /etc/hosts /root/", ""},
		{"no shell", "<<EOF\n#!/usr/bin/env python3\nprint(open('/run/secrets/file').read())\nEOF", ""},
		{"not a script", "echo ((((", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := folderOf(t, map[string]string{"Dockerfile": stage + mount + tt.command + "\n"})
			checked, err := Check(t.Context(), Request{Context: dir}, Given{IDs: []string{"file", "var"}})
			if err != nil {
				t.Fatal(err)
			}
			wantProblems(t, checked.Problems, tt.want)
		})
	}
}

func TestKeptOnlyInTheImage(t *testing.T) {
	const dockerfile = stage + `RUN --mount=type=secret,id=a --mount=type=tmpfs,target=/tmp --mount=type=cache,target=/root/.cache/ \
  cp /run/secrets/a /tmp/x && cp /run/secrets/a /root/.cache/x
SHELL ["/bin/bash", "-xc"]
RUN --mount=type=secret,id=a,target=/root/.npmrc npm ci
SHELL ["pwsh", "-Command"]
RUN --mount=type=secret,id=a cat /run/secrets/a
`
	checked, err := Check(t.Context(), Request{Context: folderOf(t, map[string]string{"Dockerfile": dockerfile})}, Given{IDs: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	wantProblems(t, checked.Problems, "warning printed-secret 5 set -x")
}

func TestCopiedFiles(t *testing.T) {
	const env = "PORT=80\nDB_PASSWORD=hunter22\n"
	tests := []struct {
		name, dockerfile string
		files            map[string]string
		want             string
	}{
		{"a key by name", stage + "COPY id_rsa /root/.ssh/\n", map[string]string{"id_rsa": privateKey}, "error copied-secret 2 id_rsa, which has a private key, is copied into the image"},
		{"a key by ADD", stage + "ADD a/server.key /etc/\n", map[string]string{"a/server.key": privateKey}, "error copied-secret 2 a/server.key"},
		{"a key with everything", stage + "COPY . /app\n", map[string]string{"a/id_ed25519": privateKey}, "warning copied-secret 2 a/id_ed25519"},
		{"a key by a pattern", stage + "COPY *.pem /app/\n", map[string]string{"x.pem": privateKey}, "warning copied-secret 2 x.pem"},
		{"a key into an earlier stage", "FROM scratch AS a\nCOPY id_rsa /\nFROM scratch\nCOPY --from=a /x /\n", map[string]string{"id_rsa": privateKey}, "warning copied-secret 2 id_rsa, which has a private key, is copied into a layer of an earlier stage"},
		{"a key into a stage that is built on", "FROM scratch AS a\nCOPY id_rsa /\nFROM a\nWORKDIR /\n", map[string]string{"id_rsa": privateKey}, "error copied-secret 2 id_rsa"},
		{"a key by an ARG", stage + "ARG F=id_rsa\nCOPY $F /\n", map[string]string{"id_rsa": privateKey}, "error copied-secret 3 id_rsa"},
		{"an age key", stage + "COPY keys.txt /\n", map[string]string{"keys.txt": "# public key: age1x\n" + ageKey + "\n"}, "error copied-secret 2 keys.txt, which has a key"},
		{".env by name", stage + "COPY .env /app/\n", map[string]string{".env": env}, "warning copied-secret 2 .env, which has a setting named DB_PASSWORD"},
		{".env with everything", stage + "COPY . .\n", map[string]string{".env": env}, "warning copied-secret 2 .env"},
		{".env of a folder", stage + "COPY app/ /app\n", map[string]string{"app/.env.production": env}, "warning copied-secret 2 app/.env.production"},
		{".npmrc", stage + "COPY .npmrc package.json /app/\n", map[string]string{".npmrc": "//registry.example.com/:_authToken=abcdef123\n", "package.json": "{}"}, "warning copied-secret 2 .npmrc, which has a setting named _authToken"},
		{".netrc", stage + "COPY .netrc /root/\n", map[string]string{".netrc": "machine example.com login me password hunter22\n"}, "warning copied-secret 2 .netrc, which has a password"},
		{"credentials.json", stage + "COPY credentials.json /\n", map[string]string{"credentials.json": "{\n  \"type\": \"x\",\n  \"private_key\": \"" + strings.ReplaceAll(privateKey, "\n", `\n`) + "\"}"}, "error copied-secret 2 credentials.json, which has a private key"},
		{"kubeconfig", stage + "COPY kubeconfig /\n", map[string]string{"kubeconfig": "users:\n- name: me\n  user:\n    client-key-data: LS0tLS1CRUdJTg\n"}, "warning copied-secret 2 kubeconfig"},
		{".docker/config.json", stage + "COPY .docker /root/.docker\n", map[string]string{".docker/config.json": "{\"auths\": {\"x\": {\n\"auth\": \"dXNlcjpodW50ZXIyMg==\"}}}"}, "warning copied-secret 2 .docker/config.json"},
		{".git-credentials", stage + "COPY . /\n", map[string]string{".git-credentials": "https://me:hunter22@example.com\n"}, "warning copied-secret 2 .git-credentials, which has a URL with a password"},
		{"a key store", stage + "COPY release.jks /\n", map[string]string{"release.jks": "\xfe\xed\xfe\xed"}, "warning copied-secret 2 release.jks, which has keys, by its name"},

		{"fine: ignored", stage + "COPY . .\n", map[string]string{".env": env, ".dockerignore": "*.env\n.env\n"}, ""},
		{"fine: ignored everywhere", stage + "COPY . .\n", map[string]string{"a/b/id_rsa": privateKey, ".dockerignore": "**/id_rsa\n"}, ""},
		{"ignored and taken back", stage + "COPY . .\n", map[string]string{".env": env, ".dockerignore": "*\n!.env\n"}, "warning copied-secret 2 .env"},
		{"fine: ignored for this Dockerfile", stage + "COPY . .\n", map[string]string{".env": env, "Dockerfile.dockerignore": ".env\n", ".dockerignore": "x\n"}, ""},
		{"not ignored for this Dockerfile", stage + "COPY . .\n", map[string]string{".env": env, "Dockerfile.dockerignore": "x\n", ".dockerignore": ".env\n"}, "warning copied-secret 2 .env"},
		{"fine: excluded", "# syntax=docker/dockerfile:1\nFROM scratch\nCOPY --exclude=.env . .\n", map[string]string{".env": env}, ""},
		{"fine: another folder", stage + "COPY src /src\n", map[string]string{".env": env, "src/x": ""}, ""},
		{"fine: from a stage", "FROM scratch AS a\nCOPY x /\nFROM scratch\nCOPY --from=a / /\n", map[string]string{".env": env, "x": ""}, ""},
		{"fine: mounted", stage + "RUN --mount=type=bind,source=.env,target=/.env x\n", map[string]string{".env": env}, ""},
		{"fine: encrypted by SOPS", stage + "COPY . .\n", map[string]string{"secrets.yaml": "password: ENC[AES256_GCM,data:x,iv:y,tag:z,type:str]\nsops:\n  mac: x\n", ".env": "DB_PASSWORD=ENC[AES256_GCM,data:x,iv:y,tag:z,type:str]\nsops_version=3\n"}, ""},
		{"fine: encrypted by age", stage + "COPY . .\n", map[string]string{"secrets.env": "age-encryption.org/v1\n-> X25519 x\n"}, ""},
		{"fine: an encrypted key", stage + "COPY id_rsa /\n", map[string]string{"id_rsa": "-----BEGIN ENCRYPTED PRIVATE KEY-----\nx\n"}, ""},
		{"fine: certificates", stage + "COPY . .\n", map[string]string{"ca.pem": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "id_rsa.pub": "ssh-rsa AAAA\n"}, ""},
		{"fine: settings", stage + "COPY . .\n", map[string]string{".env": "PORT=80\nDB_PASSWORD=\nAPI_TOKEN=${API_TOKEN}\nKEY_FILE=/x\n", ".npmrc": "registry=https://registry.example.com/\n//registry.example.com/:_authToken=${NPM_TOKEN}\n"}, ""},
		{"fine: an example", stage + "COPY . .\n", map[string]string{".env.example": env}, ""},
		{"fine: of a package", stage + "COPY . .\n", map[string]string{"node_modules/x/test/server.key": privateKey}, ""},
		{"fine: empty", stage + "COPY . .\n", map[string]string{".env": ""}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.files["Dockerfile"] = tt.dockerfile
			checked, err := Check(t.Context(), Request{Context: folderOf(t, tt.files)}, Given{})
			if err != nil {
				t.Fatal(err)
			}
			wantProblems(t, checked.Problems, tt.want)
			if strings.Contains(said(checked.Problems), "hunter22") {
				t.Errorf("a value is shown:\n%s", said(checked.Problems))
			}
		})
	}
}

// TestCopiedThroughLinks: a link in the context is no file of it, and one that
// leads out is not followed by BuildKit either.
func TestCopiedThroughLinks(t *testing.T) {
	outside := folderOf(t, map[string]string{"id_rsa": privateKey})
	dir := folderOf(t, map[string]string{"Dockerfile": stage + "COPY . .\n"})
	if err := os.Symlink(filepath.Join(outside, "id_rsa"), filepath.Join(dir, "id_rsa")); err != nil {
		t.Fatal(err)
	}
	checked, err := Check(t.Context(), Request{Context: dir}, Given{})
	if err != nil {
		t.Fatal(err)
	}
	wantProblems(t, checked.Problems, "")
}

func TestJudge(t *testing.T) {
	dir := folderOf(t, map[string]string{"Dockerfile": stage + "ARG NPM_TOKEN\nENV A=" + githubToken + "\nRUN --mount=type=secret,id=a x\nFROM scratch as b\nCOPY --from=0 /x /x\n"})
	for _, tt := range []struct {
		on   finding.FailOn
		want string
	}{
		{finding.FailOnError, "warning unused-secret 0; warning secret-in-arg 2; error secret-in-env 3; error missing-secret 4; warning FromAsCasing 5"},
		{finding.FailOnKnown, "warning unused-secret 0; warning secret-in-arg 2; warning secret-in-env 3; error missing-secret 4; warning FromAsCasing 5"},
		{finding.FailOnWarning, "warning unused-secret 0; error secret-in-arg 2; error secret-in-env 3; error missing-secret 4; warning FromAsCasing 5"},
	} {
		checked, err := Check(t.Context(), Request{Context: dir}, Given{IDs: []string{"b"}})
		if err != nil {
			t.Fatal(err)
		}
		Judge(checked.Problems, tt.on)
		wantProblems(t, checked.Problems, tt.want)
	}
}

func TestNamed(t *testing.T) {
	for name, want := range map[string]bool{
		".env": true, "a/b/.ENV": true, "prod.env": true, ".env.local": true, ".env.example": false, "env": false, "id_rsa": true, "id_rsa.pub": false,
		"id_": true, "x_id_rsa": false, "id_files/readme.md": false, "server.pem": true, "pem": false, ".pem": true, ".docker/config.json": true,
		"home/.docker/config.json": true, "x.docker/config.json": false, "config.json": false, "service-account-1.json": true,
		"service-account.jso": false, "secret.yaml": true, "secrets": false,
	} {
		if got := suspicious(name); got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

// BenchmarkSuspicious is for every file of a build context.
func BenchmarkSuspicious(b *testing.B) {
	for b.Loop() {
		suspicious("src/components/header/Header.test.tsx")
	}
}
