package buildkit

import (
	"strings"
	"testing"

	"github.com/containerd/platforms"
	"github.com/google/go-cmp/cmp"
)

func TestParseAttests(t *testing.T) {
	for _, tt := range []struct {
		attests          []string
		provenance, sbom string
		want             map[string]string
		err              string
	}{
		{want: map[string]string{}},
		{provenance: "true", want: map[string]string{"provenance": "type=provenance"}},
		{provenance: "false", sbom: "true", want: map[string]string{"provenance": "", "sbom": "type=sbom"}},
		{provenance: "mode=max", want: map[string]string{"provenance": "type=provenance,mode=max"}},
		{sbom: "generator=image:1", want: map[string]string{"sbom": "type=sbom,generator=image:1"}},
		// The short form comes last, and counts.
		{attests: []string{"type=provenance,mode=min"}, provenance: "mode=max", want: map[string]string{"provenance": "type=provenance,mode=max"}},
		{attests: []string{"type=sbom", "type=sbom,disabled=true"}, want: map[string]string{"sbom": ""}},
		{attests: []string{`type=provenance,"builder-id=a,b"`}, want: map[string]string{"provenance": `type=provenance,"builder-id=a,b"`}},
		{attests: []string{"mode=max"}, err: "no type is given"},
		{attests: []string{"type=sbom,disabled=perhaps"}, err: "neither true nor false"},
		{provenance: "mode=most", err: `the mode "most" is neither min nor max`},
		{attests: []string{"sbom"}, err: "no NAME=VALUE pair"},
	} {
		got, err := ParseAttests(tt.attests, tt.provenance, tt.sbom)
		if !says(err, tt.err) {
			t.Errorf("%q %q %q: got error %v, want %q", tt.attests, tt.provenance, tt.sbom, err, tt.err)
		} else if diff := cmp.Diff(tt.want, got); diff != "" && tt.err == "" {
			t.Errorf("%q %q %q (-want +got):\n%s", tt.attests, tt.provenance, tt.sbom, diff)
		}
	}
}

// says holds an error against a part of its text, "" for no error.
func says(err error, want string) bool {
	if err == nil || want == "" {
		return err == nil && want == ""
	}
	return strings.Contains(err.Error(), want)
}

func TestParseOutputs(t *testing.T) {
	for _, tt := range []struct {
		items []string
		want  Outputs
		err   string
	}{
		{},
		{items: []string{"type=registry"}, want: Outputs{Targets: []Target{{Type: OutputPush}}, Image: map[string]string{}}},
		{items: []string{"type=registry,push=false"}, want: Outputs{Targets: []Target{{Type: OutputImage}}, Image: map[string]string{}}},
		{items: []string{"type=image,push=true,name=a:1,unpack=false"}, want: Outputs{Targets: []Target{{Type: OutputPush, Name: "a:1"}}, Image: map[string]string{}}},
		{items: []string{"type=image"}, want: Outputs{Targets: []Target{{Type: OutputImage}}, Image: map[string]string{}}},
		{items: []string{"type=image,name=a,push-by-digest=true,name-canonical=true,push=true"}, want: Outputs{Targets: []Target{{Type: OutputPush, Name: "a", ByDigest: true}}, Image: map[string]string{}}},
		{items: []string{"type=registry,registry.insecure=true"}, want: Outputs{Targets: []Target{{Type: OutputPush, Insecure: true}}, Image: map[string]string{}}},
		{items: []string{"type=registry,registry.insecure=maybe"}, err: "registry.insecure=maybe is neither true nor false"},
		{items: []string{"type=oci,dest=a.tar,compression=zstd", "type=docker"}, want: Outputs{
			Targets: []Target{{Type: OutputOCI, Dest: "a.tar"}, {Type: OutputDocker}}, Image: map[string]string{"compression": "zstd"}}},
		{items: []string{"out/files"}, want: Outputs{Targets: []Target{{Type: OutputLocal, Dest: "out/files"}}, Files: map[string]string{}}},
		{items: []string{"a=b"}, want: Outputs{Targets: []Target{{Type: OutputLocal, Dest: "a=b"}}, Files: map[string]string{}}},
		{items: []string{"-"}, want: Outputs{Targets: []Target{{Type: OutputTar, Dest: "-"}}, Files: map[string]string{}}},
		{items: []string{"type=local,dest=d,platform-split=false"}, want: Outputs{Targets: []Target{{Type: OutputLocal, Dest: "d"}}, Files: map[string]string{"platform-split": "false"}}},
		{items: []string{"type=cacheonly"}, want: Outputs{Targets: []Target{{Type: OutputNone}}, Image: map[string]string{}}},
		{items: []string{"type=oci"}, want: Outputs{Targets: []Target{{Type: OutputOCI, Dest: "-"}}, Image: map[string]string{}}},
		{items: []string{"type=tar"}, want: Outputs{Targets: []Target{{Type: OutputTar, Dest: "-"}}, Files: map[string]string{}}},
		{items: []string{"type=oci", "type=tar"}, err: "several of them go to standard output"},
		{items: []string{"type=oci,tar=false"}, err: "dest is missing"},
		{items: []string{"type=local,dest=-"}, err: "a folder cannot go to standard output"},
		{items: []string{"type=local"}, err: "dest is missing"},
		{items: []string{"type=local,dest=d,mode=delete"}, err: "mode=delete"},
		{items: []string{"type=docker,dest=d,tar=false"}, err: "tar=false needs type=oci"},
		{items: []string{"type=docker,context=other"}, err: "context="},
		{items: []string{"dest=a,compression=zstd"}, err: "no type is given"},
		{items: []string{"type=scroll,dest=a"}, err: `the type "scroll" is not known`},
		{items: []string{"type=oci,dest=-", "-"}, err: "several of them go to standard output"},
		{items: []string{"type=oci,dest=a,compression=gzip", "type=oci,dest=b,compression=zstd"}, err: "another output says compression=gzip"},
		{items: []string{"type=image,push=perhaps"}, err: "push=perhaps"},
	} {
		got, err := ParseOutputs(tt.items)
		if !says(err, tt.err) {
			t.Errorf("%q: got error %v, want %q", tt.items, err, tt.err)
		} else if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.items, diff)
		}
	}
}

func TestParseAnnotations(t *testing.T) {
	got, err := ParseAnnotations([]string{"a=1", "index:b=2", "manifest[linux/arm64],manifest-descriptor:c=x:y=z"})
	want := map[string]string{"annotation.a": "1", "annotation-index.b": "2", "annotation-manifest[linux/arm64].c": "x:y=z", "annotation-manifest-descriptor.c": "x:y=z"}
	// The value has "=" and ":" of its own: only the first ones are ours.
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, bad := range []string{"a", "=1", "layer:a=1", "manifest[:a=1", "manifest[no/such/plat/form]:a=1"} {
		if got, err := ParseAnnotations([]string{bad}); err == nil {
			t.Errorf("%q: got %v, want an error", bad, got)
		}
	}
}

func TestParseWords(t *testing.T) {
	type row struct{ in, want, err string }
	for name, tt := range map[string]struct {
		parse func(string) (string, error)
		rows  []row
	}{
		"add-host": {func(s string) (string, error) { return ParseHosts([]string{s}) }, []row{
			{"a:1.2.3.4", "a=1.2.3.4", ""}, {"a=1.2.3.4,::1", "a=1.2.3.4,a=::1", ""}, {"a:[::1]", "a=::1", ""},
			{"a:1.2.3.4,b=5.6.7.8,[::1],c:::2", "a=1.2.3.4,b=5.6.7.8,b=::1,c=::2", ""}, {"1.2.3.4,a:1.2.3.4", "", "want NAME:IP"}, {"a:host-gateway", "", "Docker knows only"}, {"a:b", "", "no IP address"}, {"a", "", "want NAME:IP"}, {":1.2.3.4", "", "want NAME:IP"},
		}},
		"resource": {func(s string) (string, error) {
			all, err := ParseResources(strings.Fields(s))
			return csvOf(all), err
		}, []row{
			{"memory=2g memory-swap=-1 cpu-shares=5 cpu-period=6 cpu-quota=7 cpuset-cpus=0-1,3 cpuset-mems=0", `cpuperiod=6,cpuquota=7,"cpusetcpus=0-1,3",cpusetmems=0,cpushares=5,memory=2147483648,memswap=-1`, ""},
			{"memory=1k memory=2k", "memory=2048", ""}, {"memory=1k memory=0", "", ""},
			{"disk=1", "", "a known name"}, {"memory", "", "want NAME=VALUE"}, {"memory=much", "", "much"}, {"cpu-quota=-1", "", "-1 is no limit"}, {"cpu-shares=1.5", "", "1.5"},
		}},
		"ulimit": {func(s string) (string, error) { return ParseUlimits(strings.Fields(s)) }, []row{
			{"nofile=1:2", "nofile=1:2", ""}, {"nofile=5", "nofile=5:5", ""}, {"nofile=1 cpu=2 nofile=3", "cpu=2:2,nofile=3:3", ""}, {"files=1", "", "files"}, {"nofile=2:1", "", "nofile=2:1"},
		}},
		"platform": {func(s string) (string, error) {
			all, err := ParsePlatforms(strings.Fields(s))
			return strings.Join(all, " "), err
		}, []row{
			{"linux/amd64,linux/arm64", "linux/amd64 linux/arm64", ""}, {"linux/x86_64 linux/amd64", "linux/amd64", ""}, {"linux/arm64/v8", "linux/arm64", ""}, {"linux/arm/v7", "linux/arm/v7", ""}, {"local", platforms.FormatAll(platforms.Normalize(platforms.DefaultSpec())), ""}, {"a/b/c/d", "", `"a/b/c/d"`},
		}},
		"allow": {func(s string) (string, error) {
			all, err := ParseAllow([]string{s})
			return strings.Join(all, " "), err
		}, []row{
			{"network.host", "network.host", ""}, {"everything", "", "everything"},
		}},
		"ssh": {func(s string) (string, error) {
			var ids []string
			all, err := ParseSSH(strings.Fields(s), "sock")
			for _, one := range all {
				ids = append(ids, one.ID+"="+strings.Join(one.Paths, "+"))
			}
			return strings.Join(ids, " "), err
		}, []row{
			{"default", "default=sock", ""}, {"a=k1,k2 b=", "a=k1+k2 b=sock", ""}, {"a a", "", "empty or taken"}, {"=k", "", "empty or taken"},
		}},
		"builder": {func(s string) (string, error) {
			where, plats, err := ParseBuilder(s)
			return strings.Join(append(plats, where), " "), err
		}, []row{
			{"tcp://h:1", "tcp://h:1", ""}, {"name", "name", ""}, {"linux/arm64=tcp://h:1", "linux/arm64 tcp://h:1", ""}, {"linux/arm64,linux/amd64=x", "linux/arm64 linux/amd64 x", ""},
			{"kube-pod://p?namespace=n", "kube-pod://p?namespace=n", ""}, {"linux/arm64=", "", "want PLATFORM="}, {"a/b/c/d=x", "", "a/b/c/d"},
		}},
	} {
		for _, r := range tt.rows {
			got, err := tt.parse(r.in)
			if !says(err, r.err) || err == nil && got != r.want {
				t.Errorf("--%s %q: got %q, %v; want %q, %q", name, r.in, got, err, r.want, r.err)
			}
		}
	}
}

func FuzzParseOutputs(f *testing.F) {
	for _, s := range []string{"type=oci,dest=a", "-", "out", `type=local,"dest=a,b"`, "type=registry,name=x:1", `"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, item string) {
		o, err := ParseOutputs([]string{item})
		if err != nil {
			return
		}
		if len(o.Targets) != 1 || o.Targets[0].Type == "" {
			t.Errorf("%q: %+v", item, o)
		}
		if files := o.Has(OutputLocal, OutputTar); files != (o.Files != nil) {
			t.Errorf("%q: files are wanted %v, and asked for %v", item, files, o.Files != nil)
		}
	})
}

func FuzzParseAttests(f *testing.F) {
	for _, s := range []string{"type=sbom", "type=provenance,mode=max", `type=sbom,"generator=a,b"`, "type=sbom,disabled=true", `"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, item string) {
		all, err := ParseAttests([]string{item}, "", "")
		if err != nil {
			return
		}
		for typ, how := range all {
			if how == "" {
				continue
			}
			if f, err := fields(how); err != nil || f["type"] != typ {
				t.Errorf("%q: %q is written as %q: %v", item, typ, how, err)
			}
		}
	})
}
