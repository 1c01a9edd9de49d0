package index

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// fakeKey looks like a key in PEM.
func fakeKey(seed uint64) string {
	r := rand.New(rand.NewPCG(seed, seed))
	var b strings.Builder
	b.WriteString("-----BEGIN RSA PRIVATE KEY-----\n")
	for i := range 12 {
		l := randomToken(r, 64)
		if i == 0 {
			copy(l, "MIIEpAIBAAKCAQEA")
		}
		fmt.Fprintf(&b, "%s\n", l)
	}
	b.WriteString("-----END RSA PRIVATE KEY-----\n")
	return b.String()
}

func TestWhatIsPublicIsNoPattern(t *testing.T) {
	key, serviceAccount, kubeconfig := fakeKey(1), `{
  "type": "service_account",
  "project_id": "my-project-123456",
  "private_key_id": "0f3c9a7be1d24856",
  "auth_uri": "https://accounts.google.com/o/oauth2/auth",
  "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs"
}`, `apiVersion: v1
kind: Config
current-context: default
preferences: {}
users:
- name: admin
  user:
    token: k9Xw2mQ4vB7zL1pR9tW3
`
	npmrc := "registry=https://npm.example.com/\nalways-auth=true\n//npm.example.com/:_authToken=npm_k9Xw2mQ4vB7zL1pR\n"
	dsn := "postgres://app:k9Xw2mQ4vB@db.internal.example.com:5432/app?sslmode=require"
	jwt := "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
	openssh := "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\nQyNTUxOQAAACBJx7Qw2mK9pRtV5sLzX1cYb8nG4hUdE3fA6jWoZkMvTyI0PgAAAJhN8k2x\n-----END OPENSSH PRIVATE KEY-----"
	maven := "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<settings xmlns=\"http://maven.apache.org/SETTINGS/1.0.0\">\n<password>hunter2hunter2</password>\n</settings>"
	docker := `{"auths":{"https://index.docker.io/v1/":{"auth":"` + base64.StdEncoding.EncodeToString([]byte("deploy:p4ss-of-docker")) + `"}}}`
	x := compile(t, key, serviceAccount, kubeconfig, npmrc, dsn, jwt, openssh, maven, docker)
	for _, text := range []string{
		"-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA", "-----END RSA PRIVATE KEY-----",
		base64.StdEncoding.EncodeToString([]byte("-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA")),
		"\"type\": \"service_account\",\n\"project_id\": \"my-project-123456\",", "https://accounts.google.com/o/oauth2/auth",
		`"auth_uri": "https://accounts.google.com/o/oauth2/auth",`, `"auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs"`,
		"apiVersion: v1\nkind: Config\ncurrent-context: default\npreferences: {}\nusers:\n- name: admin",
		"registry=https://npm.example.com/\nalways-auth=true",
		"postgres://app:other@db.internal.example.com:5432/app?sslmode=require",
		"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.",
		"b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW",
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<settings xmlns=\"http://maven.apache.org/SETTINGS/1.0.0\">",
	} {
		if got := found(x, text, Text); len(got) > 0 {
			t.Errorf("%q: a false alarm: %v", text, got)
		}
	}
	for _, text := range []string{
		strings.Split(key, "\n")[1], strings.Split(key, "\n")[5], "npm_k9Xw2mQ4vB7zL1pR", "k9Xw2mQ4vB7zL1pR9tW3", "0f3c9a7be1d24856",
		"psql: password k9Xw2mQ4vB is wrong", "dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U", "<password>hunter2hunter2</password>",
		"docker login -u deploy -p p4ss-of-docker", base64.StdEncoding.EncodeToString([]byte("deploy:p4ss-of-docker")),
	} {
		if got := found(x, text, Text); len(got) == 0 {
			t.Errorf("%q: not found", text)
		}
	}
}

// TestTheEndOfArmourIsNoPattern is about keys of one length, which end alike in
// base64.
func TestTheEndOfArmourIsNoPattern(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	armoured := func(size int) string {
		der := make([]byte, size)
		for i := range der {
			der[i] = byte(r.Uint32())
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	for size := 300; size < 350; size++ {
		x := compile(t, armoured(size))
		if got := found(x, base64.StdEncoding.EncodeToString([]byte(armoured(size))), Text); len(got) > 0 {
			t.Errorf("of a key of %d bytes, another one has %v", size, got)
		}
	}
}

func TestPartsOfLongValues(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	token, key := string(randomToken(r, 120)), fakeKey(2)
	x := compile(t, token, key)
	cases := map[string]string{
		"prefix of 16": token[:16],
		"suffix of 16": token[len(token)-16:],
		"middle":       token[20:83],
	}
	for shift := range 3 {
		for _, width := range []int{64, 76} {
			coded := base64.StdEncoding.EncodeToString([]byte("{\"k"[:shift] + key))
			for i := 2 * width; i+width <= len(coded)-width; i += width {
				cases[fmt.Sprintf("shift %d, row of %d at %d", shift, width, i)] = coded[i : i+width]
			}
		}
	}
	for name, text := range cases {
		line := "| " + text + " |"
		if got := found(x, line, Log); len(got) == 0 {
			t.Errorf("%s: not found", name)
		}
		if strings.Contains(name, "row") && !covered(x, line, 2, len(text)) {
			t.Errorf("%s: not covered to both ends", name)
		}
	}
}

func TestLongValuesAreCutIntoPieces(t *testing.T) {
	words := strings.Repeat("all work and no play makes jack a dull boy ", 60)
	x := compile(t, words)
	if x.MaxLen() != MaxPattern {
		t.Errorf("MaxLen: got %d, want %d", x.MaxLen(), MaxPattern)
	}
	text := "xx" + strings.TrimSpace(words) + "yy"
	if !covered(x, text, 2, len(text)-4) {
		t.Error("the pieces do not cover the value")
	}
}

func TestJoinedLines(t *testing.T) {
	key := fakeKey(3)
	x := compile(t, key)
	body := strings.Join(strings.Split(strings.TrimSpace(key), "\n")[1:13], "")
	for name, text := range map[string]string{
		"escaped": strings.ReplaceAll(key, "\n", `\n`), "joined": strings.ReplaceAll(key, "\n", ""),
		"crlf": strings.ReplaceAll(key, "\n", "\r\n"), "spaces": strings.ReplaceAll(key, "\n", " "), "body": body,
	} {
		if got := found(x, text, Blob); !slices.Contains(got, "joined") && !slices.Contains(got, "json") {
			t.Errorf("%s: got %v", name, got)
		}
	}
	if x.Joint() {
		t.Error("a key with telling lines is joint")
	}
	if !compile(t, "abc\ndef\nghi").Joint() {
		t.Error("a value whose lines cannot be looked for alone is not joint")
	}
}
