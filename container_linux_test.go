//go:build linux

package securebuild_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// A container is an image, unpacked, that runc can start.
type container struct {
	dir    string
	key    string // of the demo's secrets
	env    []string
	config v1.Config
}

// asRoot runs a command as root, which Docker's daemon is.
func asRoot(args ...string) *exec.Cmd {
	if os.Geteuid() != 0 {
		args = append([]string{"sudo", "-n"}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	return cmd
}

func newContainer(t *testing.T, img v1.Image) *container {
	t.Helper()
	cfg, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	c := &container{dir: t.TempDir(), config: cfg.Config, env: cfg.Config.Env}
	root := filepath.Join(c.dir, "rootfs")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = asRoot("rm", "-rf", root).Run() })
	for _, layer := range layers {
		content, err := layer.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		// The capabilities of files, and their owners, are kept.
		cmd := asRoot("tar", "--extract", "--same-permissions", "--same-owner", "--numeric-owner", "--xattrs", "--xattrs-include=security.capability", "-C", root)
		cmd.Stdin = content
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	return c
}

// demo puts the demo where a runner puts the checkout, with its secrets in one
// SOPS file.
func (c *container) demo(t *testing.T, tools string) {
	t.Helper()
	keys, err := exec.Command(filepath.Join(tools, "age-keygen")).Output()
	if err != nil {
		t.Fatal(err)
	}
	c.key = string(regexp.MustCompile(`AGE-SECRET-KEY-\S+`).Find(keys))
	recipient := string(regexp.MustCompile(`age1\S+`).Find(keys))
	sops := exec.Command(filepath.Join(tools, "sops"), "encrypt", "--age", recipient, "--filename-override", "secrets.env", "/dev/stdin")
	sops.Stdin = strings.NewReader("NPMRC=//npm.example.com/:_authToken=demo_Zk3vQ8sT1yLw5nRb\nDATABASE_URL=postgres://app:demo-Gx7pWc2mHd@db.example.com/app\n" +
		"KEY=c2VjdXJlLWJ1aWxkIGRlbW8gbGluZSBvbmUs\n")
	sops.Env = append(withoutBuilder(os.Environ()), "HOME="+t.TempDir())
	secrets, err := sops.Output()
	if err != nil {
		t.Fatal(err)
	}
	checkout := t.TempDir()
	if err := os.CopyFS(checkout, os.DirFS("examples/demo")); err != nil {
		t.Fatal(err)
	}
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"secrets.env": secrets, "busybox": busybox} {
		if err := os.WriteFile(filepath.Join(checkout, name), data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := asRoot("cp", "-r", "--no-preserve=ownership", checkout, filepath.Join(c.dir, "rootfs", "builds", "demo")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := asRoot("chmod", "755", filepath.Join(c.dir, "rootfs", "builds", "demo")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// capabilities are those that Docker lets a program gain that asks for them
// (by a file's capabilities, say). The process itself begins with none, since
// it is not root.
var capabilities = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID", "CAP_SETFCAP",
	"CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
}

// run starts the container with a command, as Docker does, and returns what it
// says. The network is ours, so that it reaches the registry.
func (c *container) run(t *testing.T, args ...string) string {
	t.Helper()
	_ = os.Remove(filepath.Join(c.dir, "config.json"))
	spec := asRoot("runc", "spec")
	spec.Dir = c.dir
	if out, err := spec.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(filepath.Join(c.dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var bundle struct {
		OCIVersion string           `json:"ociVersion"`
		Process    map[string]any   `json:"process"`
		Root       map[string]any   `json:"root"`
		Hostname   string           `json:"hostname"`
		Mounts     []map[string]any `json:"mounts"`
		Linux      map[string]any   `json:"linux"` // masks parts of /proc as Docker does
	}
	if err := json.Unmarshal(text, &bundle); err != nil {
		t.Fatal(err)
	}
	if len(bundle.Linux["maskedPaths"].([]any)) == 0 || c.config.User != "1000:1000" {
		t.Fatalf("runc masks %v, and the user is %q", bundle.Linux["maskedPaths"], c.config.User)
	}
	bundle.Root["readonly"] = false
	bundle.Linux["namespaces"] = []map[string]string{{"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}}
	bundle.Process = map[string]any{
		"user": map[string]int{"uid": 1000, "gid": 1000}, "cwd": "/", "env": c.env, "args": append(c.config.Entrypoint, args...),
		"capabilities": map[string][]string{"bounding": capabilities}, "noNewPrivileges": false,
	}
	if text, err = json.Marshal(bundle); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.dir, "config.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := asRoot("runc", "--root", filepath.Join(c.dir, "state"), "run", filepath.Base(filepath.Dir(c.dir)))
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.dir, &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	return out.String()
}
