package vault

import (
	"fmt"
	"os"
	"testing"
)

// TestMain lets the test binary be what it tests: a supervisor, or a worker
// that is killed.
func TestMain(m *testing.M) {
	if held, err := Hold(); held {
		if err != nil {
			os.Exit(1)
		}
		return
	}
	if role := os.Getenv("VAULT_TEST_ROLE"); role != "" {
		if err := play(role); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}
