// Command secure-build builds a container image with secrets from SOPS files,
// scans it for those very secrets, and pushes it only if it is clean.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/org/secure-build/internal/buildkit"
	"github.com/org/secure-build/internal/buildkit/shim"
	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/pipeline"
	"github.com/org/secure-build/internal/platform"
	"github.com/org/secure-build/internal/redact"
	"github.com/org/secure-build/internal/secret"
	"github.com/org/secure-build/internal/vault"
)

// Exit codes. They are part of the interface: see the README.
const (
	exitOK       = 0 // pushed, or built and clean
	exitError    = 1
	exitLeaked   = 2 // secrets found, nothing pushed
	exitContract = 3 // the Dockerfile and the secrets do not fit, nothing built
)

// version is set by the Makefile.
var version = "dev"

func main() { os.Exit(realMain()) }

// realMain is main without the exit, so that every defer has run before it.
// A binary that starts itself again under a hidden name is dealt with first:
// those processes print nothing of ours and hold nothing to redact.
func realMain() int {
	if shim.Asked {
		fmt.Fprintln(os.Stderr, shim.Err)
		return exitError
	}
	if held, err := vault.Hold(); held {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return exitError
		}
		return exitOK
	}
	if err := vault.Harden(); err != nil {
		fmt.Fprintf(os.Stderr, "secure-build: warning: %v\n", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	// A second Ctrl-C ends us at once: nothing that it leaves behind is plaintext.
	context.AfterFunc(ctx, stop)
	// Somebody closed our output: writing to it fails from now on, but we go on
	// to the end, and to the shred. (Ignoring the signal would be inherited.)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)

	red := redact.New()
	stdout, stderr := red.Writer(os.Stdout), red.Writer(os.Stderr)
	defer func() { _, _ = stdout.Close(), stderr.Close() }()

	lean()
	buildkit.Quiet(io.Discard)
	log.SetOutput(io.Discard) // what other libraries log, such as the end of a session

	a := &app{shown: &shown{}, redactor: red, stdin: os.Stdin, stdout: stdout, stderr: stderr, plain: os.Stdout, terminal: terminal(os.Stderr), getenv: guardedEnv()}
	if platform.Detect(os.Getenv) != platform.Terminal {
		a.terminal = nil // a log, which some runners write by way of one
	}
	a.ci = platform.Options{Getenv: os.Getenv, Log: stderr, Raw: runnerLog(os.Stderr)}
	a.platform = platform.New(a.ci)
	err := a.guarded(ctx, os.Args[1:])
	if err != nil && ctx.Err() != nil && !errors.Is(err, pipeline.ErrNotClean) {
		err = fmt.Errorf("interrupted: %w", err)
	}
	if !errors.As(err, new(commandError)) {
		printError(stderr, err)
		a.failed(err)
	}
	a.end()
	return exitCode(err)
}

// valueVariables hold secrets themselves, and not their names.
var valueVariables = []string{"SECURE_BUILD_SECRET_VALUES", "SECURE_BUILD_GITHUB_TOKEN", "SECURE_BUILD_REGISTRY_PASSWORD"}

// guardedEnv is os.Getenv, with the values that are secrets taken out of the
// environment: what we start (a credential helper, say) inherits the rest.
func guardedEnv() func(string) string {
	taken := map[string]string{}
	for _, name := range valueVariables {
		if value := os.Getenv(name); value != "" {
			taken[name] = value
			_ = os.Unsetenv(name) // fails for names that are no names
		}
	}
	return func(name string) string { return cmp.Or(taken[name], os.Getenv(name)) }
}

// runnerLog returns f if it leads to the CI's runner, as a pipe or a terminal
// does, and not to a file, in which a mask command would be the value in clear
// text. (It is stderr: stdout may be piped into something that reads it.)
func runnerLog(f *os.File) io.Writer {
	if fi, err := f.Stat(); err != nil || fi.Mode().IsRegular() {
		return nil
	}
	return f
}

// guarded is run with a panic made into an error: it is printed through the
// redactor, after every defer (the shred) has run.
func (a *app) guarded(ctx context.Context, args []string) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = hint.Wrap(fmt.Errorf("internal error: %v\n%s", p, debug.Stack()), "this is a bug; please report it with the lines above")
		}
	}()
	return a.run(ctx, args)
}

// app is what a command is handed: where to read and write, and nothing of the
// process beside it.
type app struct {
	redactor       *redact.Redactor
	stdin          io.Reader
	stdout, stderr io.Writer
	plain          io.Writer // past the redactor: for an archive with a verdict, whose every byte counts
	terminal       *os.File  // stderr, if it is a terminal
	getenv         func(string) string
	ci             platform.Options // of platform
	platform       platform.Platform
	shown          *shown     // what the CI was told so far
	seen           ruleNames  // of patterns that found something
	service        string     // of a Compose file, which its messages begin with; or ""
	password       *string    // of the registry, once it was read from standard input
	notes          []string   // warnings about secrets that are not masked yet
	keys           secret.Set // of the job; run sets it
}

func exitCode(err error) int {
	var leak leakError
	var command commandError
	switch {
	case errors.As(err, &command):
		return int(command)
	case err == nil:
		return exitOK
	case errors.As(err, &leak) && leak.verdict == finding.Leaked, errors.Is(err, errVariables):
		return exitLeaked
	case errors.Is(err, buildkit.ErrContract):
		return exitContract
	}
	return exitError
}

// printError prints an error once, last, and then its hints. The rules of
// these messages: lower case, no final period, no stack, never a value.
// Errors that were joined are printed one below the other.
func printError(w io.Writer, err error) {
	if err == nil {
		return
	}
	for _, e := range flatten(err) {
		fmt.Fprintf(w, "secure-build: error: %s\n", e)
	}
	for _, h := range hint.Of(err) {
		fmt.Fprintf(w, "secure-build: hint: %s\n", h)
	}
}

// flatten takes joined errors apart, as far as nothing wraps them.
func flatten(err error) []error {
	many, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range many.Unwrap() {
		all = append(all, flatten(e)...)
	}
	return all
}
