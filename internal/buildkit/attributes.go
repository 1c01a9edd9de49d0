package buildkit

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/sshforward/sshprovider"
	"github.com/moby/buildkit/util/entitlements"
	"github.com/org/secure-build/internal/hint"
)

// defaultProvenance is what buildx asks for when nobody has said anything
// (build/opt.go). It is left out where an exporter has no room for it.
const defaultProvenance = "mode=min,inline-only=true"

// attributes are the request in the words of the Dockerfile frontend.
func (r Request) attributes() map[string]string {
	attrs := map[string]string{}
	for name, value := range map[string]string{
		"target":             r.Target,
		"platform":           strings.Join(r.Platforms, ","),
		"no-cache":           strings.Join(r.NoCacheFor, ","),
		"add-hosts":          r.Hosts,
		"ulimit":             r.Ulimits,
		"cgroup-parent":      r.Cgroup,
		"force-network-mode": strings.TrimPrefix(r.Network, "default"),
	} {
		if value != "" {
			attrs[name] = value
		}
	}
	if r.ShmSize > 0 {
		attrs["shm-size"] = strconv.FormatInt(r.ShmSize, 10)
	}
	if r.NoCache {
		attrs["no-cache"] = ""
	}
	if r.Pull {
		attrs["image-resolve-mode"] = "pull"
	}
	maps.Copy(attrs, r.Resources)
	for k, v := range r.BuildArgs {
		attrs["build-arg:"+k] = v
	}
	for k, v := range r.Labels {
		attrs["label:"+k] = v
	}
	maps.Copy(attrs, r.Commit)
	for typ, how := range r.Attests {
		if how != "" {
			attrs["attest:"+typ] = how
		}
	}
	if how := r.provenance(); how != "" {
		attrs["attest:provenance"] = how
	}
	return attrs
}

// exports are the image, and its files if somebody wants them. Both go to us:
// what leaves this machine leaves it after the scan.
func (r Request) exports() []client.ExportEntry {
	image := map[string]string{"tar": "false"}
	maps.Copy(image, r.Outputs.Image)
	maps.Copy(image, r.Annotations)
	if r.attested() {
		image[inlineAttestations] = "true"
	}
	if len(r.Tags) > 0 {
		image["name"] = strings.Join(r.Tags, ",")
	}
	all := []client.ExportEntry{{Type: client.ExporterOCI, Attrs: image, OutputStore: r.Store}}
	if r.records() { // before the image, whose answer then stands
		all[0].OutputStore = recorded{r.Store, r.Record}
		all = slices.Insert(all, 0, r.recordExport())
	}
	if r.Outputs.Files != nil && r.Files != nil {
		all = append(all, client.ExportEntry{
			Type: client.ExporterTar, Attrs: maps.Clone(r.Outputs.Files),
			Output: func(map[string]string) (io.WriteCloser, error) { return r.Files() },
		})
	}
	return all
}

// Entitlements are what RUN may have. Who asks for the host's network has
// allowed it.
func (r Request) Entitlements() []string {
	all := slices.Clone(r.Allow)
	if host := entitlements.EntitlementNetworkHost.String(); r.Network == "host" && !slices.Contains(all, host) {
		all = append(all, host)
	}
	return all
}

// agents forwards SSH agents. Keys are used here and stay here.
func (r Request) agents() (session.Attachable, error) {
	var all []sshprovider.AgentConfig
	for _, s := range r.SSH {
		all = append(all, sshprovider.AgentConfig{ID: s.ID, Paths: s.Paths})
	}
	provider, err := sshprovider.NewSSHAgentProvider(all)
	if err != nil {
		return nil, hint.Wrap(fmt.Errorf("reading --ssh: %w", err), "a key with a passphrase has to be in an agent: ssh-add FILE")
	}
	return provider, nil
}

// dockerfile is the path of the Dockerfile, whose name may be in lower case
// where nobody has named it, as in buildx.
func (r Request) dockerfile() string {
	if r.Inline != "" {
		return cmp.Or(r.InlineName, "Dockerfile")
	}
	if r.Dockerfile != "" {
		return r.Dockerfile
	}
	name := filepath.Join(r.Context, "Dockerfile")
	if lower := filepath.Join(r.Context, "dockerfile"); !exists(name) && exists(lower) {
		return lower
	}
	return name
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// Defaults adds what buildx takes from the environment when nobody has said
// it: the time of the build, the proxies of Docker's configuration, and the
// smallest provenance.
func (r *Request) Defaults(getenv func(string) string) error {
	if r.BuildArgs == nil {
		r.BuildArgs = map[string]string{}
	}
	const epoch = "SOURCE_DATE_EPOCH"
	if v := getenv(epoch); v != "" {
		if _, ok := r.BuildArgs[epoch]; !ok {
			r.BuildArgs[epoch] = v
		}
	}
	if r.Docker != nil {
		proxy := r.Docker.Proxies["default"]
		for name, value := range map[string]string{
			"HTTP_PROXY": proxy.HTTPProxy, "HTTPS_PROXY": proxy.HTTPSProxy, "NO_PROXY": proxy.NoProxy, "FTP_PROXY": proxy.FTPProxy,
		} {
			if value != "" && !hasFold(r.BuildArgs, name) {
				r.BuildArgs[name] = value
			}
		}
	}
	const none = "BUILDX_NO_DEFAULT_ATTESTATIONS"
	off, err := strconv.ParseBool(getenv(none))
	if v := getenv(none); v != "" && err != nil {
		return fmt.Errorf("reading %s: %q is neither true nor false", none, v)
	}
	if _, ok := r.Attests["provenance"]; !ok && !off {
		if r.Attests == nil {
			r.Attests = map[string]string{}
		}
		r.Attests["provenance"] = defaultProvenance
	}
	return nil
}

func hasFold(m map[string]string, name string) bool {
	for k := range m {
		if strings.EqualFold(k, name) {
			return true
		}
	}
	return false
}
