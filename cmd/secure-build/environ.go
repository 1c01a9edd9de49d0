package main

import (
	"os"
	"slices"
	"strings"
)

// keyVariables let who has them decrypt. No program that runs after decryption
// has a use for them.
var keyVariables = []string{"SOPS_*", "VAULT_TOKEN", "GOOGLE_CREDENTIALS", "ACTIONS_ID_TOKEN_REQUEST_*", "ACTIONS_RUNTIME_TOKEN"}

// loginVariables are what credential helpers and kubectl log in with by
// themselves (docker-credential-ecr-login, say). They stay, even if a secret is
// read from one, as what every program needs does.
var loginVariables = []string{"AWS_*", "AZURE_*", "DOCKER_*", "GOOGLE_APPLICATION_CREDENTIALS", "KUBECONFIG", "SSH_AUTH_SOCK", "PATH", "HOME"}

// shed takes the keys, and the variables that secrets were read from, out of
// our environment. All secrets were read by then. What we start later inherits
// the environment, and not always through our hands: BuildKit's library starts
// docker, ssh and kubectl to reach a builder, Docker's starts credential helpers.
func (s secrets) shed() error {
	names := slices.Clone(keyVariables)
	for _, r := range s.refs {
		if r.Env() != "" {
			names = append(names, r.Env())
		}
	}
	for _, t := range s.sources.Keyless.Tokens { // [SERVICE=]NAME
		names = append(names, t[strings.LastIndex(t, "=")+1:])
	}
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if !listed(name, names) || listed(name, loginVariables) {
			continue
		}
		if err := os.Unsetenv(name); err != nil {
			return err
		}
	}
	return nil
}

// listed says whether a list has a variable, by its name or its beginning.
func listed(name string, list []string) bool {
	return slices.ContainsFunc(list, func(item string) bool {
		prefix, ok := strings.CutSuffix(item, "*")
		return name == item || ok && strings.HasPrefix(name, prefix)
	})
}
