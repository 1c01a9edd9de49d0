package main_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestHuntFinds shows for each place that a canary in it is found: a hunt that
// cannot fail would prove nothing.
func TestHuntFinds(t *testing.T) {
	tests := []struct {
		name  string
		plant func(t *testing.T, s *scene, value string)
		place string
	}{
		{"stdout", func(_ *testing.T, s *scene, v string) { s.runs = append(s.runs, run{stdout: "a" + v}) }, "stdout of run 1"},
		{"stderr", func(_ *testing.T, s *scene, v string) { s.runs = append(s.runs, run{stderr: v + "b"}) }, "stderr of run 1"},
		{"two lines of progress", func(_ *testing.T, s *scene, v string) {
			s.runs = append(s.runs, run{stderr: "#7 0.123 it is " + v[:10] + "\n#7 1.234 \x1b[1m" + v[10:] + "\n"})
		}, "stderr of run 1 without line breaks and prefixes"},
		{"a torn value", func(_ *testing.T, s *scene, v string) {
			s.runs = append(s.runs, run{stdout: v[:5] + "other output" + v[5:15] + "\nand more" + v[15:]})
		}, "a piece of c in stdout of run 1"},
		{"a file", write("report/findings.json"), "report/findings.json"},
		{"a hidden file", write("home/.cache/x/.y"), "home/.cache/x/.y"},
		{"the temporary folder", write("tmp/x"), "tmp/x"},
		{"the private daemon", write("cache/buildkit/content/blob"), "cache/buildkit/content/blob"},
		{"a file's name", func(t *testing.T, s *scene, v string) { write("tmp/"+v)(t, s, "") }, "the name"},
		{"a link", func(t *testing.T, s *scene, v string) {
			check(t, os.Symlink(v, filepath.Join(s.work, "link")))
		}, "the link"},
		{"the daemon's state", func(t *testing.T, s *scene, v string) {
			check(t, os.WriteFile(filepath.Join(s.daemon, "history.db"), []byte("\x00"+v), 0o600))
		}, "history.db"},
		{"a layer of the registry", func(t *testing.T, s *scene, v string) {
			send(t, s, "/v2/app/blobs/uploads/", zipped(t, v))
		}, "the request POST /v2/app/blobs/uploads/"},
		{"a write that the registry refuses", func(t *testing.T, s *scene, v string) {
			s.registry.refusal = http.StatusForbidden
			send(t, s, "/v2/app/blobs/uploads/", []byte(v))
		}, "the request POST"},
		{"a URL", func(t *testing.T, s *scene, v string) { send(t, s, "/v2/"+v+"/blobs/uploads/", nil) }, "the request POST"},
		{"arguments", sleeps(func(v string) *exec.Cmd { return exec.Command("sh", "-c", "sleep 0.2; :", v) }), "the arguments of sh"},
		{"a child's arguments", sleeps(func(v string) *exec.Cmd {
			return exec.Command("sh", "-c", "sh -c 'sleep 0.2; :' "+v[:13]+v[13:]+"; :")
		}), "the arguments of sh"},
		{"the environment", sleeps(func(v string) *exec.Cmd {
			cmd := exec.Command("sleep", "0.2")
			cmd.Env = []string{"X=" + v}
			return cmd
		}), "the environment of sleep"},
		{"a child's environment", func(t *testing.T, s *scene, v string) {
			s.canaries[0].exported = true // the command may have it, its children may not
			sleeps(func(v string) *exec.Cmd {
				cmd := exec.Command("sh", "-c", "sleep 0.2; :")
				cmd.Env = []string{"X=" + v}
				return cmd
			})(t, s, v)
		}, "the environment of sleep"},
		{"/dev/shm", func(t *testing.T, _ *scene, v string) {
			f, err := os.CreateTemp("/dev/shm", "")
			check(t, err)
			t.Cleanup(func() { _ = f.Close(); _ = os.Remove(f.Name()) })
			_, err = f.WriteString(v)
			check(t, err)
		}, "/dev/shm/"},
		{"an anonymous file", func(t *testing.T, _ *scene, v string) {
			fd, err := unix.MemfdCreate("x", unix.MFD_CLOEXEC)
			check(t, err)
			f := os.NewFile(uintptr(fd), "x")
			t.Cleanup(func() { _ = f.Close() })
			_, err = f.WriteString(v)
			check(t, err)
		}, "/fd/"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newTestScene(t)
			tt.plant(t, s, s.canaries[0].value)
			h, err := s.hunt(false)
			check(t, err)
			if !strings.Contains(strings.Join(h.found, "\n"), tt.place) {
				t.Errorf("found %q, want it in %s", h.found, tt.place)
			}
		})
	}
	t.Run("nothing", func(t *testing.T) {
		s := newTestScene(t)
		write("report/findings.json")(t, s, "clean")
		write("plain/secrets.yaml")(t, s, s.canaries[0].value)
		sleeps(func(string) *exec.Cmd { return exec.Command("sleep", "0.1") })(t, s, "")
		h, err := s.hunt(false)
		check(t, err)
		if len(h.found) > 0 {
			t.Errorf("found %q, and there is nothing", h.found)
		}
	})
}

// TestHuntKnowsEncodings: texts made by other programs, as they would be in a
// log or a file.
func TestHuntKnowsEncodings(t *testing.T) {
	for _, kind := range []string{"", "-odd", "-lines"} {
		v := newValue(kind)
		n := newNeedles([]canary{{name: "c", value: v}})
		for name, text := range map[string]string{
			"raw":                          v,
			"echo | base64":                base64.StdEncoding.EncodeToString([]byte(v + "\n")),
			"base64 of a line that has it": base64.StdEncoding.EncodeToString([]byte("password=" + v + ";")),
			"the same, further on":         base64.URLEncoding.EncodeToString([]byte("a password=" + v + ";")),
			"and further":                  base64.RawURLEncoding.EncodeToString([]byte("my password=" + v + ";")),
			"xxd":                          hex.EncodeToString([]byte("x" + v)),
			"command: base64":              outputOf(t, v, "base64", "-w0"),
			"command: od":                  strings.Join(strings.Fields(outputOf(t, v, "od", "-An", "-v", "-tx1")), ""),
			"command: base64 twice":        outputOf(t, outputOf(t, v, "base64", "-w0"), "base64", "-w0"),
			"command: iconv":               outputOf(t, v, "iconv", "-t", "UTF-16LE"),
			"command: gzip":                outputOf(t, v, "gzip", "-c"),
		} {
			if len(n.deep([]byte("… "+text+" …"))) == 0 && len(n.deep([]byte(text))) == 0 {
				t.Errorf("canary %s: %s is not found", kind, name)
			}
		}
	}
}

func newTestScene(t *testing.T) *scene {
	s := newScene(t.TempDir())
	t.Cleanup(s.registry.Close)
	s.daemon = t.TempDir()
	s.canaries = []canary{{name: "c", value: newValue("")}}
	return s
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(name string) func(*testing.T, *scene, string) {
	return func(t *testing.T, s *scene, v string) {
		name := filepath.Join(s.work, name)
		check(t, os.MkdirAll(filepath.Dir(name), 0o700))
		check(t, os.WriteFile(name, []byte("x"+v), 0o600))
	}
}

func send(t *testing.T, s *scene, path string, body []byte) {
	resp, err := http.Post(s.registry.URL+path, "application/octet-stream", bytes.NewReader(body))
	check(t, err)
	check(t, resp.Body.Close())
}

func zipped(t *testing.T, v string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(v))
	check(t, err)
	check(t, w.Close())
	return b.Bytes()
}

func sleeps(make func(v string) *exec.Cmd) func(*testing.T, *scene, string) {
	return func(t *testing.T, s *scene, v string) {
		_, code, err := s.run(make(v), call{})
		check(t, err)
		if code != "0" {
			t.Fatalf("exit code %s", code)
		}
	}
}

func outputOf(t *testing.T, in, name string, args ...string) string {
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(in)
	out, err := cmd.Output()
	check(t, err)
	return strings.TrimSpace(string(out))
}
