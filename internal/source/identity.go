package source

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"filippo.io/age/plugin"
	"github.com/google/shlex"
	"golang.org/x/crypto/ssh"
)

// identities are the age identities of this job, from the places that sops
// looks in (age/keysource.go, loadIdentities), with two differences: nothing
// ever prompts, and one bad line does not hide the good ones.
type identities struct {
	opts   Options
	hidden *hiddenKeys
	loaded bool // all but what is named by a variable
	named  bool // what is
	again  bool // only what can be read again: a pipe gives what it has to one reader
	ids    []age.Identity
	// tried says what was found, by its public half, and notes what was not
	// usable and why. Neither holds any part of a private key.
	tried []string
	notes []string
	byCmd map[string][]age.Identity
}

// forRecipient returns the identities to try for a recipient. The commands are
// asked once for each recipient, which they are told.
func (a *identities) forRecipient(ctx context.Context, recipient string) []age.Identity {
	a.loadNamed()
	if !a.loaded {
		a.loaded, a.byCmd = true, map[string][]age.Identity{}
		a.loadUsers()
	}
	if _, ok := a.byCmd[recipient]; !ok {
		before := len(a.ids)
		a.runCommand(ctx, "SOPS_AGE_KEY_CMD", recipient, a.parseKeys)
		a.runCommand(ctx, "SOPS_AGE_SSH_PRIVATE_KEY_CMD", recipient, a.parseSSH)
		a.byCmd[recipient] = append([]age.Identity{}, a.ids[before:]...)
		a.ids = a.ids[:before]
	}
	return append(append([]age.Identity{}, a.ids...), a.byCmd[recipient]...)
}

// loadNamed takes the identities that variables hold or name, which are the
// job's keys, needed or not.
func (a *identities) loadNamed() {
	if a.named {
		return
	}
	a.named = true
	if keys := a.opts.env("SOPS_AGE_KEY"); keys != "" {
		a.parseKeys("SOPS_AGE_KEY", []byte(keys))
	} else if a.opts.hasEnv("SOPS_AGE_KEY") {
		a.note("SOPS_AGE_KEY", "is set but empty")
	}
	if name := a.opts.env("SOPS_AGE_KEY_FILE"); name != "" {
		a.parseFile("SOPS_AGE_KEY_FILE", a.opts.path(name), a.parseKeys)
	}
	if name := a.opts.env("SOPS_AGE_SSH_PRIVATE_KEY_FILE"); name != "" {
		a.parseFile("SOPS_AGE_SSH_PRIVATE_KEY_FILE", a.opts.path(name), a.parseSSH)
	}
}

// loadUsers takes those that lie where the user's are, if they are there.
func (a *identities) loadUsers() {
	if name := a.userKeys(); name != "" {
		if _, err := os.Stat(name); err == nil {
			a.parseFile(name, name, a.parseKeys)
		}
	}
	if home := a.opts.env("HOME"); home != "" {
		for _, base := range []string{"id_ed25519", "id_rsa"} {
			name := filepath.Join(home, ".ssh", base)
			if _, err := os.Stat(name); err == nil {
				a.parseFile(name, name, a.parseSSH)
			}
		}
	}
}

// userKeys is sops/age/keys.txt in the user's configuration directory.
func (a *identities) userKeys() string {
	home, config := a.opts.env("HOME"), a.opts.env("XDG_CONFIG_HOME")
	switch {
	case config != "":
	case home == "":
		return ""
	case runtime.GOOS == "darwin":
		config = filepath.Join(home, "Library", "Application Support")
	default:
		config = filepath.Join(home, ".config")
	}
	return filepath.Join(config, "sops", "age", "keys.txt")
}

func (a *identities) note(place, format string, args ...any) {
	a.notes = append(a.notes, place+" "+fmt.Sprintf(format, args...))
}

func (a *identities) parseFile(place, path string, parse func(place string, data []byte)) {
	data, err := readFile(a.opts, path, 1<<20, !a.again)
	if err != nil {
		a.note(place, "cannot be read: %v", err)
		return
	}
	parse(place, data)
}

func (a *identities) runCommand(ctx context.Context, variable, recipient string, parse func(place string, data []byte)) {
	command := a.opts.env(variable)
	if command == "" {
		return
	}
	args, err := shlex.Split(command)
	if err != nil || len(args) == 0 {
		a.note(variable, "is no command")
		return
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "SOPS_AGE_RECIPIENT="+recipient)
	out, err := cmd.Output() // stderr is dropped: it may say anything
	if err != nil {
		a.note(variable, "failed: %v", err)
		return
	}
	parse(variable, out)
}

// parseKeys reads an identity file. In SOPS_AGE_KEY, keys may also share a line.
func (a *identities) parseKeys(place string, data []byte) {
	if strings.HasPrefix(string(data), "age-encryption") || strings.HasPrefix(string(data), "-----BEGIN AGE") {
		a.note(place, "is protected by a passphrase, which is never asked for here")
		return
	}
	before := len(a.ids) + len(a.notes)
	scanner := bufio.NewScanner(strings.NewReader(string(data)))
	scanner.Buffer(nil, 1<<20)
	for line := 1; scanner.Scan(); line++ {
		text := strings.TrimSpace(strings.TrimPrefix(scanner.Text(), "\ufeff"))
		if text == "" || text[0] == '#' {
			continue
		}
		var bad error
		for _, word := range strings.Fields(text) {
			id, public, err := parseIdentity(word)
			switch {
			case err == nil:
				a.hidden.addIdentity(place, "age-identity", public, word)
			case strings.Contains(strings.ToUpper(word), "AGE-SECRET-KEY-"): // damaged, and most of it a key
				a.hidden.addIdentity(place, "age-identity", fmt.Sprintf("line %d, damaged", line), word)
			}
			if bad = cmp.Or(bad, err); bad == nil { // after a bad word the line is not believed
				a.ids = append(a.ids, id)
				a.tried = append(a.tried, public+" ("+place+")")
			}
		}
		if bad != nil {
			a.note(place, "line %d is no age identity: %v", line, bad)
		}
	}
	if len(a.ids)+len(a.notes) == before {
		a.note(place, "holds no age identity")
	}
}

// parseIdentity returns an identity and its public half. Its errors do not
// quote the text, which may be a damaged private key.
func parseIdentity(text string) (age.Identity, string, error) {
	switch {
	case strings.HasPrefix(text, "AGE-SECRET-KEY-PQ-1"):
		if id, err := age.ParseHybridIdentity(text); err == nil {
			return id, id.Recipient().String(), nil
		}
	case strings.HasPrefix(text, "AGE-SECRET-KEY-1"):
		if id, err := age.ParseX25519Identity(text); err == nil {
			return id, id.Recipient().String(), nil
		}
	case strings.HasPrefix(text, "AGE-PLUGIN-"):
		if id, err := plugin.NewIdentity(text, noQuestions); err == nil {
			return id, "age-plugin-" + id.Name(), nil
		}
	case strings.HasPrefix(text, "age1"), strings.HasPrefix(text, "ssh-"):
		return nil, "", errors.New("it is a recipient, the public half")
	default:
		return nil, "", errors.New("it should begin with AGE-SECRET-KEY-1")
	}
	return nil, "", errors.New("it is damaged or cut off")
}

// noQuestions is the user interface of an age plugin in a job: there is nobody
// to answer.
var noQuestions = &plugin.ClientUI{
	DisplayMessage: func(string, string) error { return nil },
	RequestValue:   func(string, string, bool) (string, error) { return "", errors.New("the plugin asks for a value") },
	Confirm: func(string, string, string, string) (bool, error) {
		return false, errors.New("the plugin asks a question")
	},
	WaitTimer: func(string) {},
}

func (a *identities) parseSSH(place string, data []byte) {
	id, err := agessh.ParseIdentity(data)
	if missing := (&ssh.PassphraseMissingError{}); errors.As(err, &missing) {
		a.note(place, "is protected by a passphrase, which is never asked for here")
		return
	}
	signer, err2 := ssh.ParsePrivateKey(data)
	if err != nil || err2 != nil {
		a.note(place, "is no SSH key of type ed25519 or RSA")
		return
	}
	a.hidden.addIdentity(place, "ssh-identity", ssh.FingerprintSHA256(signer.PublicKey()), string(data))
	a.ids = append(a.ids, id)
	a.tried = append(a.tried, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))+" ("+place+")")
}
