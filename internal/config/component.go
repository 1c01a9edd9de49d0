package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// The lines of GitLab's component between which its generated parts stand.
const (
	inputsBegin    = "    # The inputs of secure-build build, made from the table of options by make generate."
	inputsEnd      = "    # (end of what is made)"
	variablesBegin = "    # One variable for each of those inputs, made by make generate as well."
	variablesEnd   = "    # (end of what is made as well)"
)

// plural are the lists whose input bears the plural of the flag's name, as the
// inputs of docker/build-push-action do.
var plural = []string{
	"secret", "secret-env", "secret-file", "optional-secret", "variable", "build-context", "build-arg", "tag", "label", "platform", "annotation",
	"no-cache-filter", "add-host", "attest", "output",
}

// others are inputs that are named after something else than their flag.
var others = map[string]string{"registry-username": "username", "registry-password-env": "password"}

// Input is the name of the input of a CI that sets the option.
func (o Option) Input() string {
	if slices.Contains(plural, o.Flag) {
		return o.Flag + "s"
	}
	return cmp.Or(others[o.Flag], o.Flag)
}

// valuesOnly are options that no input may set: inputs are part of the
// configuration, where everybody reads them, so they hold names and no values.
var valuesOnly = []string{"secret-values", "github-token", "registry-password", "registry-password-stdin"}

// defaults of the component where they differ from the command's.
var defaults = map[string]string{
	"context": ".", "report-dir": "secure-build-report", "dotenv": "secure-build.env",
	"registry": "$CI_REGISTRY", "registry-username": "$CI_REGISTRY_USER", "registry-password-env": "CI_REGISTRY_PASSWORD",
}

// Patterns of strings. GitLab puts an input into the text of the component
// before it reads that as YAML, where it stands in single quotes: none of these
// lets a quote or a line break in. They mean the same in RE2, which GitLab has,
// and in JavaScript, which gitlab-ci-local has: in both ^ and $ are the ends of
// the text, not of a line, and \A or \x{85} is something else in the latter.
const (
	oneLine  = `^[^'"\x60\\\x00-\x1f\x7f` + "\u0085\u2028\u2029" + `]*$`
	fileName = `^([A-Za-z0-9_.$/{][A-Za-z0-9_.$/{}@:+=~ -]*)?$`
	ownPath  = `^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$`
	variName = `^([A-Za-z_][A-Za-z0-9_]*)?$`
)

// patterns are stricter than oneLine where it is known what there can be. The
// report stands in artifacts:paths, where GitLab takes no variables.
var patterns = map[string]string{
	"context": fileName, "file": fileName, "baseline": fileName, "cache-dir": fileName, "metadata-file": fileName, "iidfile": fileName,
	"builder-tls": fileName, "target": `^([A-Za-z0-9][A-Za-z0-9_.$/{}-]*)?$`, "report-dir": ownPath, "dotenv": ownPath, "registry-password-env": variName,
	"call":        `^((build|check|lint|outline|targets|subrequests\.describe)(,(format=(json|text)|ignorestatus=(true|false)))*)?$`,
	"compression": `^(gzip|zstd|estargz|uncompressed)?$`, "compression-level": `^[0-9]{0,2}$`,
}

// ofComponent says whether GitLab's component has an input for the option.
func (o Option) ofComponent() bool { return !slices.Contains(valuesOnly, o.Flag) }

// choices are all values of an option whose Arg lists them; nil for others.
func (o Option) choices() []string {
	all := strings.Split(o.Arg, "|")
	if o.Kind != String || o.Default == "" || !slices.Contains(all, o.Default) {
		return nil
	}
	return all
}

// componentInputs is the part of spec:inputs that stands for a table.
func componentInputs(table []Option) string {
	var b strings.Builder
	for _, o := range table {
		if !o.ofComponent() {
			continue
		}
		fmt.Fprintf(&b, "    %s:\n      description: %s\n", o.Input(), quoted(o.Usage))
		switch o.Kind {
		case Bool:
			b.WriteString("      type: boolean\n      default: false\n")
		case List:
			b.WriteString("      type: array\n      default: []\n")
		case String:
			fmt.Fprintf(&b, "      type: string\n      default: %s\n", quoted(cmp.Or(defaults[o.Flag], o.Default)))
			if choices := o.choices(); choices != nil {
				fmt.Fprintf(&b, "      options: [%s]\n", strings.Join(choices, ", "))
			} else {
				fmt.Fprintf(&b, "      regex: %s\n", quoted(cmp.Or(patterns[o.Flag], oneLine)))
			}
		}
	}
	return b.String()
}

// componentVariables is the part of the job's variables that stands for a
// table. A list stands in a block, which its quotes cannot end, and is not
// expanded: see [Expand]. The line break at the block's end keeps what GitLab
// writes there a text: alone, it would be a list of YAML.
func componentVariables(table []Option) string {
	var b strings.Builder
	for _, o := range table {
		switch {
		case !o.ofComponent():
		case o.Kind == List:
			fmt.Fprintf(&b, "    %s:\n      value: |\n        $[[ inputs.%s ]]\n      expand: false\n", o.Env(), o.Input())
		default:
			fmt.Fprintf(&b, "    %s: '$[[ inputs.%s ]]'\n", o.Env(), o.Input())
		}
	}
	return b.String()
}

// SpliceComponent puts the generated parts into the text of the component.
func SpliceComponent(document string, table []Option) (string, error) {
	document, err := splice(document, inputsBegin, componentInputs(table), inputsEnd)
	if err != nil {
		return "", err
	}
	return splice(document, variablesBegin, componentVariables(table), variablesEnd)
}

// quoted is a YAML string in single quotes, or in double ones if it has what
// YAML takes for the end of a line.
func quoted(s string) string {
	if !strings.ContainsAny(s, "\u0085\u2028\u2029") {
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\u0085", `\N`, "\u2028", `\L`, "\u2029", `\P`).Replace(s) + `"`
}
