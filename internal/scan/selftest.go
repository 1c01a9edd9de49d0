package scan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// SelfTest puts a random value, which the index knows as the secret id, through
// the code that every blob goes through: in each encoding in a file of a gzipped
// layer, as names and links, in each kind of packed file unless these are left
// packed, and in a config. What is missed spoils the verdict of the Report that
// follows: a scanner that does not find what is there says nothing about what is
// not.
func (s *Scanner) SelfTest(id string, value []byte) error {
	samples := append(written(value), named(value)...)
	if !s.shallow {
		more, err := packed(value)
		if err != nil {
			return fmt.Errorf("making the self-test: %w", err)
		}
		samples = append(samples, more...)
	}
	layer, err := gzipped(samples)
	if err != nil {
		return fmt.Errorf("making the self-test: %w", err)
	}
	config, fields, err := configured(value)
	if err != nil {
		return fmt.Errorf("making the self-test: %w", err)
	}
	s.missed = append(s.prove(id, "layer", layer, samples), s.prove(id, "config", config, fields)...)
	return nil
}

// prove scans a blob and names the samples in it of which the value was not
// found where it is.
func (s *Scanner) prove(id, kind string, blob []byte, samples []sample) (missed []string) {
	rec := s.inspect(digestOf(blob), bytes.NewReader(blob))
	if !rec.verified || len(rec.unread) > 0 || rec.found == nil || len(rec.found.unread.list)+len(rec.found.remarks.list) > 0 {
		missed = append(missed, "all of the "+kind+", which could not be read")
	}
	for _, want := range samples {
		if !slices.ContainsFunc(rec.hits, func(h hit) bool { return h.Secret == id && h.place == want.at }) {
			missed = append(missed, want.name)
		}
	}
	return missed
}

func gzipped(samples []sample) ([]byte, error) {
	plain, err := tarred(samples)
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	zw, err := gzip.NewWriterLevel(&buf, gzip.StatelessCompression)
	if err == nil {
		_, err = zw.Write(plain)
	}
	if err == nil {
		err = zw.Close()
	}
	return buf.Bytes(), err
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// selfTestFailure is what a report says about it, "" for nothing.
func (s *Scanner) selfTestFailure() string {
	const most = 20 // who has lost the index misses all
	switch n := len(s.missed); {
	case n == 0:
		return ""
	case n > most:
		return fmt.Sprintf("the scanner's self-test: not found %s, and %d more", strings.Join(s.missed[:most], ", "), n-most)
	}
	return "the scanner's self-test: not found " + strings.Join(s.missed, ", ")
}
