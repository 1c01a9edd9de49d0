package main_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// withShell begins a Dockerfile whose image can run commands.
const withShell = "FROM scratch AS base\nCOPY sh /bin/sh\nRUN [\"/bin/sh\", \"--install\", \"-s\", \"/bin\"]\n"

// contexts are what people build: one row for each thing that could come out
// differently.
var contexts = []besideRow{
	{name: "one file", files: "FROM scratch\nCOPY Dockerfile /\n"},
	{name: "nothing", files: "FROM scratch\nLABEL only=this\n"},
	{name: "stages", files: "FROM scratch AS a\nCOPY one /one\nFROM scratch AS b\nCOPY --from=a /one /two\nFROM b\nCOPY --from=a /one /three\n-- ctx/one --\n1\n"},
	{name: "run", files: withShell + "RUN echo hello > /hello\n"},
	{name: "heredoc", files: withShell + "RUN <<EOF\necho one > /one\necho two > /two\nEOF\nCOPY <<-\"EOF\" /etc/motd\n\ta $file\n\tEOF\n"},
	{name: "arg in from", files: "ARG BASE=b\nFROM scratch AS a\nCOPY one /a\nFROM scratch AS b\nCOPY one /b\nFROM ${BASE}\nCOPY one /c\n-- ctx/one --\n1\n", flags: []string{"--build-arg", "BASE=a"}},
	{name: "arg from the environment", files: "FROM scratch\nARG PASSED_ON\nARG UNSET\nLABEL passed=$PASSED_ON unset=\"$UNSET\"\n", flags: []string{"--build-arg", "PASSED_ON", "--build-arg", "UNSET"}},
	{name: "ignored files", files: "FROM scratch\nCOPY . /\n-- ctx/.dockerignore --\n*.log\n!keep.log\nsub/**/x\n-- ctx/a.log --\na\n-- ctx/keep.log --\nb\n-- ctx/sub/y/x --\nc\n-- ctx/sub/y/z --\nd\n"},
	{name: "ignored for one Dockerfile", files: "-- ctx/other.Dockerfile --\nFROM scratch\nCOPY . /\n-- ctx/other.Dockerfile.dockerignore --\nno\n-- ctx/no --\nn\n-- ctx/yes --\ny\n", flags: []string{"--file", "ctx/other.Dockerfile"}},
	{name: "Dockerfile elsewhere", files: "-- other/Dockerfile --\nFROM scratch\nCOPY a /\n-- ctx/a --\na\n", flags: []string{"--file", "other/Dockerfile"}},
	{name: "dockerfile", files: "-- ctx/dockerfile --\nFROM scratch\nCOPY dockerfile /\n"},
	{name: "named folder", files: "FROM scratch\nCOPY --from=extra /a /a\nCOPY --from=extra /.hidden /\n-- ctx/x --\n-- more/a --\na\n-- more/.hidden --\nh\n", flags: []string{"--build-context", "extra=more"}},
	{name: "named layout", files: "FROM base.example.com/team/base:1 AS base\nFROM scratch\nCOPY --from=base /etc/name /name\n", flags: []string{"--build-context", "base.example.com/team/base:1=oci-layout://layout"}, layout: true},
	{name: "layout as base", files: "FROM base\nCOPY Dockerfile /\n", flags: []string{"--build-context", "base=oci-layout://layout"}, layout: true},
	{name: "symlinks", files: "FROM scratch\nCOPY . /\n-- ctx/to/file --\nf\n", more: func(dir string) error {
		return errors.Join(os.Symlink("to/file", filepath.Join(dir, "ctx/link")), os.Symlink("nowhere", filepath.Join(dir, "ctx/dangling")),
			os.Symlink("../../etc/passwd", filepath.Join(dir, "ctx/to/out")), os.Symlink("to", filepath.Join(dir, "ctx/folder")))
	}},
	{name: "hard links", files: "FROM scratch\nCOPY . /\n-- ctx/one --\n1\n", more: func(dir string) error {
		return os.Link(filepath.Join(dir, "ctx/one"), filepath.Join(dir, "ctx/two"))
	}},
	{name: "modes and xattrs", files: "FROM scratch\nCOPY . /\n-- ctx/suid --\ns\n-- ctx/secret --\ns\n-- ctx/attr --\na\n", more: func(dir string) error {
		return errors.Join(os.Chmod(filepath.Join(dir, "ctx/suid"), 0o755|os.ModeSetuid), os.Chmod(filepath.Join(dir, "ctx/secret"), 0o600),
			unix.Setxattr(filepath.Join(dir, "ctx/attr"), "user.note", []byte("seen"), 0))
	}},
	{name: "ten thousand files", files: "FROM scratch\nCOPY many /many\n", more: func(dir string) error {
		for i := range 10_000 {
			name := filepath.Join(dir, "ctx/many", fmt.Sprint(i%100), fmt.Sprint(i))
			if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, fmt.Append(nil, i), 0o644)); err != nil {
				return err
			}
		}
		return nil
	}},
	{name: "empty folders", files: "FROM scratch\nCOPY a /x/\nWORKDIR /made/here\n", more: func(dir string) error { return os.MkdirAll(filepath.Join(dir, "ctx/a/b/c"), 0o755) }},
	{name: "chown and chmod", files: withShell + "COPY --chown=12:34 --chmod=640 one /one\nCOPY --chmod=u=rwX,go= one /two\n-- ctx/one --\n1\n"},
	{name: "copy link", files: "FROM scratch\nCOPY --link one /a/one\nCOPY --link --chown=7 two /a/two\n-- ctx/one --\n1\n-- ctx/two --\n2\n"},
	{name: "exclude and parents", files: "FROM scratch\nCOPY --exclude=*.md . /a/\nCOPY --parents sub/./deep/x /b/\n-- ctx/r.md --\nr\n-- ctx/sub/deep/x --\nx\n"},
	{name: "add an archive", files: "FROM scratch\nADD files.tar /unpacked/\n", more: func(dir string) error {
		return errors.Join(os.WriteFile(filepath.Join(dir, "in"), []byte("inside"), 0o644), command(dir, "tar", "-cf", "ctx/files.tar", "--mtime=@1600000000", "in"))
	}},
	{name: "whiteouts", files: withShell + "RUN echo x > /gone && mkdir /d && echo y > /d/y\nRUN rm /gone && rm -r /d && mkdir /d && echo z > /d/z\n"},
	{name: "links made by run", files: withShell + "RUN echo x > /x && ln /x /y && ln -s /x /z && mkfifo /pipe\n"},
	{name: "workdir user shell", files: withShell + "WORKDIR /srv/app\nUSER 1000:100\nSHELL [\"/bin/sh\", \"-ec\"]\nCMD pwd\nENTRYPOINT [\"/bin/sh\"]\nSTOPSIGNAL SIGINT\nVOLUME /data\nEXPOSE 80/tcp 53/udp\n"},
	{name: "onbuild", files: withShell + "ONBUILD COPY Dockerfile /later\nONBUILD RUN echo x > /run\nFROM base\nLABEL last=1\n"},
	{name: "healthcheck", files: withShell + "HEALTHCHECK --interval=5s --timeout=3s --start-period=1s --retries=2 CMD /bin/true\nFROM base\nHEALTHCHECK NONE\n"},
	{name: "env and labels", files: "FROM scratch\nENV A=1 B=\"two words\"\nENV C=${A}-${B:-none}\nLABEL a=$C \"with space\"=x\nMAINTAINER somebody\n", flags: []string{"--label", "b=from, the flag", "--label", "a=over"}},
	{name: "annotations", files: "FROM scratch\nCOPY Dockerfile /\n", flags: []string{"--annotation", "one=1", "--annotation", "manifest:two=2,3", "--annotation", "manifest-descriptor:three=3"}},
	{name: "target", files: "FROM scratch AS one\nCOPY Dockerfile /1\nFROM scratch AS two\nCOPY Dockerfile /2\n", flags: []string{"--target", "one"}},
	{name: "two platforms", files: "FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /arch\n-- ctx/amd64 --\na\n-- ctx/arm64 --\nb\n", flags: []string{"--platform", "linux/amd64,linux/arm64"}},
	{name: "variants", files: "FROM scratch\nARG TARGETPLATFORM\nLABEL p=$TARGETPLATFORM\nCOPY Dockerfile /\n", flags: []string{"--platform", "linux/arm/v7", "--platform", "linux/amd64"}},
	{name: "hosts and limits", files: withShell + "RUN grep -c one.example /etc/hosts > /hosts && ulimit -n > /limit && df -k /dev/shm | tail -1 | tr -s ' ' | cut -d' ' -f2 > /shm\n",
		flags: []string{"--add-host", "one.example:10.0.0.1", "--add-host", "six.example=[::1]", "--ulimit", "nofile=123:456", "--shm-size", "17m"}},
	{name: "what is ignored", files: "FROM scratch\nCOPY Dockerfile /\n", flags: []string{"--rm", "--force-rm=false", "--compress", "--squash", "--isolation", "default", "--security-opt", "seccomp=unconfined"}, env: []string{"BUILDX_EXPERIMENTAL=1"}},
	{name: "no network", files: withShell + "RUN ip link > /links || ls /sys/class/net > /links\n", flags: []string{"--network", "none"}},
	{name: "provenance min", files: "FROM scratch\nCOPY Dockerfile /\n", flags: []string{"--provenance", "mode=min"}},
	{name: "provenance max", files: withShell + "RUN echo x > /x\n", flags: []string{"--attest", "type=provenance,mode=max", "--build-arg", "X=1"}},
	{name: "provenance of two platforms", files: "FROM scratch\nARG TARGETARCH\nLABEL a=$TARGETARCH\nCOPY Dockerfile /\n", flags: []string{"--provenance", "true", "--platform", "linux/arm64,linux/amd64"}},
	{name: "no provenance", files: "FROM scratch\nCOPY Dockerfile /\n", flags: []string{"--provenance", "false"}},
	{name: "zstd", files: "FROM scratch\nCOPY Dockerfile /zstd\n", output: ",compression=zstd,force-compression=true"},
	{name: "rewritten times", files: "FROM scratch\nCOPY Dockerfile /rewritten\n", output: ",rewrite-timestamp=true"},
	{name: "epoch as an argument", files: "FROM scratch\nCOPY Dockerfile /epoch\n", flags: []string{"--build-arg", "SOURCE_DATE_EPOCH=1234567890"}},
	{name: "stage without cache", files: withShell + "FROM base AS fresh\nRUN echo steady > /steady\nFROM scratch\nCOPY --from=fresh /steady /\n", flags: []string{"--no-cache-filter", "fresh"}, output: ",rewrite-timestamp=true"},
	{name: "bind and cache mounts", files: withShell + "RUN --mount=type=bind,target=/src --mount=type=cache,target=/c --mount=type=tmpfs,target=/t cp /src/Dockerfile /copied\n"},
	{name: "folder", files: "FROM scratch\nCOPY Dockerfile /\n", flags: []string{"--tag", "team/app:1"}, to: "type=local,dest=WHO"},
	{name: "folder of two platforms", files: "FROM scratch\nARG TARGETARCH\nCOPY Dockerfile /$TARGETARCH\n", flags: []string{"--platform", "linux/amd64,linux/arm64"}, to: "type=local,dest=WHO"},
	{name: "archive of files", files: "FROM scratch\nCOPY Dockerfile /\n", to: "type=tar,dest=WHO.tar"},
	{name: "archive for Docker", files: "FROM scratch\nCOPY Dockerfile /\n", flags: []string{"--tag", "team/app:1"}, to: "type=docker,dest=WHO.tar"},
	{name: "cache only", files: "FROM scratch\nCOPY Dockerfile /\n", flags: []string{"--tag", "team/app:1"}, to: "type=cacheonly"},
	{name: "image", files: "FROM scratch\nCOPY Dockerfile /\n", flags: []string{"--tag", "team/app:1"}, to: "type=image"},
	{name: "image without provenance", files: "FROM scratch\nCOPY Dockerfile /\n", flags: []string{"--tag", "team/app:1", "--provenance=false"}, to: "type=image"},
	{name: "push", files: "FROM scratch\nCOPY Dockerfile /\n", to: "type=registry,name=REGISTRY/WHO:1"},
	{name: "push without provenance", files: "FROM scratch\nCOPY Dockerfile /\n", flags: []string{"--provenance=false"}, to: "type=registry,name=REGISTRY/WHO:1"},
	{name: "push by digest", files: "FROM scratch\nCOPY Dockerfile /\n", to: "type=image,push=true,push-by-digest=true,name=REGISTRY/WHO"},
	{name: "push of two platforms", files: "FROM scratch\nARG TARGETARCH\nCOPY Dockerfile /$TARGETARCH\n", flags: []string{"--platform", "linux/amd64,linux/arm64"}, to: "type=registry,name=REGISTRY/WHO:1"},
	{name: "two platforms without provenance", files: "FROM scratch\nARG TARGETARCH\nCOPY Dockerfile /$TARGETARCH\n", flags: []string{"--platform", "linux/amd64,linux/arm64", "--provenance=false"},
		lacks: []string{"buildx.build.provenance/linux/amd64", "buildx.build.provenance/linux/arm64"}},
	{name: "whole provenance", files: withShell + "RUN echo x > /whole\n", env: []string{"BUILDX_METADATA_PROVENANCE=max"}},
	{name: "disabled provenance", files: "FROM scratch\nCOPY Dockerfile /\n", env: []string{"BUILDX_METADATA_PROVENANCE=false"}},
	{name: "warnings", files: "from scratch AS a\nCOPY Dockerfile /\n", env: []string{"BUILDX_METADATA_WARNINGS=1"}},
	{name: "docker media types", files: "FROM scratch\nCOPY Dockerfile /docker\n", output: ",oci-mediatypes=false"},
	{name: "several outputs", files: "FROM scratch\nCOPY Dockerfile /\n", flags: []string{"--output", "type=local,dest=more"}},
	{name: "label without a value", files: "FROM scratch\nLABEL a=1\n", flags: []string{"--label", "a", "--label", "b="}},
	{name: "arg that is empty in the environment", files: "FROM scratch\nARG A=none\nARG B=none\nLABEL a=$A b=$B\n", flags: []string{"--build-arg", "A", "--build-arg", "B"}, env: []string{"A="}},
	{name: "list of hosts", files: withShell + "RUN grep example /etc/hosts > /list\n", flags: []string{"--add-host", "one.example:10.0.0.1,two.example=10.0.0.2", "--add-host", "three.example:10.0.0.3"}},
	{name: "platform of the environment", files: "FROM scratch\nARG TARGETPLATFORM\nLABEL p=$TARGETPLATFORM\n", env: []string{"DOCKER_DEFAULT_PLATFORM=linux/s390x"}},
	{name: "platform of this machine", files: "FROM scratch\nARG TARGETPLATFORM\nLABEL p=$TARGETPLATFORM\n", flags: []string{"--platform", "local"}, env: []string{"DOCKER_DEFAULT_PLATFORM=linux/s390x"}},
	{name: "labels of the commit", files: "FROM scratch\nCOPY Dockerfile /\n-- ctx/sub/Dockerfile --\nFROM scratch\nCOPY Dockerfile /sub\n", flags: []string{"--file", "ctx/sub/Dockerfile", "--label", "org.opencontainers.image.source=mine"}, more: workingTree, env: []string{"BUILDX_GIT_LABELS=1", "BUILDX_GIT_CHECK_DIRTY=1"}},
	{name: "nothing in many lists", files: "FROM scratch\nCOPY Dockerfile /\n", flags: []string{"--secret", "", "--ssh", "", "--build-context", "", "--annotation", "", "--add-host", "", "--cache-from", "", "--cache-to", "",
		"--output", "", "--allow", "", "--network", "", "--provenance", "", "--sbom", "", "--target", "", "--file", "", "--iidfile", "", "--call", "", "--cgroup-parent", ""}},
	{name: "another escape", files: "# escape=`\nFROM scratch\nCOPY `\n Dockerfile /\n"},
}

// workingTree makes a working tree of the context, with a change that is in no commit.
func workingTree(dir string) error {
	git := func(args ...string) error {
		return command(filepath.Join(dir, "ctx"), "git", append([]string{"-c", "user.name=somebody", "-c", "user.email=somebody@example.com"}, args...)...)
	}
	return errors.Join(git("init", "-q", "-b", "main"), git("remote", "add", "origin", "https://somebody:password@example.com/team/app.git"),
		git("add", "."), git("commit", "-q", "-m", "first"), os.WriteFile(filepath.Join(dir, "ctx", "new"), nil, 0o644))
}

func command(dir, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}
