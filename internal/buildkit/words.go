package buildkit

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/platforms"
	"github.com/docker/go-units"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"github.com/moby/buildkit/util/entitlements"
	"github.com/org/secure-build/internal/hint"
)

// fields reads one record of comma separated NAME=VALUE fields, the way in which
// buildx writes outputs and attestations. Names are in lower case.
func fields(text string) (map[string]string, error) {
	r := csv.NewReader(strings.NewReader(text))
	record, err := r.Read()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.New("not comma separated fields")
	}
	all := map[string]string{}
	for _, f := range record {
		name, value, ok := strings.Cut(f, "=")
		if !ok {
			return nil, fmt.Errorf("the field %q is no NAME=VALUE pair", f)
		}
		all[strings.ToLower(strings.TrimSpace(name))] = value
	}
	return all, nil
}

// csvOf is the opposite of fields, in a steady order with type first.
func csvOf(all map[string]string) string {
	names := slices.Sorted(maps.Keys(all))
	slices.SortStableFunc(names, func(a, b string) int {
		switch "type" {
		case a:
			return -1
		case b:
			return 1
		}
		return 0
	})
	var record []string
	for _, name := range names {
		record = append(record, name+"="+all[name])
	}
	var b strings.Builder
	w := csv.NewWriter(&b)
	_ = w.Write(record) // into memory
	w.Flush()
	return strings.TrimSuffix(b.String(), "\n")
}

// ParseAttests reads --attest, --provenance and --sbom as buildx does: of two
// attestations of one type the last counts. The result is by type; one that is
// turned off is "".
func ParseAttests(attests []string, provenance, sbom string) (map[string]string, error) {
	for typ, value := range map[string]string{"provenance": provenance, "sbom": sbom} {
		if value == "" {
			continue
		}
		short := "type=" + typ + "," + value
		if on, err := strconv.ParseBool(value); err == nil {
			short = fmt.Sprintf("type=%s,disabled=%t", typ, !on)
		}
		attests = append(attests, short)
	}
	all := map[string]string{}
	for _, a := range attests {
		f, err := fields(a)
		if err == nil && f["type"] == "" {
			err = errors.New("no type is given")
		}
		off := false
		if d, ok := f["disabled"]; ok && err == nil {
			if off, err = strconv.ParseBool(d); err != nil {
				err = fmt.Errorf("disabled=%s is neither true nor false", d)
			}
			delete(f, "disabled")
		}
		if err == nil && f["type"] == "provenance" && f["mode"] != "" && f["mode"] != "min" && f["mode"] != "max" {
			err = fmt.Errorf("the mode %q is neither min nor max", f["mode"])
		}
		if err != nil {
			return nil, hint.Wrap(fmt.Errorf("reading the attestation %q: %w", a, err), "such as --provenance mode=max, --sbom true or --attest type=sbom,generator=REF")
		}
		all[f["type"]] = csvOf(f)
		if off {
			all[f["type"]] = ""
		}
	}
	return all, nil
}

var annotationType = regexp.MustCompile(`^([a-z-]+)(?:\[([A-Za-z0-9_/-]+)\])?$`)

// ParseAnnotations reads --annotation, [TYPE[PLATFORM],…:]NAME=VALUE, into the
// exporter's attributes.
func ParseAnnotations(items []string) (map[string]string, error) {
	attrs := map[string]string{}
	for _, item := range items {
		name, value, ok := strings.Cut(item, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("reading --annotation %q: want [TYPE:]NAME=VALUE", item)
		}
		types, key, typed := strings.Cut(name, ":")
		if !typed {
			attrs[exptypes.AnnotationKey{Key: name}.String()] = value
			continue
		}
		for t := range strings.SplitSeq(types, ",") {
			k, err := annotationKey(t)
			if err != nil {
				return nil, hint.Wrap(fmt.Errorf("reading --annotation %q: %w", item, err), "TYPE is manifest, index, manifest-descriptor or index-descriptor, and may name a platform: manifest[linux/arm64]:NAME=VALUE")
			}
			k.Key = key
			attrs[k.String()] = value
		}
	}
	return attrs, nil
}

func annotationKey(text string) (k exptypes.AnnotationKey, err error) {
	m := annotationType.FindStringSubmatch(text)
	if m == nil {
		return k, fmt.Errorf("%q is no type of annotation", text)
	}
	switch k.Type = m[1]; k.Type {
	case exptypes.AnnotationIndex, exptypes.AnnotationIndexDescriptor, exptypes.AnnotationManifest, exptypes.AnnotationManifestDescriptor:
	default:
		return k, fmt.Errorf("%q is no type of annotation", k.Type)
	}
	if m[2] == "" {
		return k, nil
	}
	p, err := platforms.Parse(m[2])
	k.Platform = &p
	return k, err
}

// ParseHosts reads --add-host, a list of NAME:IP or NAME=IP, into what the frontend
// takes. An address alone is another one of the name before it.
func ParseHosts(items []string) (string, error) {
	var hosts []string
	for _, item := range items {
		last := ""
		for part := range strings.SplitSeq(item, ",") {
			name, ip, err := extraHost(part, last)
			if err != nil {
				return "", fmt.Errorf("reading --add-host %q: %w", item, err)
			}
			hosts, last = append(hosts, name+"="+ip), name
		}
	}
	return strings.Join(hosts, ","), nil
}

func extraHost(part, last string) (name, ip string, err error) {
	bare := func(ip string) string {
		if strings.HasPrefix(ip, "[") && strings.HasSuffix(ip, "]") {
			return ip[1 : len(ip)-1]
		}
		return ip
	}
	if ip = bare(part); last != "" && net.ParseIP(ip) != nil {
		return last, ip, nil
	}
	name, ip, ok := strings.Cut(part, "=")
	if !ok {
		name, ip, ok = strings.Cut(part, ":")
	}
	switch ip = bare(ip); {
	case !ok || name == "":
		return "", "", errors.New("want NAME:IP")
	case ip == "host-gateway":
		return "", "", hint.Wrap(errors.New("host-gateway is an address that Docker knows only"), "name the address: ip -4 addr show docker0 says Docker's")
	case net.ParseIP(ip) == nil:
		return "", "", fmt.Errorf("%q is no IP address", ip)
	}
	return name, ip, nil
}

// ParseSize reads --shm-size, in bytes or with a unit; "" is 0.
func ParseSize(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := units.RAMInBytes(text)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("reading --shm-size: %q is no size such as 128m", text)
	}
	return n, nil
}

// ParseUlimits reads --ulimit, NAME=SOFT[:HARD]; of two for one name the last
// counts.
func ParseUlimits(items []string) (string, error) {
	last := map[string]string{}
	for _, item := range items {
		u, err := units.ParseUlimit(item)
		if err != nil {
			return "", hint.Wrap(fmt.Errorf("reading --ulimit %q: %w", item, err), "such as nofile=1024:2048")
		}
		last[u.Name] = u.String()
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(last)) {
		all = append(all, last[name])
	}
	return strings.Join(all, ","), nil
}

// resources are the limits of --resource, by the names that the frontend has for
// them.
var resources = map[string]string{
	"memory": "memory", "memory-swap": "memswap", "cpu-shares": "cpushares", "cpu-period": "cpuperiod", "cpu-quota": "cpuquota",
	"cpuset-cpus": "cpusetcpus", "cpuset-mems": "cpusetmems",
}

// ParseResources reads --resource, NAME=VALUE, into attributes of the frontend; of
// two for one name the last counts, and what is 0 is no limit.
func ParseResources(items []string) (map[string]string, error) {
	all := map[string]string{}
	for _, item := range items {
		name, value, ok := strings.Cut(item, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		attr := resources[name]
		n, err := int64(0), error(nil)
		switch {
		case !ok || attr == "":
			err = errors.New("want NAME=VALUE with a known name")
		case strings.HasPrefix(name, "cpuset-"):
			all[attr] = value
			continue
		case name == "memory-swap" && value == "-1":
			n = -1
		case strings.HasPrefix(name, "memory"):
			n, err = units.RAMInBytes(value)
		default:
			n, err = strconv.ParseInt(value, 10, 64)
		}
		if err == nil && n < 0 && name != "memory-swap" {
			err = fmt.Errorf("%d is no limit", n)
		}
		if err != nil {
			return nil, hint.Wrap(fmt.Errorf("reading --resource %q: %w", item, err), "NAME is one of %s", strings.Join(slices.Sorted(maps.Keys(resources)), ", "))
		}
		if all[attr] = strconv.FormatInt(n, 10); n == 0 {
			delete(all, attr)
		}
	}
	return all, nil
}

// ParseAllow reads --allow.
func ParseAllow(items []string) ([]string, error) {
	for _, item := range items {
		if _, _, err := entitlements.Parse(item); err != nil {
			return nil, hint.Wrap(fmt.Errorf("reading --allow %q: %w", item, err), "network.host, security.insecure or device")
		}
	}
	return items, nil
}

// ParsePlatforms reads --platform, which may have several in one, and writes
// each out in full. "local" is this machine's own.
func ParsePlatforms(items []string) ([]string, error) {
	var all []string
	for p := range strings.SplitSeq(strings.Join(items, ","), ",") {
		if p = strings.TrimSpace(p); p == "" {
			continue
		}
		parsed, err := platforms.DefaultSpec(), error(nil)
		if p != "local" {
			parsed, err = platforms.Parse(p)
		}
		if err != nil {
			return nil, hint.Wrap(fmt.Errorf("reading --platform %q: %w", p, err), "a platform is OS/ARCH[/VARIANT], such as linux/arm64")
		}
		if p = platforms.FormatAll(platforms.Normalize(parsed)); !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all, nil
}

// SSH is an agent, or private keys, that a build may use and never sees.
type SSH struct {
	ID    string
	Paths []string // one socket, or files with keys
}

// ParseSSH reads --ssh, default or ID[=SOCKET|KEY[,KEY]]. Without a path it is
// the agent at socket, the value of SSH_AUTH_SOCK.
func ParseSSH(items []string, socket string) ([]SSH, error) {
	var all []SSH
	for _, item := range items {
		id, paths, ok := strings.Cut(item, "=")
		s := SSH{ID: id, Paths: strings.Split(paths, ",")}
		if !ok || paths == "" {
			s.Paths = []string{socket}
			if socket == "" {
				return nil, hint.Wrap(fmt.Errorf("reading --ssh %q: there is no agent", item), "start one (SSH_AUTH_SOCK says where it is), or name a key: --ssh %s=FILE", id)
			}
		}
		if s.ID == "" || slices.ContainsFunc(all, func(other SSH) bool { return other.ID == id }) {
			return nil, fmt.Errorf("reading --ssh %q: an id that is empty or taken", item)
		}
		all = append(all, s)
	}
	return all, nil
}
