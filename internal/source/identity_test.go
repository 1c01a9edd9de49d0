package source

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// An issuer is a CI that signs tokens about its jobs, as GitHub does.
// https://docs.github.com/actions/reference/security/oidc
type issuer struct {
	t      *testing.T
	key    *rsa.PrivateKey
	server *httptest.Server
	mu     sync.Mutex
	asked  []string // the audiences, "" for none
	given  []string // the tokens
}

const requestToken = "request-token-canary"

func newIssuer(t *testing.T) *issuer {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{t: t, key: key}
	i.server = httptest.NewServer(i)
	t.Cleanup(i.server.Close)
	return i
}

func (i *issuer) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	if r.Method != http.MethodGet || r.URL.Path != "/token" || query.Get("api-version") != "2.0" || r.Header.Get("Authorization") != "Bearer "+requestToken {
		i.t.Errorf("unexpected request: %s %s %v", r.Method, r.URL, r.Header)
	}
	audience := query.Get("audience")
	token := i.sign(map[string]any{"aud": audience})
	if audience == "" {
		token = i.sign(map[string]any{"aud": "https://github.com/org"})
	}
	i.mu.Lock()
	i.asked, i.given = append(i.asked, audience), append(i.given, token)
	i.mu.Unlock()
	_ = json.NewEncoder(rw).Encode(map[string]any{"count": 1, "value": token})
}

// env is what a job with id-token: write has.
func (i *issuer) env() map[string]string {
	return map[string]string{"ACTIONS_ID_TOKEN_REQUEST_URL": i.server.URL + "/token?api-version=2.0", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": requestToken}
}

// audiences returns what was asked for since the last time.
func (i *issuer) audiences() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	asked := i.asked
	i.asked = nil
	return asked
}

// sign makes a JWT (RFC 7519, RS256) about the test's job, with other claims.
func (i *issuer) sign(other map[string]any) string {
	claims := map[string]any{"iss": i.server.URL, "sub": "repo:org/app:ref:refs/heads/main", "exp": time.Now().Add(5 * time.Minute).Unix()}
	for name, value := range other {
		claims[name] = value
	}
	header, _ := json.Marshal(map[string]string{"alg": "RS256", "typ": "JWT", "kid": "1"})
	body, _ := json.Marshal(claims)
	text := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(body)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, i.key, crypto.SHA256, sum[:])
	if err != nil {
		i.t.Error(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// verify is what a cloud does: the signature, the issuer, the audience, the
// time, and that this repository's main branch is meant.
func (i *issuer) verify(token, audience string) error {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return fmt.Errorf("%q is no JWT", token)
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(&i.key.PublicKey, crypto.SHA256, sum[:], signature); err != nil {
		return fmt.Errorf("the signature of %s is wrong", token)
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return err
	}
	var claims struct {
		Iss, Sub, Aud string
		Exp           int64
	}
	if err := json.Unmarshal(body, &claims); err != nil {
		return err
	}
	switch {
	case claims.Iss != i.server.URL, claims.Sub != "repo:org/app:ref:refs/heads/main", claims.Exp < time.Now().Unix():
		return fmt.Errorf("not authorized: %s", token)
	case claims.Aud != audience:
		return fmt.Errorf("incorrect token audience: %s", token)
	}
	return nil
}
