package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/org/secure-build/internal/command"
	"github.com/org/secure-build/internal/config"
	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/secret"
	"github.com/org/secure-build/internal/source"
	"github.com/spf13/cobra"
)

// dirVariable tells a command where the secrets are, one file each.
const dirVariable = "SECURE_BUILD_SECRETS_DIR"

const aboutExec = `Run a command that finds the secrets as files in memory, its output masked.

The folder is named by SECURE_BUILD_SECRETS_DIR, each file by its secret's id.
Only what --env names is put into the command's environment. Its standard
output and error are searched for every secret in every encoding; a terminal
stays a terminal. Exit code and signals are passed on. At the end, however it
comes, the secrets are gone.`

func (a *app) execCommand() *cobra.Command {
	var opts options
	cmd := &cobra.Command{
		Use:   "exec [flags] -- COMMAND [ARGUMENTS]",
		Short: "Run a command with the secrets as files in memory",
		Long:  aboutExec,
		Example: `  secure-build exec --sops secrets.yaml -- sh -c 'curl -H @$SECURE_BUILD_SECRETS_DIR/header https://api.example.com'
  secure-build exec --sops secrets.yaml#db.password --env db_password=PGPASSWORD -- psql`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return hint.Wrap(errors.New("exec takes a COMMAND; got none"), "%s --sops FILE -- COMMAND", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.readSecrets(opts)
			if err != nil {
				return err
			}
			if s.vaultOptions.PlainFiles, err = opts.bool("plain-files"); err != nil {
				return err
			}
			return a.exec(cmd.Context(), s, opts.list("env"), args)
		},
	}
	cmd.Flags().SetInterspersed(false) // what follows COMMAND is its own
	opts = register(cmd, config.Exec, a.getenv)
	return cmd
}

// exec is the pipeline's first half with a command in place of the build:
// decrypt, mask, store, run, and shred whatever happened.
func (a *app) exec(ctx context.Context, s secrets, env []string, args []string) (err error) {
	set, _, err := a.loadMasked(ctx, s)
	if err != nil {
		return err
	}
	variables, err := environment(os.Environ(), s.refs, set, env)
	if err != nil {
		return err
	}
	v, err := a.store(s, set)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	dir, err := v.Expose()
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(signals)
	o := command.Options{
		Args: args, Env: append(variables, dirVariable+"="+dir), Signals: signals,
		Stdin: os.Stdin, Stdout: a.stdout, Stderr: a.stderr,
	}
	if a.terminal != nil && terminal(os.Stdin) != nil && terminal(os.Stdout) != nil {
		frames := a.frames()
		defer func() { err = errors.Join(err, frames.Close()) }()
		o.Screen = frames
	}
	code, err := command.Run(ctx, o)
	if err == nil && code != 0 {
		err = commandError(code)
	}
	return err
}

// environment is what the command inherits: ours, less the keys that decrypt
// (the command was asked to have the secrets, not the keys) and the variables
// that secrets were taken from, and what --env asks for.
func environment(environ []string, refs []source.Ref, set secret.Set, asked []string) ([]string, error) {
	var env []string
	for _, kv := range environ {
		name, _, _ := strings.Cut(kv, "=")
		isSource := slices.ContainsFunc(refs, func(r source.Ref) bool { return r.Env() == name })
		if !isSource && !strings.HasPrefix(name, "SOPS_AGE_KEY") && !strings.HasPrefix(name, "SOPS_AGE_SSH") {
			env = append(env, kv)
		}
	}
	for _, item := range asked {
		id, name, ok := strings.Cut(item, "=")
		sec, known := set.Get(id)
		switch {
		case !ok || name == "" || strings.ContainsAny(name, "=\x00"):
			return nil, hint.Wrap(fmt.Errorf("reading --env %q", item), "--env ID=NAME gives the command the secret ID as the variable NAME")
		case !known:
			err := fmt.Errorf("reading --env %q: no source gives the secret %q", item, id)
			if near := hint.Nearest(id, set.IDs()); near != "" {
				err = hint.Wrap(err, "did you mean %q?", near)
			}
			return nil, err
		case strings.ContainsRune(string(sec.Reveal()), 0):
			return nil, hint.Wrap(fmt.Errorf("reading --env %q: the value has a NUL byte, which no variable can hold", item), "read the file %s/%s", "$"+dirVariable, id)
		}
		env = append(env, name+"="+string(sec.Reveal()))
	}
	return env, nil
}

// commandError is the exit code of a command that said itself what went wrong.
type commandError int

func (c commandError) Error() string {
	return fmt.Sprintf("the command ended with exit code %d", int(c))
}
