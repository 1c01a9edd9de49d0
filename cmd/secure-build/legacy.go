package main

import (
	"errors"

	"github.com/org/secure-build/internal/config"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// limits are the flags by which docker build set a limit before there was
// --resource, with their short forms.
var limits = map[string]string{
	"memory": "m", "memory-swap": "", "cpu-shares": "c", "cpu-period": "", "cpu-quota": "", "cpuset-cpus": "", "cpuset-mems": "",
}

// ignored are flags of docker build that mean nothing to BuildKit, with what
// buildx says of them; "" for those that change nothing in what is built.
var ignored = []struct {
	flag string
	kind config.Kind
	said string
}{
	{"rm", config.Bool, ""},
	{"force-rm", config.Bool, ""},
	{"compress", config.Bool, ""},
	{"isolation", config.String, "BuildKit has no isolation technology to choose"},
	{"security-opt", config.List, "RUN --security=insecure and --allow security.insecure are BuildKit's way"},
	{"squash", config.Bool, "copy into a last stage of its own instead, where one layer is wanted"},
}

// legacy makes the flags that buildx takes and does not show. Old scripts have them.
func legacy(cmd *cobra.Command) {
	fs := cmd.Flags()
	for name, short := range limits {
		fs.VarP(limit{name, fs.Lookup("resource")}, name, short, "")
		fs.Lookup(name).Hidden = true
	}
	for _, f := range ignored {
		switch f.kind {
		case config.Bool:
			fs.Bool(f.flag, false, "")
		default:
			fs.Var(&list{}, f.flag, "")
		}
		fs.Lookup(f.flag).Hidden = true
	}
}

// tellIgnored warns of what was asked for and is not done.
func (a *app) tellIgnored(cmd *cobra.Command) {
	for _, f := range ignored {
		if f.said != "" && cmd.Flags().Changed(f.flag) {
			a.warn("--%s is ignored: %s", f.flag, f.said)
		}
	}
}

// unheld are flags of buildx that are not to be had here, with what to do instead.
var unheld = map[string]string{
	"policy": "policies of buildx are not evaluated here; EXPERIMENTAL_BUILDKIT_SOURCE_POLICY names a source policy, which the daemon enforces",
	"print":  "--call is its name now",
	"debug":  "--progress plain shows every step whole, and secure-build doctor what this machine offers",
	"D":      "--progress plain shows every step whole, and secure-build doctor what this machine offers",
}

// refused says why a flag is unknown that buildx has; "" for another error.
func refused(err error) string {
	var none *pflag.NotExistError
	if !errors.As(err, &none) {
		return ""
	}
	return unheld[none.GetSpecifiedName()]
}

// limit is an old flag for a --resource.
type limit struct {
	name     string
	resource *pflag.Flag
}

func (l limit) String() string { return "" }
func (l limit) Type() string   { return "" }

func (l limit) Set(s string) error {
	l.resource.Changed = true
	return l.resource.Value.Set(l.name + "=" + s)
}
