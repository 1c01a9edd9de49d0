package scan

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/org/secure-build/internal/canary"
)

// SelfTest puts a random value, which the index knows as the secret id, through
// the code that every layer goes through: in each encoding in a file of a
// gzipped layer, as names and links, and in a config. What is missed spoils the
// verdict of the Report that follows: a scanner that does not find what is
// there says nothing about what is not.
func (s *Scanner) SelfTest(id string, value []byte) error {
	forms := canary.Forms(value)
	layer, err := canaryLayer(forms)
	if err != nil {
		return fmt.Errorf("making the self-test: %w", err)
	}
	rec := s.inspect(digestOf(layer), bytes.NewReader(layer))
	var missed []string
	if !rec.verified || len(rec.unread) > 0 {
		missed = append(missed, "the layer could not be read")
	}
	for i, f := range forms {
		if !slices.ContainsFunc(rec.hits, func(h hit) bool { return h.Secret == id && h.path == canaryPath(i) }) {
			missed = append(missed, f.Name)
		}
	}
	s.missed = missed
	return nil
}

func canaryPath(i int) string { return fmt.Sprintf("canary/%d", i) }

// canaryLayer is a layer with one file for each form.
func canaryLayer(forms []canary.Form) ([]byte, error) {
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	tw := tar.NewWriter(zw)
	for i, f := range forms {
		if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: canaryPath(i), Size: int64(len(f.Text)), Mode: 0o600}); err != nil {
			return nil, err
		}
		if _, err := tw.Write(f.Text); err != nil {
			return nil, err
		}
	}
	if err := tw.Close(); err != nil {
		return nil, err
	}
	if err := zw.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// selfTestFailure is what a report says about it, "" for nothing.
func (s *Scanner) selfTestFailure() string {
	if len(s.missed) == 0 {
		return ""
	}
	return "the scanner's self-test: not found " + strings.Join(s.missed, ", ")
}
