package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/org/secure-build/internal/buildkit"
	"github.com/org/secure-build/internal/config"
	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/push"
	"github.com/org/secure-build/internal/secret"
)

// readRequest reads what the build is to be like, beyond its Dockerfile.
func (b *build) readRequest(o options) error {
	var errs []error
	check := func(err error) { errs = append(errs, err) }
	flag := func(name string) bool { v, err := o.bool(name); check(err); return v }
	r := &b.request

	var err error
	r.NoCache, r.Pull, r.NoCacheFor = flag("no-cache"), flag("pull"), commas(o.list("no-cache-filter"))
	r.Platforms, err = platforms(o)
	check(err)
	r.Labels, err = config.Pairs("label", o.list("label"), func(string) (string, bool) { return "", true })
	check(err)
	r.Annotations, err = buildkit.ParseAnnotations(o.list("annotation"))
	check(err)
	r.Attests, err = buildkit.ParseAttests(o.list("attest"), o.text("provenance"), o.text("sbom"))
	check(err)
	if b.may.Decrypt { // a stranger's job has no agent to look for
		agents := o.list("ssh")
		if len(agents) == 0 && r.OverSSH() {
			agents = []string{"default"}
		}
		r.SSH, err = buildkit.ParseSSH(agents, b.getenv("SSH_AUTH_SOCK"))
		check(err)
	}
	r.Network = cmp.Or(o.text("network"), "default")
	check(o.oneOf("network", r.Network))
	r.Hosts, err = buildkit.ParseHosts(o.list("add-host"))
	check(err)
	r.ShmSize, err = buildkit.ParseSize(o.text("shm-size"))
	check(err)
	r.Ulimits, err = buildkit.ParseUlimits(o.list("ulimit"))
	check(err)
	r.Resources, err = buildkit.ParseResources(o.list("resource"))
	check(err)
	r.Allow, err = buildkit.ParseAllow(commas(o.list("allow")))
	check(err)
	r.Policy, err = buildkit.ReadPolicy(b.getenv("EXPERIMENTAL_BUILDKIT_SOURCE_POLICY"))
	check(err)
	if name := r.UnheldPolicy(); name != "" {
		b.warn("%s is a policy of buildx, which is not evaluated here", name)
	}
	r.Cgroup = o.text("cgroup-parent")
	check(r.Defaults(b.getenv))
	return errors.Join(errs...)
}

// platforms reads what to build for. DOCKER_DEFAULT_PLATFORM counts where nothing
// is said, neither by --platform nor with --builder, as for docker buildx build and
// docker compose.
func platforms(o options) ([]string, error) {
	named, err := buildkit.ParsePlatforms(o.list("platform"))
	if v := o.getenv("DOCKER_DEFAULT_PLATFORM"); err == nil && len(named) == 0 && v != "" && !buildersHavePlatforms(o) {
		if named, err = buildkit.ParsePlatforms([]string{v}); err != nil {
			err = fmt.Errorf("reading DOCKER_DEFAULT_PLATFORM: %w", err)
		}
	}
	return named, err
}

// buildersHavePlatforms says whether a builder was named for a platform.
func buildersHavePlatforms(o options) bool {
	return o.has("builder") && slices.ContainsFunc(o.list("builder"), func(text string) bool {
		_, named, err := buildkit.ParseBuilder(text)
		return err == nil && len(named) > 0
	})
}

// readOutputs reads where a clean image goes.
func (b *build) readOutputs(o options) error {
	outputs, err := buildkit.ParseOutputs(o.list("output"))
	if err != nil {
		return err
	}
	if err := outputs.Places(); err != nil {
		return err
	}
	if f, ok := b.plain.(*os.File); ok && outputs.ToStdout() && terminal(f) != nil {
		return hint.Wrap(errors.New("reading --output: an archive goes to standard output, which is a terminal"), "name a file with dest=FILE")
	}
	load, err1 := o.bool("load")
	push1, err2 := o.bool("push")
	if load && !outputs.Loads() {
		outputs.Targets = append(outputs.Targets, buildkit.Target{Type: buildkit.OutputDocker})
	}
	if push1 && !outputs.Has(buildkit.OutputPush) {
		outputs.Targets = append(outputs.Targets, buildkit.Target{Type: buildkit.OutputPush})
	}
	if outputs.Has(buildkit.OutputDocker) && len(b.request.Platforms) > 1 { // no reason to build first
		return hint.Wrap(fmt.Errorf("reading --output: type=docker and --load take one platform, and --platform names %d", len(b.request.Platforms)), "use --output type=oci, or one --platform")
	}
	if outputs.Has(buildkit.OutputDocker) && b.request.Attested() {
		b.warn("what Docker loads has no attestations: they are left out of type=docker and --load (docker buildx build refuses that)")
	}
	force, err5 := o.bool("force-compression")
	if err := outputs.Compress(o.text("compression"), o.text("compression-level"), force); err != nil {
		return errors.Join(err, err5)
	}
	b.request.Outputs, b.push = outputs, outputs.Has(buildkit.OutputPush)
	tags, lax := tagsOf(outputs.Targets, commas(o.list("tag")))
	for _, t := range outputs.Targets {
		b.byDigest = b.byDigest || t.ByDigest
	}
	if s := o.service; s != nil && len(tags) == 0 && outputs.Has(buildkit.OutputDocker) && !b.push {
		tags = []string{s.Unnamed} // where docker compose up looks for it
	}
	var err3, err4 error
	b.tags, err3 = push.ParseTags(tags)
	if insecure, err := push.ParseTags(lax); err == nil { // they are among the tags
		b.registry.Insecure = registries(insecure)
	}
	if b.push && b.may.Push && len(tags) == 0 {
		err4 = hint.Wrap(errors.New("--push without a tag"), "say where to with --tag registry.example.com/team/app:1.2")
	}
	b.request.Tags = names(b.tags)
	if outputs.Has(buildkit.OutputLocal, buildkit.OutputTar) && o.text("iidfile") != "" {
		return errors.Join(err1, err2, err3, err4, err5, errors.New("--iidfile with an output of files: those have no image id"))
	}
	return errors.Join(err1, err2, err3, err4, err5)
}

// commas takes values apart that hold several, as the inputs of
// docker/build-push-action may.
func commas(items []string) []string {
	var all []string
	for item := range strings.SplitSeq(strings.Join(items, ","), ",") {
		if item = strings.TrimSpace(item); item != "" {
			all = append(all, item)
		}
	}
	return all
}

// names are the tags in full, by the name that Docker has for its own registry.
// tagsOf are the tags, or without any the names that the outputs have: of those that
// are pushed, or else of the first that has one. insecure are those of a push that
// may go to a registry without TLS.
func tagsOf(targets []buildkit.Target, tags []string) (all, insecure []string) {
	all = tags
	for _, t := range targets {
		its := tags
		if len(tags) == 0 && t.Name != "" {
			its = strings.Split(t.Name, ",")
		}
		if t.Type != buildkit.OutputPush {
			continue
		}
		if len(tags) == 0 {
			all = append(all, its...)
		}
		if t.Insecure {
			insecure = append(insecure, its...)
		}
	}
	if i := slices.IndexFunc(targets, func(t buildkit.Target) bool { return t.Name != "" }); len(all) == 0 && i >= 0 {
		all = strings.Split(targets[i].Name, ",")
	}
	return all, insecure
}

// registries are those of tags.
func registries(tags []push.Tag) []string {
	var all []string
	for _, t := range tags {
		all = append(all, t.RegistryStr())
	}
	return all
}

func names(tags []push.Tag) []string {
	var refs []string
	for _, t := range tags {
		name := t.Name()
		if rest, ok := strings.CutPrefix(name, "index.docker.io/"); ok {
			name = "docker.io/" + rest
		}
		refs = append(refs, name)
	}
	return refs
}

// hideKeys has the private keys of --ssh searched for like every other secret:
// they are used here and belong in no image.
func (b *build) hideKeys(set *secret.Set) error {
	for _, s := range b.request.SSH {
		for _, path := range s.Paths {
			fi, err := os.Stat(path)
			if err != nil {
				return fmt.Errorf("reading the SSH key %s: %w", path, err)
			}
			if !fi.Mode().IsRegular() { // an agent's socket
				continue
			}
			key, err := os.ReadFile(path)
			if err != nil {
				return fmt.Errorf("reading the SSH key %s: %w", path, err)
			}
			set.AddHidden(secret.New(secret.ID("ssh", s.ID), path, key))
		}
	}
	return nil
}
