//go:build ignore

// Generate copies gitleaks' rules and license from the module that is named, as
// they are.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: generate MODULE@VERSION")
	}
	if err := copyRules(os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func copyRules(module string) error {
	out, err := exec.Command("go", "mod", "download", "-json", module).Output()
	if err != nil {
		return fmt.Errorf("downloading %s: %w", module, err)
	}
	var m struct{ Dir string }
	if err := json.Unmarshal(out, &m); err != nil {
		return fmt.Errorf("reading go's answer: %w", err)
	}
	for to, from := range map[string]string{"gitleaks.toml": "config/gitleaks.toml", "gitleaks.LICENSE": "LICENSE"} {
		text, err := os.ReadFile(filepath.Join(m.Dir, from))
		if err != nil {
			return err
		}
		if err := os.WriteFile(to, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
