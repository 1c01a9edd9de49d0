package canary

import (
	"bytes"
	"compress/bzip2"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestBzip2(t *testing.T) {
	noise := make([]byte, 3000)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(noise)
	for _, text := range []string{"a", "banana", strings.Repeat("a", 300), strings.Repeat("ab", 500), strings.Repeat("some words ", 300), string(noise)} {
		got, err := io.ReadAll(bzip2.NewReader(bytes.NewReader(Bzip2([]byte(text)))))
		if err != nil || string(got) != text {
			t.Errorf("%.20q: got %.20q, %v", text, got, err)
		}
	}
}
