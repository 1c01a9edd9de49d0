package held

import (
	"errors"
	"strings"
	"testing"

	"github.com/org/secure-build/internal/hint"
)

func TestChanged(t *testing.T) {
	err := Changed("sha256:abc")
	if !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), "sha256:abc") || len(hint.Of(err)) != 1 {
		t.Errorf("got %v with the hints %q", err, hint.Of(err))
	}
}
