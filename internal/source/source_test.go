package source

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/org/secure-build/internal/hint"
	"github.com/org/secure-build/internal/secret"
)

// TestMain lets a test run Load in a process of its own: to see what lands on
// its standard streams, and where an SDK reads its environment only once.
func TestMain(m *testing.M) {
	if lines := os.Getenv("SOURCE_TEST_LOAD"); lines != "" {
		os.Exit(loadInChild(strings.Split(lines, "\n")))
	}
	os.Exit(m.Run())
}

// loadInChild writes the values, or the error, to the file SOURCE_TEST_RESULT.
func loadInChild(lines []string) int {
	set, err := loadLines(Options{AllowKeySource: strings.Fields(os.Getenv("SOURCE_TEST_ALLOW"))}, lines...)
	result := values(set)
	if err != nil {
		result["error"] = err.Error()
	}
	exact := map[string][]byte{} // JSON's strings would lose bytes that are no text
	for id, value := range result {
		exact[id] = []byte(value)
	}
	data, _ := json.Marshal(exact)
	if os.WriteFile(os.Getenv("SOURCE_TEST_RESULT"), data, 0o600) != nil {
		return 1
	}
	return 0
}

// inChild runs Load on the lines in a process of its own and returns the
// values by id, "error", and what the process printed.
func inChild(t *testing.T, env []string, lines ...string) (result map[string]string, printed string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "result.json")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(env, "SOURCE_TEST_LOAD="+strings.Join(lines, "\n"), "SOURCE_TEST_RESULT="+file, "GOCOVERDIR="+t.TempDir(), "PATH="+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("loading in a child: %v\n%s", err, out)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var exact map[string][]byte
	if err := json.Unmarshal(data, &exact); err != nil {
		t.Fatal(err)
	}
	result = map[string]string{}
	for id, value := range exact {
		result[id] = string(value)
	}
	return result, string(out)
}

// tool finds a real program of `make tools`.
func tool(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("SECURE_BUILD_TOOLS")
	if dir == "" {
		dir = filepath.Join("..", "..", "bin", "tools")
	}
	path, err := filepath.Abs(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s is missing: run `make tools`", path)
	}
	return path
}

// A world is a directory with SOPS files and the environment that can read
// them, and nothing of this process'.
type world struct {
	t   testing.TB
	dir string
	env map[string]string
	id  *age.X25519Identity
}

func newWorld(t testing.TB) *world {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: t.TempDir(), id: id}
	w.env = map[string]string{"SOPS_AGE_KEY": id.String(), "HOME": filepath.Join(w.dir, "home"), "PATH": os.Getenv("PATH")}
	return w
}

func (w *world) lookup(name string) (string, bool) {
	value, ok := w.env[name]
	return value, ok
}

func (w *world) options() Options { return Options{Dir: w.dir, LookupEnv: w.lookup} }

func (w *world) environ() []string {
	var env []string
	for k, v := range w.env {
		env = append(env, k+"="+v)
	}
	return env
}

func (w *world) write(name, text string) {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) read(name string) string {
	w.t.Helper()
	data, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(data)
}

// sops runs the real command and returns its standard output.
func (w *world) sops(args ...string) (string, error) {
	cmd := exec.Command(tool(w.t, "sops"), args...)
	cmd.Dir, cmd.Env = w.dir, append(w.environ(), "SOPS_DISABLE_VERSION_CHECK=1")
	var out, messages bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &messages
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("sops %q: %w: %s", args, err, messages.String())
	}
	return out.String(), nil
}

// encrypt writes name, encrypted by the real sops for the world's age key, or
// by the flags and the keys that are given instead.
func (w *world) encrypt(name, plain string, flags ...string) {
	w.t.Helper()
	w.write(name, plain)
	if !slices.ContainsFunc(flags, func(f string) bool { return slices.Contains(keyFlags, f) }) {
		flags = append(flags, "--age", w.id.Recipient().String())
	}
	if _, err := w.sops(slices.Concat([]string{"encrypt", "--in-place"}, flags, []string{name})...); err != nil {
		w.t.Fatal(err)
	}
}

var keyFlags = []string{"--age", "--pgp", "--kms", "--gcp-kms", "--azure-kv", "--hc-vault-transit"}

// encryptByRule encrypts by a creation rule in .sops.yaml, for what has no flag.
func (w *world) encryptByRule(name, plain, rule string) {
	w.t.Helper()
	w.write(name, plain)
	w.write(".sops.yaml", "creation_rules:\n  - "+rule+"\n")
	if _, err := w.sops("encrypt", "--in-place", name); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) load(lines ...string) (secret.Set, error) { return loadLines(w.options(), lines...) }

// mustLoad returns the values by id.
func (w *world) mustLoad(lines ...string) map[string]string {
	w.t.Helper()
	set, err := w.load(lines...)
	if err != nil {
		w.t.Fatalf("loading %q: %v; hints: %q", lines, err, hint.Of(err))
	}
	return values(set)
}

// values are the mounted values by id.
func values(set secret.Set) map[string]string {
	got := map[string]string{}
	for _, s := range set.Mounted() {
		got[s.ID()] = string(s.Reveal())
	}
	return got
}

// loadLines loads --sops lines, and --secret flags where a line has an id=.
func loadLines(opts Options, lines ...string) (secret.Set, error) {
	var refs []Ref
	for _, line := range lines {
		parse := ParseSOPS
		if strings.Contains(line, "id=") {
			parse = ParseSecret
		}
		ref, err := parse(line)
		if err != nil {
			return secret.Set{}, err
		}
		refs = append(refs, ref)
	}
	return Load(context.Background(), refs, opts)
}
