package main

import (
	"fmt"

	"github.com/org/secure-build/internal/config"
	"github.com/spf13/cobra"
)

const aboutCheck = `Hold the Dockerfile's secret mounts against the secrets that there are.

Every id that a RUN of the target mounts has to come from a source; a mistyped
one would otherwise mount nothing, and the image would be built without it. The
names of a SOPS file's values are clear text, so no key is needed.

Exit status: 0 they fit; 1 error; 3 a secret is missing.`

func (a *app) checkCommand() *cobra.Command {
	var opts options
	cmd := &cobra.Command{
		Use:     "check [flags] CONTEXT",
		Short:   "Check that the Dockerfile and the secrets fit, without a key",
		Long:    aboutCheck,
		Example: "  secure-build check --sops secrets.yaml .",
		Args:    oneContext,
		RunE: func(cmd *cobra.Command, args []string) error {
			a.fence()
			s, err := a.readSecrets(opts)
			if err != nil {
				return err
			}
			req, err := a.readDockerfile(opts, args[0])
			if err != nil {
				return err
			}
			if err := a.contract(cmd.Context(), s, req); err != nil {
				return err
			}
			_, err = fmt.Fprintln(a.stdout, "every secret that the Dockerfile mounts is there")
			return err
		},
	}
	opts = register(cmd, config.Check, a.getenv)
	return cmd
}
