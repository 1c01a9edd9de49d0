package main

import (
	"archive/tar"
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/org/secure-build/internal/index"
	"github.com/org/secure-build/internal/scan"
	"github.com/org/secure-build/internal/scan/rules"
	"github.com/org/secure-build/internal/secret"
)

// TestOpenKeys: a private key that everyone may read is warned of whatever its
// file is called, and a certificate is not.
func TestOpenKeys(t *testing.T) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	key := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	certificate := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: bytes.Repeat(der, 9)}))
	files := []struct {
		name, data string
		mode       int64
		want       string // the rules, sorted
	}{
		{"srv/server.pem", key, 0o644, "pem-file private-key world-readable-key"},
		{"srv/private.pem", key, 0o600, "pem-file private-key"},
		{"srv/tls", key + key, 0o644, "private-key world-readable-key"},
		{"srv/tls.key", key, 0o644, "key-file private-key world-readable-key"},
		{"srv/public.pem", certificate, 0o644, ""},
		{"srv/site.pem", certificate, 0o644, "pem-file"},
		{"usr/share/ca-certificates/mozilla/x.pem", certificate, 0o644, ""},
		{"etc/ssl/certs/y.pem", certificate, 0o644, ""},
	}
	blobs := map[string][]byte{}
	put := func(b []byte) string {
		digest := fmt.Sprintf("sha256:%x", sha256.Sum256(b))
		blobs[digest] = b
		return fmt.Sprintf(`{"digest":%q,"size":%d}`, digest, len(b))
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Size: int64(len(f.data)), Mode: f.mode, Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(w, f.data)
	}
	_ = w.Close()
	var root scan.Descriptor
	manifest := put(fmt.Appendf(nil, `{"config":%s,"layers":[%s]}`, put([]byte("{}")), put(layer.Bytes())))
	if err := json.Unmarshal([]byte(manifest), &root); err != nil {
		t.Fatal(err)
	}
	compiled, err := rules.New(rules.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := scan.New(scan.Options{Index: index.Compile(secret.Set{}), Patterns: patterns{compiled, &ruleNames{}}})
	rep, err := s.Report(t.Context(), root, func(digest string) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(blobs[digest])), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for _, f := range rep.Findings {
		found[f.Path] = append(found[f.Path], f.Rule)
	}
	for _, f := range files {
		slices.Sort(found[f.name])
		if got := strings.Join(found[f.name], " "); got != f.want {
			t.Errorf("%s: got %q, want %q", f.name, got, f.want)
		}
		delete(found, f.name)
	}
	if len(found) > 0 {
		t.Errorf("and in %v", slices.Collect(maps.Keys(found)))
	}
}
