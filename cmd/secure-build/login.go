package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/org/secure-build/internal/buildkit"
	"github.com/org/secure-build/internal/hint"
)

// login reads the registry's password, which is a secret like any other: it
// is never a flag's value.
func (b *build) login(o options) error {
	stdin, err := o.bool("registry-password-stdin")
	if err != nil {
		return err
	}
	username, variable := o.text("registry-username"), o.text("registry-password-env")
	if stdin && variable != "" {
		return errors.New("--registry-password-stdin and --registry-password-env are two ways to say one thing")
	}
	password := ""
	if variable != "" {
		password = b.getenv(variable)
	}
	switch {
	case username == "" && !stdin && password == "": // a CI without a registry has neither
		return nil
	case variable != "" && (username == "" || password == ""):
		return hint.Wrap(errors.New("--registry-username and --registry-password-env go together, and one of them is empty"), "is the variable %s set in this job?", variable)
	case variable == "" && (username == "" || !stdin):
		return hint.Wrap(errors.New("--registry-username and --registry-password-stdin go together"),
			"printf %%s \"$PASSWORD\" | secure-build build --registry-username NAME --registry-password-stdin …")
	}
	if stdin {
		if password, err = b.passwordLine(); err != nil {
			return err
		}
	}
	b.registry.Username, b.registry.Password, b.registry.Registry = username, password, o.text("registry")
	hosts, err := b.registry.Hosts(b.tags)
	if err != nil {
		return err
	}
	// BuildKit asks for it when it pulls. It is in memory only: nothing saves it.
	b.request.Login = buildkit.Login{Username: username, Password: password, Hosts: hosts}
	return nil
}

// passwordLine reads it once, for all services of a Compose file.
func (b *build) passwordLine() (string, error) {
	if b.password != nil && *b.password != "" {
		return *b.password, nil
	}
	line, err := bufio.NewReader(io.LimitReader(b.stdin, 1<<16)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("reading the registry's password: %w", err)
	}
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", hint.Wrap(errors.New("reading the registry's password: standard input is empty"), "printf %%s \"$PASSWORD\" | secure-build build …")
	}
	if b.password != nil {
		*b.password = line
	}
	return line, nil
}
