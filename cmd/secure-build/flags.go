package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/org/secure-build/internal/config"
	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/platform"
	"github.com/org/secure-build/internal/source"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// options are the values of a table of options: flags first, then the
// environment, then the default.
type options struct {
	table  []config.Option
	flags  *pflag.FlagSet
	getenv func(string) string

	service *source.Service // of a Compose file, whose options count where no flag is given; or nil
}

// register makes the flags of a table.
func register(cmd *cobra.Command, table []config.Option, getenv func(string) string) options {
	fs := cmd.Flags()
	fs.SortFlags = false
	for _, o := range table {
		if o.EnvOnly {
			continue
		}
		switch o.Kind {
		case config.Bool:
			fs.BoolP(o.Flag, o.Short, false, o.Usage)
		case config.List:
			fs.VarP(&list{arg: o.Arg}, o.Flag, o.Short, o.Usage)
		case config.String:
			fs.VarP(&text{value: o.Default, arg: o.Arg}, o.Flag, o.Short, o.Usage)
		}
	}
	cmd.SetUsageFunc(func(c *cobra.Command) error { return usage(c, table) })
	return options{table: table, flags: fs, getenv: getenv}
}

// list is a flag that may be given many times; each value is taken as it is
// (commas belong to the value).
type list struct {
	items []string
	arg   string
}

func (l *list) String() string     { return "" }
func (l *list) Set(s string) error { l.items = append(l.items, s); return nil }
func (l *list) Type() string       { return l.arg }

type text struct{ value, arg string }

func (t *text) String() string     { return t.value }
func (t *text) Set(s string) error { t.value = s; return nil }
func (t *text) Type() string       { return t.arg }

// env is the environment's value for an option whose flag was not given.
func (o options) env(flag string) (string, bool) {
	if o.flags.Changed(flag) {
		return "", false
	}
	for _, opt := range o.table {
		if opt.Flag == flag {
			v := o.getenv(opt.Env())
			return v, v != ""
		}
	}
	return "", false
}

// flagged says whether an option has a flag.
func (o options) flagged(flag string) bool { return o.flags.Lookup(flag) != nil }

// has says whether a command has an option.
func (o options) has(flag string) bool {
	return slices.ContainsFunc(o.table, func(opt config.Option) bool { return opt.Flag == flag })
}

func (o options) text(flag string) string {
	if v, ok := o.env(flag); ok || !o.flagged(flag) {
		return v
	}
	if o.service != nil && o.service.Texts[flag] != "" && !o.flags.Changed(flag) {
		return o.service.Texts[flag]
	}
	return o.flags.Lookup(flag).Value.String()
}

// list is what the service has, and then what was given here, which counts where
// the last one does.
func (o options) list(flag string) []string {
	if o.service != nil {
		return slices.Concat(o.service.Lists[flag], o.given(flag))
	}
	return o.given(flag)
}

// blank are the lists in which an empty item is none, as in buildx: a script may
// say --cache-from "$CACHE". In the environment that holds for every list.
var blank = []string{"secret", "ssh", "build-context", "annotation", "add-host", "cache-from", "cache-to", "output"}

func (o options) given(flag string) []string {
	v, ok := o.env(flag)
	if !ok && o.flagged(flag) {
		items := o.flags.Lookup(flag).Value.(*list).items
		if slices.Contains(blank, flag) {
			items = slices.DeleteFunc(slices.Clone(items), func(item string) bool { return item == "" })
		}
		return items
	}
	if items, ok := config.Array(v); ok && platform.Detect(o.getenv) == platform.GitLab {
		return config.Expand(items, o.getenv) // the component's inputs come as they were written
	}
	return config.Lines(v)
}

func (o options) bool(flag string) (bool, error) {
	v, ok := o.env(flag)
	if !ok && o.service != nil && o.service.Bools[flag] && !o.flags.Changed(flag) {
		return true, nil
	}
	if !ok {
		return o.flags.GetBool(flag)
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		return false, hint.Wrap(fmt.Errorf("reading the environment's value for --%s: %q is neither true nor false", flag, v), "set it to true or false, or leave it out")
	}
	return b, nil
}

// oneOf holds a value against an option whose Arg lists all that there are: a|b|c.
func (o options) oneOf(flag, value string) error {
	for _, opt := range o.table {
		all := strings.Split(opt.Arg, "|")
		if opt.Flag == flag && !slices.Contains(all, value) {
			return hint.Wrap(fmt.Errorf("reading --%s: %q is not known", flag, value), "--%s is one of %s", flag, strings.Join(all, ", "))
		}
	}
	return nil
}

// usage prints the flags in their groups.
func usage(c *cobra.Command, table []config.Option) error {
	w := c.OutOrStdout()
	fmt.Fprintf(w, "Usage:\n  %s\n", c.UseLine())
	if c.Example != "" {
		fmt.Fprintf(w, "\nExamples:\n%s\n", c.Example)
	}
	for _, group := range config.Groups {
		fs := pflag.NewFlagSet(group, pflag.ContinueOnError)
		fs.SortFlags = false
		for _, o := range table {
			if o.Group == group && !o.EnvOnly {
				fs.AddFlag(c.Flags().Lookup(o.Flag))
			}
		}
		if fs.HasFlags() {
			fmt.Fprintf(w, "\n%s:\n%s", group, fs.FlagUsagesWrapped(100))
		}
	}
	fmt.Fprintf(w, "\nEvery flag can be set in the environment too: --%s is %s.\nA list has one item a line there (in double quotes: of several lines), or is a JSON array.\n", table[0].Flag, table[0].Env())
	return nil
}
