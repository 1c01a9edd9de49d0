// Command image collects what the image of the Dockerfile holds, in one archive:
// our binary, buildkitd, and what rootless needs from this system (runc,
// rootlesskit, newuidmap) with the libraries that they load.
//
// The same parts give the same bytes, whoever collects them and when: entries
// are sorted, owners are set, and every time is SOURCE_DATE_EPOCH. It makes the
// archive itself, and no folder, since it takes root to give a file away, and
// to give it the capability that newuidmap needs.
package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	root := flag.String("root", ".", "folder of the source")
	binary := flag.String("binary", "bin/secure-build", "our binary")
	tools := flag.String("tools", cmp.Or(os.Getenv("SECURE_BUILD_TOOLS"), "bin/tools"), "folder with buildkitd")
	out := flag.String("o", "bin/image/rootfs.tar", "archive to write")
	flag.Parse()
	if err := run(*root, *binary, *tools, *out); err != nil {
		fmt.Fprintf(os.Stderr, "image: error: %v\nimage: hint: make image sets up what it needs\n", err)
		os.Exit(1)
	}
}

func run(root, binary, tools, out string) error {
	epoch, err := strconv.ParseInt(cmp.Or(os.Getenv("SOURCE_DATE_EPOCH"), "0"), 10, 64)
	if err != nil {
		return fmt.Errorf("reading SOURCE_DATE_EPOCH: %w", err)
	}
	for _, name := range []*string{&root, &binary, &tools} { // what has no slash is looked up in PATH
		if *name, err = filepath.Abs(*name); err != nil {
			return err
		}
	}
	files, err := collect(root, binary, tools)
	if err != nil {
		return err
	}
	var archive bytes.Buffer
	if err := write(&archive, files, time.Unix(epoch, 0)); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	return os.WriteFile(out, archive.Bytes(), 0o644)
}

// A file of the image.
type file struct {
	mode  int64
	owner int
	link  string
	data  []byte
	caps  string // of security.capability
}

// Capabilities of a program, as the kernel keeps them with the file
// (capabilities(7), VFS_CAP_REVISION_2): the effective bit, and one permitted
// capability. With them newuidmap keeps the user's id, which owns the new
// namespace. As a set-user-id program it would need CAP_SYS_ADMIN there, which
// no container gives.
const (
	capSetgid = "\x01\x00\x00\x02\x40" + zeros
	capSetuid = "\x01\x00\x00\x02\x80" + zeros
	zeros     = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
)

// user is whom the image runs as.
const user = 1000

// subordinate are the ids for the steps of builds. Root has them too, as whom
// some runners start every job: in a container he may mount nothing either.
const subordinate = "user:100000:65536\nroot:100000:65536\n"

// collect names every file of the image by its path.
func collect(root, binary, tools string) (map[string]file, error) {
	files := map[string]file{
		"home/user": {mode: 0o755, owner: user},
		"tmp":       {mode: 0o1777},
		"builds":    {mode: 0o1777}, // a runner puts the checkout there
		"bin":       {link: "usr/bin"}, "sbin": {link: "usr/sbin"}, "lib": {link: "usr/lib"}, "lib64": {link: "usr/lib64"},
		"usr/sbin": {mode: 0o755}, "usr/lib64": {mode: 0o755}, "usr/lib": {mode: 0o755},
		"dev": {mode: 0o755}, "proc": {mode: 0o755}, "sys": {mode: 0o755}, "run": {mode: 0o755}, "root": {mode: 0o700},
		"var/run": {link: "../run"}, "var/tmp": {link: "../tmp"},
		"etc/passwd":        text("root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n"),
		"etc/group":         text("root:x:0:\nuser:x:1000:\n"),
		"etc/subuid":        text(subordinate),
		"etc/subgid":        text(subordinate),
		"etc/nsswitch.conf": text("hosts: files dns\n"),
	}
	certificates, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt")
	if err != nil {
		return nil, err
	}
	files["etc/ssl/certs/ca-certificates.crt"] = text(string(certificates))
	for _, p := range []struct{ name, caps string }{
		{binary, ""},
		{filepath.Join(root, "entrypoint.sh"), ""},
		{filepath.Join(tools, "buildkitd"), ""},
		{"runc", ""},
		{"rootlesskit", ""},
		{"newuidmap", capSetuid},
		{"newgidmap", capSetgid},
		{"/bin/busybox", ""}, // a shell, since a runner starts a job with one
	} {
		if err := program(files, p.name, p.caps); err != nil {
			return nil, err
		}
	}
	return files, applets(files)
}

func text(s string) file { return file{mode: 0o644, data: []byte(s)} }

// program adds a program, and the libraries that it loads, at their places.
func program(files map[string]file, name, caps string) error {
	found, err := exec.LookPath(name)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(found)
	if err != nil {
		return err
	}
	files["usr/bin/"+filepath.Base(found)] = file{mode: 0o755, data: data, caps: caps}
	loads, _ := exec.Command("ldd", found).Output() // it fails for a static one
	for line := range strings.Lines(string(loads)) {
		i := strings.IndexByte(line, '/')
		if i < 0 {
			continue // the kernel's own
		}
		library := strings.Fields(line[i:])[0]
		if data, err = os.ReadFile(library); err != nil {
			return err
		}
		files["usr/"+strings.TrimPrefix(strings.TrimPrefix(library, "/"), "usr/")] = file{mode: 0o755, data: data}
	}
	return nil
}

// applets adds a link for each program that busybox can be.
func applets(files map[string]file) error {
	list, err := exec.Command("/bin/busybox", "--list").Output()
	if err != nil {
		return fmt.Errorf("asking busybox for its applets: %w", err)
	}
	for _, name := range strings.Fields(string(list)) {
		if name = "usr/bin/" + name; files[name].mode == 0 {
			files[name] = file{link: "busybox"}
		}
	}
	return nil
}

// write makes the archive, with the folders that lead to the files.
func write(w io.Writer, files map[string]file, at time.Time) error {
	files = maps.Clone(files)
	for _, name := range slices.Collect(maps.Keys(files)) {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if _, ok := files[dir]; !ok {
				files[dir] = file{mode: 0o755}
			}
		}
	}
	archive := tar.NewWriter(w)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f := files[name]
		h := &tar.Header{Name: name, Mode: f.mode, Uid: f.owner, Gid: f.owner, ModTime: at, Size: int64(len(f.data)), Typeflag: tar.TypeReg, Format: tar.FormatPAX}
		switch {
		case f.link != "":
			h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, f.link, 0o777
		case f.data == nil:
			h.Typeflag, h.Name = tar.TypeDir, name+"/"
		}
		if f.caps != "" {
			h.PAXRecords = map[string]string{"SCHILY.xattr.security.capability": f.caps}
		}
		if err := archive.WriteHeader(h); err != nil {
			return fmt.Errorf("archiving %s: %w", name, err)
		}
		if _, err := archive.Write(f.data); err != nil {
			return fmt.Errorf("archiving %s: %w", name, err)
		}
	}
	return archive.Close()
}
