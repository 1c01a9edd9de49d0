package main_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/rogpeppe/go-internal/testscript"
)

// A canary is a random value that is a secret of one script.
type canary struct {
	name, value string
	exported    bool // the script's user has it in the environment of the command
}

// canary [-odd|-lines] [-export] NAME: -odd has characters that each notation
// escapes in its own way, -lines is like a key file.
func (s *scene) canaryCmd(ts *testscript.TestScript, args []string) error {
	c, kind := canary{}, ""
	for _, arg := range args {
		switch arg {
		case "-odd", "-lines":
			kind = arg
		case "-export":
			c.exported = true
		default:
			c.name = arg
		}
	}
	if c.name == "" {
		return fmt.Errorf("usage: canary [-odd|-lines] [-export] NAME")
	}
	c.value = newValue(kind)
	s.canaries = append(s.canaries, c)
	if c.exported {
		ts.Setenv(c.name, c.value)
		s.vars = append(s.vars, c.name)
	}
	return nil
}

func newValue(kind string) string {
	switch kind {
	case "-odd":
		return rand.Text()[:12] + `/+ "&'<%$\=` + rand.Text()[:12]
	case "-lines":
		lines := []string{"-----BEGIN TEST KEY-----"}
		for range 3 {
			lines = append(lines, rand.Text()+strings.ToLower(rand.Text()))
		}
		return strings.Join(append(lines, "-----END TEST KEY-----"), "\n") + "\n"
	}
	return rand.Text()
}

func (s *scene) canary(name string) (canary, error) {
	for _, c := range s.canaries {
		if c.name == name {
			return c, nil
		}
	}
	return canary{}, fmt.Errorf("there is no canary %s", name)
}

// expand FILE…: fills in ${NAME} for each canary, ${NAME:json} as a JSON
// string, ${NAME:base64} and ${NAME:hex}; and ${REGISTRY}. The files become plaintext, so they
// have to be in the folder plain.
func (s *scene) expandCmd(ts *testscript.TestScript, args []string) error {
	for _, arg := range args {
		name := ts.MkAbs(arg)
		if !strings.HasPrefix(name, filepath.Join(s.work, "plain")+"/") {
			return fmt.Errorf("%s is not in the folder plain, where plaintext may be", arg)
		}
		text := strings.ReplaceAll(ts.ReadFile(name), "${REGISTRY}", s.registry.host())
		for _, c := range s.canaries {
			quoted, err := json.Marshal(c.value)
			if err != nil {
				return err
			}
			text = strings.NewReplacer(
				"${"+c.name+"}", c.value,
				"${"+c.name+":json}", string(quoted),
				"${"+c.name+":base64}", base64.StdEncoding.EncodeToString([]byte(c.value)),
				"${"+c.name+":hex}", hex.EncodeToString([]byte(c.value)),
			).Replace(text)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// encrypt IN OUT [FORMAT]: by the real sops, for this script's age identity.
func (s *scene) encryptCmd(ts *testscript.TestScript, args []string) error {
	if len(args) < 2 || len(args) > 3 {
		return fmt.Errorf("usage: encrypt IN OUT [FORMAT]")
	}
	cmd := []string{"encrypt", "--filename-override", args[1], "--output", args[1]}
	if len(args) == 3 {
		cmd = append(cmd, "--input-type", args[2], "--output-type", args[2])
	}
	return ts.Exec("sops", append(cmd, args[0])...)
}

// forms lists a value in every encoding, by name. It is written without a look
// at internal/index, and with other means, so that the two do not share a bug.
func forms(value string) map[string]string {
	all := map[string]string{}
	encode(all, "", value)
	if lines := strings.Fields(value); strings.Contains(value, "\n") {
		for _, sep := range []string{`\n`, `\r\n`, "\r\n", " ", ""} {
			all[fmt.Sprintf("joined by %q", sep)] = strings.Join(strings.Split(strings.TrimSpace(value), "\n"), sep)
		}
		for i, line := range lines {
			if len(line) >= 16 && !strings.Contains(line, "-") { // not the frame of a key
				encode(all, fmt.Sprintf("line %d ", i), line)
			}
		}
	}
	for name, form := range all {
		if len(form) < 8 {
			delete(all, name)
		}
	}
	return all
}

func encode(all map[string]string, prefix, v string) {
	put := func(name, form string) { all[prefix+name] = form }
	put("raw", v)
	put("trimmed", strings.TrimSpace(v))
	put("hex", fmt.Sprintf("%x", v))
	put("HEX", fmt.Sprintf("%X", v))
	for shift := range 3 {
		std, twice := inBase64(v, shift), ""
		put(fmt.Sprintf("base64+%d", shift), std)
		put(fmt.Sprintf("base64url+%d", shift), strings.NewReplacer("+", "-", "/", "_").Replace(std))
		twice = inBase64(base64.StdEncoding.EncodeToString([]byte(v)), shift)
		put(fmt.Sprintf("base64 twice+%d", shift), twice)
	}
	var lower, upper strings.Builder
	for _, b := range []byte(v) {
		fmt.Fprintf(&lower, "%%%02x", b)
		fmt.Fprintf(&upper, "%%%02X", b)
	}
	put("url %xx", lower.String())
	put("url %XX", upper.String())
	put("url query", url.QueryEscape(v))
	put("url path", url.PathEscape(v))
	put("url component", strings.ReplaceAll(url.QueryEscape(v), "+", "%20"))
	var x, j bytes.Buffer
	_ = xml.EscapeText(&x, []byte(v))
	put("xml", x.String())
	enc := json.NewEncoder(&j)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
	plain := strings.Trim(strings.TrimSpace(j.String()), `"`)
	put("json", plain)
	put(`json \/`, strings.ReplaceAll(plain, "/", `\/`))
	html, _ := json.Marshal(v)
	put("json html", string(html[1:len(html)-1]))
	put("go", strings.Trim(strconv.Quote(v), `"`))
	put("shell", strings.ReplaceAll(v, "'", `'\''`))
	le, be := []byte{}, []byte{}
	for _, u := range utf16.Encode([]rune(v)) {
		le, be = binary.LittleEndian.AppendUint16(le, u), binary.BigEndian.AppendUint16(be, u)
	}
	put("utf-16le", string(le))
	put("utf-16be", string(be))
}

// inBase64 is the part of an encoded text that v alone decides, if v begins
// shift bytes after a group of three: 6 bits a character.
func inBase64(v string, shift int) string {
	text := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("\x00", shift) + v))
	first := (8*shift + 5) / 6
	last := 8 * (shift + len(v)) / 6
	return text[first:last]
}
