package source

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/org/secure-build/internal/hint"
)

func (s *Service) warn(format string, args ...any) {
	s.Warnings = append(s.Warnings, fmt.Sprintf(format, args...))
}

// newService translates one build section. Every field of it is an option here
// or an error or a warning that names it: see TestEveryFieldOfBuild.
func newService(project *types.Project, svc types.ServiceConfig, opts Options) (Service, error) {
	b := svc.Build
	s := Service{
		Name: svc.Name, Unnamed: project.Name + "-" + svc.Name, Context: b.Context, Inline: b.DockerfileInline,
		External: map[string]string{}, env: map[string]string{},
		Texts: map[string]string{"target": b.Target, "network": b.Network, "provenance": b.Provenance, "sbom": b.SBOM},
		Bools: map[string]bool{"no-cache": b.NoCache, "pull": b.Pull},
		Lists: map[string][]string{
			"platform": b.Platforms, "cache-from": b.CacheFrom, "cache-to": b.CacheTo, "no-cache-filter": b.NoCacheFilter,
			"label": pairs(b.Labels), "build-context": pairs(b.AdditionalContexts), "allow": b.Entitlements,
			"build-arg": arguments(b.Args), "tag": tags(svc), "ssh": agents(b.SSH), "add-host": hosts(b.ExtraHosts), "ulimit": ulimits(b.Ulimits),
		},
	}
	if filepath.IsAbs(s.Context) {
		s.Context = shown(s.Context)
	}
	if b.Dockerfile != "" && b.DockerfileInline == "" {
		s.Texts["file"] = dockerfileOf(s.Context, b.Dockerfile)
	}
	if b.ShmSize > 0 {
		s.Texts["shm-size"] = strconv.FormatInt(int64(b.ShmSize), 10)
	}
	if b.Privileged {
		s.Lists["allow"] = append(slices.Clone(s.Lists["allow"]), "security.insecure")
	}
	if len(b.Platforms) == 0 && svc.Platform != "" {
		s.Lists["platform"] = []string{svc.Platform}
	}
	errs := []error{s.refuse(b)}
	for _, ref := range b.Secrets {
		errs = append(errs, s.newSecret(project, ref, opts))
	}
	return s, errors.Join(errs...)
}

// refuse names what we do not have.
func (s *Service) refuse(b *types.BuildConfig) error {
	var errs []error
	if s.Name == "." || s.Name == ".." { // its reports would go elsewhere
		errs = append(errs, fmt.Errorf("%q is no name for a folder, and the reports of a service have one of its name", s.Name))
	}
	if b.Isolation != "" && b.Isolation != "default" {
		errs = append(errs, fmt.Errorf("build.isolation: %s is not supported, which is for Windows", b.Isolation))
	}
	for _, name := range slices.Sorted(maps.Keys(b.AdditionalContexts)) {
		if strings.Contains(name, "=") { // it is an option, NAME=WHERE, and what is judged here would be cut elsewhere there
			errs = append(errs, fmt.Errorf("build.additional_contexts.%s: a name has no =", printable(name)))
		}
		if strings.HasPrefix(b.AdditionalContexts[name], "service:") {
			errs = append(errs, hint.Wrap(fmt.Errorf("build.additional_contexts.%s: the image of another service is not supported", name),
				"name its folder and use a target, or push it first and use docker-image://REF"))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.Extensions)) {
		s.warn("build.%s is not read", name)
	}
	return errors.Join(errs...)
}

// dockerfileOf is the path of a Dockerfile, which the Compose file writes from
// the context; in one that is fetched, it stays so.
func dockerfileOf(context, name string) string {
	if filepath.IsAbs(name) || strings.Contains(context, "://") || strings.HasPrefix(context, "git@") || strings.HasPrefix(context, "github.com/") {
		return name
	}
	return filepath.Join(context, name)
}

func tags(svc types.ServiceConfig) []string {
	all := slices.Clone([]string(svc.Build.Tags))
	if svc.Image != "" && !slices.Contains(all, svc.Image) {
		all = append([]string{svc.Image}, all...)
	}
	return all
}

func pairs[M ~map[string]string](m M) []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		all = append(all, name+"="+m[name])
	}
	return all
}

// arguments without a value are those of the environment, as --build-arg NAME.
func arguments(args types.MappingWithEquals) []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(args)) {
		if value := args[name]; value != nil {
			name += "=" + *value
		}
		all = append(all, name)
	}
	return all
}

// agents are sorted, since compose-go keeps them in no order.
func agents(ssh types.SSHConfig) []string {
	var all []string
	for _, k := range ssh {
		if k.Path != "" {
			k.ID += "=" + k.Path
		}
		all = append(all, k.ID)
	}
	slices.Sort(all)
	return all
}

func hosts(list types.HostsList) []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(list)) {
		for _, ip := range list[name] {
			all = append(all, name+"="+ip)
		}
	}
	return all
}

func ulimits(limits map[string]*types.UlimitsConfig) []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		l := limits[name]
		switch {
		case l == nil:
		case l.Single != 0:
			all = append(all, fmt.Sprintf("%s=%d", name, l.Single))
		default:
			all = append(all, fmt.Sprintf("%s=%d:%d", name, l.Soft, l.Hard))
		}
	}
	return all
}
