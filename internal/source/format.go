package source

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/getsops/sops/v3/cmd/sops/formats"

	"github.com/org/secure-build/internal/hint"
)

var formatNames = map[string]formats.Format{
	"yaml": formats.Yaml, "yml": formats.Yaml, "json": formats.Json, "dotenv": formats.Dotenv,
	"env": formats.Dotenv, "ini": formats.Ini, "binary": formats.Binary,
}

func formatName(f formats.Format) string {
	return [...]string{formats.Binary: "binary", formats.Dotenv: "dotenv", formats.Ini: "ini", formats.Json: "json", formats.Yaml: "yaml"}[f]
}

// wrapping is what people put behind the name of a file when it is encrypted.
var wrapping = []string{".enc", ".sops", ".encrypted"}

func unwrapped(base string) string {
	for _, ext := range wrapping {
		if rest, ok := strings.CutSuffix(base, ext); ok && rest != "" {
			return rest
		}
	}
	return base
}

// formatOf tells a file's format by its name, as sops does, and where sops
// would silently take it for binary (.env.production, secrets.yaml.enc) by
// its name without the wrapping and by its content.
func formatOf(name, given string, data []byte) (formats.Format, error) {
	if f, ok := formatNames[given]; ok {
		return f, nil
	}
	base := filepath.Base(name)
	if f := formats.FormatForPath(base); f != formats.Binary {
		return f, nil
	}
	if looksBinary(data) { // what sops makes of any other name, unless told
		return formats.Binary, nil
	}
	for _, inner := range []string{base, unwrapped(base)} {
		if f, ok := formatByName(inner); ok {
			return f, nil
		}
	}
	guess := formatByContent(data)
	if guess == "" {
		return 0, notEncrypted(name, formats.Binary)
	}
	return 0, hint.Wrap(errors.New("the name of "+name+" does not tell its format"), "it looks like %s: write %s,format=%s", guess, name, guess)
}

func formatByName(base string) (formats.Format, bool) {
	f := formats.FormatForPath(base)
	if f == formats.Binary && strings.HasPrefix(base, ".env.") {
		f = formats.Dotenv
	}
	return f, f != formats.Binary
}

// looksBinary says whether data is what sops makes of a binary file: a JSON
// object with the two keys data and sops.
func looksBinary(data []byte) bool {
	var envelope map[string]json.RawMessage
	if json.Unmarshal(data, &envelope) != nil || len(envelope) != 2 {
		return false
	}
	return envelope["data"] != nil && envelope["sops"] != nil
}

func formatByContent(data []byte) string {
	data = append([]byte("\n"), data...)
	for _, mark := range []struct{ text, format string }{
		{"\nsops:", "yaml"}, {"\"sops\":", "json"}, {"\nsops_", "dotenv"}, {"\n[sops]", "ini"},
	} {
		if bytes.Contains(data, []byte(mark.text)) {
			return mark.format
		}
	}
	return ""
}

func notEncrypted(name string, format formats.Format) error {
	flags := ""
	if formats.FormatForPath(name) != format {
		flags = fmt.Sprintf(" --input-type %s --output-type %[1]s", formatName(format))
	}
	return hint.Wrap(fmt.Errorf("%s is not encrypted", name),
		"encrypt it first: sops encrypt%s --in-place %s (and take what it held for leaked if it was ever pushed)", flags, name)
}
