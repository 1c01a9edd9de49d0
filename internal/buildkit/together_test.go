package buildkit

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	contentlocal "github.com/containerd/containerd/v2/plugins/content/local"
	provenance "github.com/moby/buildkit/solver/llbsolver/provenance/types"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestTwoDaemons builds one platform on each of two daemons, one of which is
// reached by mutual TLS, and joins what they made.
func TestTwoDaemons(t *testing.T) {
	first, second := private(t, t.TempDir()), private(t, t.TempDir())
	defer func() { _, _ = first.Close(), second.Close() }()
	dir := t.TempDir()
	address := serveTLS(t, dir, strings.TrimPrefix(second.Address, "unix://"))
	getenv := func(string) string { return "" }
	if _, err := Connect(t.Context(), EngineOptions{Builders: []string{address}, Getenv: getenv}); err == nil {
		t.Error("the daemon behind TLS answered somebody without a certificate")
	}
	e, err := Connect(t.Context(), EngineOptions{
		Builders: []string{"linux/amd64=" + first.Address, "linux/arm64=" + address}, TLSDir: dir, Getenv: getenv, Log: io.Discard,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	store, err := contentlocal.NewStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	src := buildContext(t, strings.Replace(shell, "scratch", "--platform=$BUILDPLATFORM scratch", 1)+
		"RUN --mount=type=secret,id=a echo made > /made\nFROM scratch\nARG TARGETARCH\nLABEL arch=$TARGETARCH\nCOPY --from=base /made /\n")
	req := Request{
		Context: src, Store: store, Platforms: []string{"linux/amd64", "linux/arm64"}, Attests: map[string]string{"provenance": "mode=min"},
		Secret: func(string) ([]byte, error) { return []byte("value"), nil }, Rotate: func(string) string { return "mac" },
	}
	res, err := e.Solve(t.Context(), req, output(io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	if res.Metadata["containerimage.digest"] != res.Root.Digest.String() {
		t.Errorf("the metadata is of %s, and the image %s", res.Metadata["containerimage.digest"], res.Root.Digest)
	}
	data, err := content.ReadBlob(t.Context(), store, res.Root)
	if err != nil {
		t.Fatal(err)
	}
	var index ocispecs.Index
	if err := json.Unmarshal(data, &index); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range index.Manifests {
		got = append(got, m.Platform.Architecture)
		if _, err := store.Info(t.Context(), m.Digest); err != nil {
			t.Errorf("a manifest of the index did not arrive: %v", err)
		}
		if attests(m) && !provenanceNames(t, store, m, builtin) {
			t.Errorf("the provenance does not name the frontend")
		}
	}
	if want := "amd64 unknown arm64 unknown"; strings.Join(got, " ") != want {
		t.Errorf("got the platforms %v, want %s", got, want)
	}

	// One of them fails: there is no image, and the error says where.
	write(t, filepath.Join(src, "Dockerfile"), "FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /\n")
	write(t, filepath.Join(src, "amd64"), "x")
	if _, err := e.Solve(t.Context(), req, output(io.Discard)); !says(err, "linux/arm64: ") {
		t.Errorf("got %v, want an error of linux/arm64", err)
	}
}

// provenanceNames says whether attestations name a frontend.
func provenanceNames(t *testing.T, store content.Store, desc ocispecs.Descriptor, frontend string) bool {
	t.Helper()
	var m ocispecs.Manifest
	read(t, store, desc.Digest, &m)
	var st struct {
		Predicate provenance.ProvenancePredicateSLSA1
	}
	read(t, store, m.Layers[0].Digest, &st)
	return st.Predicate.BuildDefinition.ExternalParameters.Request.Frontend == frontend
}

// serveTLS lets who has the certificate in dir talk to a Unix socket.
func serveTLS(t *testing.T, dir, socket string) (address string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"ca.pem": {Type: "CERTIFICATE", Bytes: cert}, "cert.pem": {Type: "CERTIFICATE", Bytes: cert}, "key.pem": {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, NextProtos: []string{"h2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go relay(t.Context(), conn, socket)
		}
	}()
	return "tcp://" + l.Addr().String()
}

func relay(ctx context.Context, conn net.Conn, socket string) {
	defer conn.Close()
	inner, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return
	}
	go func() { _, _ = io.Copy(inner, conn); _ = inner.Close() }()
	_, _ = io.Copy(conn, inner)
}
