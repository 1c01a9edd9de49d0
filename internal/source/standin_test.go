package source

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// A standIn speaks a key service's protocol over HTTP, checks what it is
// asked, fails the test on anything that it does not expect, and counts.
type standIn struct {
	t      *testing.T
	server *httptest.Server
	mu     sync.Mutex
	asked  []string // "Decrypt KEY"
	user   string   // whose credentials the next request must have
	token  string   // the bearer token that a request must have
}

func newStandIn(t *testing.T, handle func(s *standIn, r *http.Request, body map[string]any) (any, error)) *standIn {
	s := &standIn{t: t, user: "TEST", token: "test-token"}
	s.server = httptest.NewServer(s.handler(handle))
	t.Cleanup(s.server.Close)
	return s
}

func (s *standIn) handler(handle func(s *standIn, r *http.Request, body map[string]any) (any, error)) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(data))
		var body map[string]any
		if r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" && json.Unmarshal(data, &body) != nil {
			s.t.Errorf("%s %s: the body is no JSON: %q", r.Method, r.URL, data)
		}
		answer, err := handle(s, r, body)
		rw.Header().Set("Content-Type", "application/json")
		if err != nil {
			rw.WriteHeader(http.StatusForbidden)
			answer = map[string]any{"__type": "AccessDeniedException", "message": err.Error(), "errors": []string{err.Error()}}
		}
		if text, ok := answer.(string); ok {
			_, _ = io.WriteString(rw, text)
			return
		}
		_ = json.NewEncoder(rw).Encode(answer)
	})
}

func (s *standIn) log(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, fmt.Sprintf(format, args...))
}

// calls returns what was asked since the last time.
func (s *standIn) calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.asked
	s.asked = nil
	return all
}

// seal and unseal are the stand-ins' cipher: enough to be told from clear text.
func seal(key, plain string) string {
	return base64.StdEncoding.EncodeToString([]byte(key + "|" + base64.StdEncoding.EncodeToString([]byte(plain))))
}

func unseal(key, sealed string) (string, error) {
	data, err := base64.StdEncoding.DecodeString(sealed)
	name, text, _ := strings.Cut(string(data), "|")
	if err != nil || name != key {
		return "", fmt.Errorf("sealed by %q and not by %q", name, key)
	}
	plain, err := base64.StdEncoding.DecodeString(text)
	return string(plain), err
}

func text64(v any) string {
	s, _ := v.(string)
	data, _ := base64.StdEncoding.DecodeString(s)
	return string(data)
}

// awsKMS speaks the JSON protocol of AWS KMS, and AssumeRole of STS.
// https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html
func awsKMS(t *testing.T) *standIn { return newStandIn(t, serveKMS) }

func serveKMS(s *standIn, r *http.Request, body map[string]any) (any, error) {
	if strings.Contains(r.Header.Get("Authorization"), "/sts/aws4_request") {
		return assumeRole(s, r)
	}
	target := r.Header.Get("X-Amz-Target")
	if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-amz-json-1.1" ||
		!strings.Contains(r.Header.Get("Authorization"), "Credential=AKIA"+s.user+"/") || !strings.Contains(r.Header.Get("Authorization"), "/kms/aws4_request") {
		s.t.Errorf("unexpected request: %s %s %v", r.Method, r.URL, r.Header)
	}
	key, _ := body["KeyId"].(string)
	context, _ := json.Marshal(body["EncryptionContext"])
	s.log("%s %s %s", target, key, context)
	s.user = "TEST"
	name := key + string(context)
	switch target {
	case "TrentService.Encrypt":
		return map[string]any{"KeyId": key, "CiphertextBlob": seal(name, text64(body["Plaintext"]))}, nil
	case "TrentService.Decrypt":
		plain, err := unseal(name, body["CiphertextBlob"].(string))
		if err != nil {
			return nil, err
		}
		return map[string]any{"KeyId": key, "Plaintext": base64.StdEncoding.EncodeToString([]byte(plain))}, nil
	}
	s.t.Errorf("unexpected X-Amz-Target %q", target)
	return nil, fmt.Errorf("no such operation")
}

// assumeRole speaks the query protocol of STS.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
func assumeRole(s *standIn, r *http.Request) (any, error) {
	if r.FormValue("Action") != "AssumeRole" || !strings.Contains(r.Header.Get("Authorization"), "Credential=AKIATEST/") {
		s.t.Errorf("unexpected request: %s %v %v", r.URL, r.Form, r.Header)
	}
	s.log("AssumeRole %s", r.FormValue("RoleArn"))
	s.user = "ROLE"
	return `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>` +
		`<AccessKeyId>AKIAROLE</AccessKeyId><SecretAccessKey>x</SecretAccessKey><SessionToken>x</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>` +
		`</Credentials></AssumeRoleResult></AssumeRoleResponse>`, nil
}

// vaultTransit speaks the transit engine of HashiCorp Vault.
// https://developer.hashicorp.com/vault/api-docs/secret/transit
func vaultTransit(t *testing.T) *standIn { return newStandIn(t, serveTransit) }

func serveTransit(s *standIn, r *http.Request, body map[string]any) (any, error) {
	s.log("%s %s", r.Method, r.URL.Path)
	if r.Header.Get("X-Vault-Token") != "test-token" {
		s.t.Errorf("unexpected token %q", r.Header.Get("X-Vault-Token"))
	}
	if action, key, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v1/transit/"), "/"); ok && r.Method == http.MethodPut {
		switch action {
		case "encrypt":
			return map[string]any{"data": map[string]any{"ciphertext": "vault:v1:" + seal(key, text64(body["plaintext"]))}}, nil
		case "decrypt":
			plain, err := unseal(key, strings.TrimPrefix(body["ciphertext"].(string), "vault:v1:"))
			if err != nil {
				return nil, err
			}
			return map[string]any{"data": map[string]any{"plaintext": base64.StdEncoding.EncodeToString([]byte(plain))}}, nil
		}
	}
	s.t.Errorf("unexpected request: %s %s", r.Method, r.URL)
	return nil, fmt.Errorf("no such path")
}

// gcpKMS speaks the REST protocol of Google's Cloud KMS.
// https://cloud.google.com/kms/docs/reference/rest/v1/projects.locations.keyRings.cryptoKeys/decrypt
func gcpKMS(t *testing.T) *standIn {
	return newStandIn(t, func(s *standIn, r *http.Request, body map[string]any) (any, error) {
		s.log("%s %s", r.Method, r.URL.Path)
		if r.Header.Get("Authorization") != "Bearer "+s.token {
			t.Errorf("unexpected authorization %q", r.Header.Get("Authorization"))
		}
		key, action, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v1/"), ":")
		switch {
		case r.Method == http.MethodPost && action == "encrypt":
			return map[string]any{"name": key, "ciphertext": seal(key, text64(body["plaintext"]))}, nil
		case r.Method == http.MethodPost && action == "decrypt":
			plain, err := unseal(key, body["ciphertext"].(string))
			if err != nil {
				return nil, err
			}
			return map[string]any{"plaintext": base64.StdEncoding.EncodeToString([]byte(plain))}, nil
		}
		t.Errorf("unexpected request: %s %s", r.Method, r.URL)
		return nil, fmt.Errorf("no such method")
	})
}
