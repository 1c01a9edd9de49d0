package command

import (
	"os"
	"os/exec"
)

// start starts cmd between pipes; there is no pseudo-terminal here.
func start(cmd *exec.Cmd, o Options) (finish func() error, err error) {
	cmd.Stdout, cmd.Stderr = o.Stdout, o.Stderr
	if o.Stdin != nil {
		cmd.Stdin = o.Stdin
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return cmd.Wait, nil
}

func forward(p *os.Process, sig os.Signal, _ Options) { _ = p.Signal(sig) }
