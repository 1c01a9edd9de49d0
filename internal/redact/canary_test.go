package redact

import (
	"fmt"
	"math/rand"
	"testing"

	"github.com/org/secure-build/internal/canary"
	"github.com/org/secure-build/internal/index"
	"github.com/org/secure-build/internal/secret"
)

// TestCanaries sends random tokens, keys and documents in every encoding
// through the redactor. The encodings share no code with the index.
func TestCanaries(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	for i := range 60 {
		for _, make := range []func() ([]byte, error){
			func() ([]byte, error) { return canary.Token(random) },
			func() ([]byte, error) { return canary.Key(random) },
			func() ([]byte, error) { return canary.Document(random) },
		} {
			value, err := make()
			if err != nil {
				t.Fatal(err)
			}
			var set secret.Set
			if err := set.Add(secret.New(fmt.Sprintf("canary%d", i), "test", value)); err != nil {
				t.Fatal(err)
			}
			r := New()
			r.SetIndex(index.Compile(set))
			for _, f := range canary.Forms(value) {
				if out := r.Bytes(f.Text); f.Shows(out) {
					t.Errorf("%d: %s shows:\n%s\nof\n%s", i, f.Name, out, f.Text)
				}
			}
		}
		if t.Failed() {
			return
		}
	}
}
