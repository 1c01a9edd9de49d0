package buildkit

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/containerd/platforms"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/org/secure-build/internal/hint"
)

// A node is one daemon, and the platforms that it builds.
type node struct {
	name       string // BUILDER/NODE, "" for a plain address
	address    string
	platforms  []string // none for whatever the others do not
	named      bool     // they were named by --builder, and are all that it is for
	serverName string
	ca         string // files, as buildctl's --tlscacert, --tlscert and --tlskey
	cert, key  string
	container  string   // that it is in, if it is one of buildx' making
	engine     []string // flags by which docker gets to that container
}

// instance is a builder as buildx keeps it in instances/NAME (store/nodegroup.go).
type instance struct {
	Name   string
	Driver string
	Nodes  []struct {
		Name       string
		Endpoint   string
		Platforms  []ocispecs.Platform
		DriverOpts map[string]string
	}
}

// buildxDir is where buildx keeps its builders.
func buildxDir(getenv func(string) string) string {
	if dir := getenv("BUILDX_CONFIG"); dir != "" {
		return dir
	}
	if dir := getenv("DOCKER_CONFIG"); dir != "" {
		return filepath.Join(dir, "buildx")
	}
	return filepath.Join(getenv("HOME"), ".docker", "buildx")
}

// CredentialDir is where buildx keeps credentials for one repository or purpose.
func CredentialDir(getenv func(string) string) string {
	return filepath.Join(buildxDir(getenv), "config")
}

var builderName = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9._-]*$`)

// readInstance reads a builder of buildx by its name. A name that is unknown
// is an error that lists those that are known.
func readInstance(dir, name string) (instance, error) {
	var b instance
	if !builderName.MatchString(name) {
		return b, hint.Wrap(fmt.Errorf("finding the builder: %q is neither an address nor a name", name), "an address has ://, such as tcp://host:1234")
	}
	data, err := os.ReadFile(filepath.Join(dir, "instances", strings.ToLower(name)))
	if errors.Is(err, os.ErrNotExist) && name == "default" {
		b.Name, b.Driver, err = name, "docker", nil // which buildx has without having made it
		data = []byte(`{"Nodes":[{"Name":"default"}]}`)
	}
	if errors.Is(err, os.ErrNotExist) {
		return b, unknown(dir, name)
	}
	if err == nil {
		err = json.Unmarshal(data, &b)
	}
	if err != nil {
		return b, fmt.Errorf("reading the builder %s: %w", name, err)
	}
	return b, nil
}

func unknown(dir, name string) error {
	err := fmt.Errorf("finding the builder: there is no %q", name)
	var names []string
	entries, _ := os.ReadDir(filepath.Join(dir, "instances"))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if len(names) == 0 {
		return hint.Wrap(err, "buildx knows no builders in %s; name an address such as tcp://host:1234, or leave --builder out", dir)
	}
	return hint.Wrap(err, "there are %s", strings.Join(names, ", "))
}

// currentBuilder is the name of the builder that buildx would use, "" for none.
func currentBuilder(dir string, getenv func(string) string) string {
	if name := getenv("BUILDX_BUILDER"); name != "" {
		return name
	}
	endpoint := cmp.Or(DockerContext(getenv), getenv("DOCKER_HOST"), "unix:///var/run/docker.sock")
	var current struct {
		Key, Name string
		Global    bool
	}
	if data, err := os.ReadFile(filepath.Join(dir, "current")); err == nil && json.Unmarshal(data, &current) == nil {
		if (current.Global || current.Key == endpoint) && known(dir, current.Name) {
			return current.Name
		}
	}
	sum := sha256.Sum256([]byte(endpoint))
	data, err := os.ReadFile(filepath.Join(dir, "defaults", hex.EncodeToString(sum[:])[:20]))
	if name := strings.TrimSpace(string(data)); err == nil && known(dir, name) {
		return name
	}
	return ""
}

// known says whether buildx has a builder: one that was removed may still be
// what it notes as the current one, and buildx says nothing of that.
func known(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, "instances", strings.ToLower(name)))
	return name != "" && err == nil
}

// DockerContext is the context of the docker command, "" for the default one.
func DockerContext(getenv func(string) string) string {
	name := getenv("DOCKER_CONTEXT")
	if getenv("DOCKER_HOST") != "" {
		return ""
	}
	if name == "" {
		var config struct{ CurrentContext string }
		dir := cmp.Or(getenv("DOCKER_CONFIG"), filepath.Join(getenv("HOME"), ".docker"))
		if data, err := os.ReadFile(filepath.Join(dir, "config.json")); err == nil && json.Unmarshal(data, &config) == nil {
			name = config.CurrentContext
		}
	}
	if name == "default" {
		return ""
	}
	return name
}

// errNoExport says that a builder is the Docker engine itself.
var errNoExport = errors.New("its driver is docker, which can not hand an image over before it has stored it")

// nodes are the daemons of a builder.
func (b instance) nodes(ctx context.Context) ([]node, error) {
	var all []node
	for _, n := range b.Nodes {
		one := node{name: b.Name + "/" + n.Name}
		for _, p := range n.Platforms {
			one.platforms = append(one.platforms, platforms.FormatAll(platforms.Normalize(p)))
		}
		var err error
		switch b.Driver {
		case "docker-container":
			one.container, one.engine = containerOf(n.Name, n.Endpoint)
			one.address = "docker-container://" + one.container
		case "remote":
			one.address, one.serverName = n.Endpoint, n.DriverOpts["servername"]
			one.ca, one.cert, one.key = n.DriverOpts["cacert"], n.DriverOpts["cert"], n.DriverOpts["key"]
		case "kubernetes":
			one.address, err = podOf(ctx, kubectlTimeout, n.Name, n.Endpoint, n.DriverOpts["namespace"])
		case "docker", "":
			err = hint.Wrap(errNoExport, "docker buildx create --use makes one that can; without --builder another daemon is looked for")
		default:
			err = fmt.Errorf("its driver %q is not known", b.Driver)
		}
		if err != nil {
			return nil, fmt.Errorf("using the builder %s: %w", b.Name, err)
		}
		all = append(all, one)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("using the builder %s: it has no nodes", b.Name)
	}
	return all, nil
}

// ParseBuilder takes --builder apart: PLATFORM[,PLATFORM]=WHERE or WHERE.
func ParseBuilder(text string) (where string, plats []string, err error) {
	before, after, ok := strings.Cut(text, "=")
	if !ok || strings.Contains(before, "://") {
		return text, nil, nil
	}
	plats, err = ParsePlatforms([]string{before})
	if err == nil && (len(plats) == 0 || after == "") {
		err = errors.New("want PLATFORM=NAME or PLATFORM=ADDRESS")
	}
	if err != nil {
		return "", nil, fmt.Errorf("reading --builder %q: %w", text, err)
	}
	return after, plats, nil
}

// chosen are the daemons that were asked for.
func chosen(ctx context.Context, opts EngineOptions) (all []node, err error) {
	free := 0 // builders of which nothing says what they are for
	for _, text := range opts.Builders {
		where, plats, err := ParseBuilder(text)
		if err != nil {
			return nil, err
		}
		nodes := []node{{address: where}}
		if !strings.Contains(where, "://") {
			b, err := readInstance(buildxDir(opts.Getenv), where)
			if err != nil {
				return nil, err
			}
			if nodes, err = b.nodes(ctx); err != nil {
				return nil, err
			}
		}
		for i := range nodes {
			n := &nodes[i]
			if len(plats) > 0 {
				n.platforms, n.named = plats, true
			}
			if dir := opts.TLSDir; dir != "" && n.ca == "" && strings.HasPrefix(n.address, "tcp://") {
				n.ca, n.cert, n.key = filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
			}
		}
		if slices.ContainsFunc(nodes, func(n node) bool { return len(n.platforms) == 0 }) {
			free++
		}
		all = append(all, nodes...)
	}
	if free > 1 {
		return nil, hint.Wrap(errors.New("reading --builder: two of them, and nothing says which platform goes where"), "--builder linux/amd64=… --builder linux/arm64=…")
	}
	return all, nil
}
