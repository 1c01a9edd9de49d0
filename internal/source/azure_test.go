package source

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const azureHost = "myvault.vault.azure.net"

// azureVault speaks Azure Key Vault's REST protocol with its challenge, and
// the managed identity that gives the token. The SDK insists on TLS and on the
// vault's real host name, so it is reached through a proxy.
// https://learn.microsoft.com/rest/api/keyvault/keys/decrypt
func azureVault(t *testing.T, w *world) *standIn {
	s := &standIn{t: t}
	certificate := w.certificate(azureHost)
	s.server = httptest.NewUnstartedServer(http.HandlerFunc(s.serveAzure))
	s.server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	s.server.StartTLS()
	t.Cleanup(s.server.Close)
	proxy := httptest.NewServer(s.proxy(azureHost+":443", s.server.Listener.Addr().String()))
	t.Cleanup(proxy.Close)
	identity := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Identity-Header") != "test" || r.URL.Query().Get("resource") != "https://vault.azure.net" {
			t.Errorf("unexpected identity request: %s %v", r.URL, r.Header)
		}
		rw.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(rw, `{"access_token":"test-token","expires_on":"%d","resource":"https://vault.azure.net","token_type":"Bearer"}`, time.Now().Add(time.Hour).Unix())
	}))
	t.Cleanup(identity.Close)
	w.env["HTTPS_PROXY"], w.env["SSL_CERT_FILE"] = proxy.URL, w.dir+"/ca.pem"
	w.env["IDENTITY_ENDPOINT"], w.env["IDENTITY_HEADER"] = identity.URL, "test"
	return s
}

func (s *standIn) serveAzure(rw http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") == "" {
		rw.Header().Set("WWW-Authenticate", `Bearer authorization="https://login.microsoftonline.com/t", resource="https://vault.azure.net"`)
		rw.WriteHeader(http.StatusUnauthorized)
		return
	}
	if r.Header.Get("Authorization") != "Bearer test-token" {
		s.t.Errorf("unexpected authorization %q", r.Header.Get("Authorization"))
	}
	s.handler(func(s *standIn, r *http.Request, body map[string]any) (any, error) {
		s.log("%s %s", r.Method, r.URL.Path)
		key, action, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/keys/"), "/1a/")
		value, _ := base64.RawURLEncoding.DecodeString(body["value"].(string))
		if body["alg"] != "RSA-OAEP-256" {
			s.t.Errorf("unexpected algorithm %v", body["alg"])
		}
		switch action {
		case "encrypt":
			return map[string]any{"value": base64.RawURLEncoding.EncodeToString([]byte(seal(key, string(value))))}, nil
		case "decrypt":
			plain, err := unseal(key, string(value))
			return map[string]any{"value": base64.RawURLEncoding.EncodeToString([]byte(plain))}, err
		}
		s.t.Errorf("unexpected request: %s %s", r.Method, r.URL)
		return nil, fmt.Errorf("no such action")
	}).ServeHTTP(rw, r)
}

// proxy tunnels to one host, and fails the test on any other.
func (s *standIn) proxy(host, target string) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Host != host {
			s.t.Errorf("unexpected proxy request: %s %s", r.Method, r.Host)
			rw.WriteHeader(http.StatusBadGateway)
			return
		}
		server, err := net.Dial("tcp", target)
		if err != nil {
			s.t.Error(err)
			return
		}
		defer server.Close()
		client, _, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			s.t.Error(err)
			return
		}
		defer client.Close()
		_, _ = io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(server, client) }()
		_, _ = io.Copy(client, server)
	})
}

// certificate makes a certificate for host and writes it to ca.pem.
func (w *world) certificate(host string) tls.Certificate {
	w.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		w.t.Fatal(err)
	}
	w.write("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestAzureKeyVault(t *testing.T) {
	w := newWorld(t)
	s := azureVault(t, w)
	delete(w.env, "SOPS_AGE_KEY")
	key := "https://" + azureHost + "/keys/build/1a"
	w.checkExtracts(func(lines ...string) map[string]string {
		s.calls()
		got, printed := inChild(t, append(w.environ(), "SOURCE_TEST_ALLOW=https://"+azureHost), lines...)
		if printed != "" {
			t.Errorf("it printed %q", printed)
		}
		if n := len(s.calls()); n != len(extracts) {
			t.Errorf("%d requests for %d files", n, len(extracts))
		}
		return got
	}, "--azure-kv", key)
	got, _ := inChild(t, w.environ(), "x="+w.dir+"/s.yaml")
	if !strings.Contains(got["error"], "refusing to ask a key source that only the file names: https://"+azureHost) {
		t.Errorf("not allowed: got %q", got)
	}
	if asked := s.calls(); asked != nil {
		t.Errorf("the stranger was asked: %q", asked)
	}
}
