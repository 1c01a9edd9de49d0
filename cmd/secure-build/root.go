package main

import (
	"context"
	"fmt"
	"runtime"

	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/index"
	"github.com/org/secure-build/internal/source"
	"github.com/spf13/cobra"
)

const about = `secure-build builds a container image with secrets from SOPS files, scans the
result for those very secrets, and pushes exactly what it scanned, only if it
is clean. Decrypted secrets stay in memory and are gone at the end, however
the run ends.`

const examples = `  # Build with every secret of a SOPS file, scan, push
  secure-build build --sops secrets.yaml -t registry.example.com/team/app:1.2 --push .

  # One secret under another name, and one as in docker buildx build
  secure-build build --sops npmrc=secrets.yaml#npm.npmrc --secret id=cert,src=cert.pem .`

// run parses the arguments and runs the command that they name.
//
// The keys of the job are masked from the beginning to the end: an argument that
// is not understood, or a line of a Dockerfile, may be one.
func (a *app) run(ctx context.Context, args []string) error {
	a.keys = source.JobKeys(source.Options{})
	a.redactor.SetIndex(index.Compile(a.keys))
	root := &cobra.Command{
		Use:               "secure-build",
		Short:             "Build, scan and push an image without letting its secrets out",
		Long:              about,
		Example:           examples,
		SilenceErrors:     true,
		SilenceUsage:      true,
		Version:           version,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		Args:              knownCommand,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetArgs(args)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if why := refused(err); why != "" {
			return hint.Wrap(err, "%s", why)
		}
		return hint.Wrap(err, "%s --help lists the flags", cmd.CommandPath())
	})
	root.AddCommand(a.buildCommand(), a.scanCommand(), a.checkCommand(), a.execCommand(), a.doctorCommand(), a.gitlabCommand(), a.versionCommand())
	return root.ExecuteContext(ctx)
}

// knownCommand is reached with arguments if the first is no command. (cobra's
// own message has its suggestion on lines of its own.)
func knownCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range root.Commands() {
		if !c.Hidden {
			names = append(names, c.Name())
		}
	}
	err := fmt.Errorf("unknown command %q", args[0])
	if near := hint.Nearest(args[0], names); near != "" {
		return hint.Wrap(err, "did you mean %s %s?", root.Name(), near)
	}
	return hint.Wrap(err, "%s --help lists the commands", root.Name())
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(a.stdout, "secure-build %s %s/%s %s\n", version, runtime.GOOS, runtime.GOARCH, runtime.Version())
			return err
		},
	}
}
