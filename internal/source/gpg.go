package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/getsops/sops/v3/pgp"
)

// gpg runs GnuPG as sops does (SOPS_GPG_EXEC, GNUPGHOME), but so that it cannot
// ask on a terminal, and without the job's secrets in its environment: gpg
// leaves a gpg-agent behind that would keep them.
type gpg struct{ opts Options }

func (g gpg) command(ctx context.Context, args ...string) *exec.Cmd {
	name := g.opts.env("SOPS_GPG_EXEC")
	if name == "" {
		name = "gpg"
	}
	args = append([]string{"--batch", "--no-tty"}, args...)
	if g.opts.env("CI") != "" {
		args = append([]string{"--pinentry-mode=error"}, args...)
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = g.environ()
	return cmd
}

// environ is an allow-list: what gpg, its agent and a graphical pinentry need.
func (g gpg) environ() []string {
	var env []string
	for _, name := range []string{
		"PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "LC_MESSAGES", "TMPDIR", "TERM",
		"GNUPGHOME", "GPG_TTY", "GPG_AGENT_INFO", "PINENTRY_USER_DATA",
		"DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "SSH_AUTH_SOCK",
	} {
		if value := g.opts.env(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}

func (g gpg) open(ctx context.Context, key *pgp.MasterKey) ([]byte, error) {
	var out, messages bytes.Buffer
	cmd := g.command(ctx, "--decrypt")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(key.EncryptedKey), &out, &messages
	err := cmd.Run()
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("%s is not installed", cmd.Path)
	case err != nil:
		return nil, fmt.Errorf("gpg says: %s", lastLine(messages.String()))
	}
	return out.Bytes(), nil
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.TrimPrefix(lines[len(lines)-1], "gpg: ")
}

// secretKeys lists the fingerprints of the secret keys in the keyring.
func (g gpg) secretKeys(ctx context.Context) []string {
	out, err := g.command(ctx, "--list-secret-keys", "--with-colons").Output()
	if err != nil {
		return nil
	}
	var all []string
	for line := range strings.Lines(string(out)) {
		if fields := strings.Split(line, ":"); fields[0] == "fpr" && len(fields) > 9 {
			all = append(all, fields[9])
		}
	}
	return all
}
