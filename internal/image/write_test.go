package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// staged are files as an exporter would send them.
func staged(t *testing.T, headers ...*tar.Header) *Files {
	t.Helper()
	l, err := Temp(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Remove() })
	f, err := l.Files()
	if err != nil {
		t.Fatal(err)
	}
	tw := tar.NewWriter(f)
	for _, h := range headers {
		body := ""
		if h.Typeflag == tar.TypeReg {
			body = "body of " + h.Name
			h.Size = int64(len(body))
		}
		if err := tw.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(tw, body); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestExtract(t *testing.T) {
	then := time.Unix(1_600_000_000, 0)
	f := staged(t,
		&tar.Header{Name: "d/", Typeflag: tar.TypeDir, Mode: 0o500, ModTime: then},
		&tar.Header{Name: "d/file", Typeflag: tar.TypeReg, Mode: 0o640, ModTime: then},
		&tar.Header{Name: "link", Typeflag: tar.TypeSymlink, Linkname: "d/file"},
		&tar.Header{Name: "hard", Typeflag: tar.TypeLink, Linkname: "d/file"},
		&tar.Header{Name: "suid", Typeflag: tar.TypeReg, Mode: 0o4755, ModTime: then},
		&tar.Header{Name: "was-a-folder", Typeflag: tar.TypeReg, Mode: 0o644, ModTime: then},
	)
	dir := filepath.Join(t.TempDir(), "out")
	for _, name := range []string{"was-a-folder/old", "kept"} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Extract(dir); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{"d": os.ModeDir | 0o500, "d/file": 0o640, "link": os.ModeSymlink | 0o777, "hard": 0o640, "suid": os.ModeSetuid | 0o755, "was-a-folder": 0o644, "kept": 0o644} {
		fi, err := os.Lstat(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
			continue
		}
		if fi.Mode() != want {
			t.Errorf("%s: got mode %v, want %v", name, fi.Mode(), want)
		}
		if (name == "d" || name == "d/file") && !fi.ModTime().Equal(then) {
			t.Errorf("%s: got time %v, want %v", name, fi.ModTime(), then)
		}
	}
}

// TestExtractStaysInside: an image may hold links and names that lead out.
func TestExtractStaysInside(t *testing.T) {
	for name, headers := range map[string][]*tar.Header{
		"up":                     {{Name: "../out", Typeflag: tar.TypeReg, Mode: 0o644}},
		"through a link":         {{Name: "l", Typeflag: tar.TypeSymlink, Linkname: ".."}, {Name: "l/out", Typeflag: tar.TypeReg, Mode: 0o644}},
		"through an absolute":    {{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "/tmp"}, {Name: "l/secure-build-out", Typeflag: tar.TypeReg, Mode: 0o644}},
		"a hard link to outside": {{Name: "h", Typeflag: tar.TypeLink, Linkname: "../victim"}},
		"a device":               {{Name: "null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			if err := os.WriteFile(filepath.Join(parent, "victim"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := staged(t, headers...).Extract(filepath.Join(parent, "dir")); err == nil {
				t.Error("got no error")
			}
			for _, file := range []string{filepath.Join(parent, "out"), "/tmp/secure-build-out"} {
				if _, err := os.Lstat(file); err == nil {
					t.Errorf("%s was written", file)
				}
			}
		})
	}
}

// TestFilesAreAnImage: the scanner finds the archive from its root, each blob
// under its own digest.
func TestFilesAreAnImage(t *testing.T) {
	f := staged(t, &tar.Header{Name: "a", Typeflag: tar.TypeReg, Mode: 0o644})
	root, err := f.Root()
	if err != nil {
		t.Fatal(err)
	}
	read := func(d ocispecs.Descriptor) []byte {
		r, err := f.Open(d.Digest.String())
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		b, err := io.ReadAll(r)
		if err != nil || digest.FromBytes(b) != d.Digest || int64(len(b)) != d.Size {
			t.Errorf("%s: got %d bytes of %s, %v", d.MediaType, len(b), digest.FromBytes(b), err)
		}
		return b
	}
	var m ocispecs.Manifest
	if err := json.Unmarshal(read(root), &m); err != nil {
		t.Fatal(err)
	}
	read(m.Config)
	if got := read(m.Layers[0]); !bytes.Contains(got, []byte("body of a")) {
		t.Errorf("the file is not in the layer: %q", got)
	}
}

// TestLoadAnswers: an engine that has said 200 can still say no.
func TestLoadAnswers(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		answer string
		want   string
	}{
		"loaded":      {200, `{"stream":"Loaded image: a:1\n"}`, ""},
		"nothing":     {200, ``, ""},
		"full":        {200, `{"stream":"x"}` + "\n" + `{"errorDetail":{"message":"no space"},"error":"no space"}`, "no space"},
		"refused":     {403, `{"message":"not you"}`, "403 Forbidden: not you"},
		"no engine":   {200, `<html>`, "reading its answer"},
		"not to have": {404, `gone`, "404"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.answer)
			}))
			defer server.Close()
			d := Docker{Host: "tcp://" + strings.TrimPrefix(server.URL, "http://")}
			err := d.Load(t.Context(), func(w io.Writer) error { _, err := io.WriteString(w, "archive"); return err })
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// TestLoadByCommand: what the API can not reach, the docker command can. It is
// given no more of the environment than it needs.
func TestLoadByCommand(t *testing.T) {
	bin := t.TempDir()
	script := "#!/bin/sh\n[ \"$*\" = \"--context far load --quiet\" ] && [ -z \"$SOPS_AGE_KEY\" ] || { echo \"$* $SOPS_AGE_KEY\"; exit 1; }\ncat > " + bin + "/got\n"
	if err := os.WriteFile(filepath.Join(bin, "docker"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	t.Setenv("SOPS_AGE_KEY", "not for docker")
	if err := (Docker{Context: "far"}).Load(t.Context(), func(w io.Writer) error { _, err := io.WriteString(w, "archive"); return err }); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(bin, "got")); err != nil || string(got) != "archive" {
		t.Errorf("got %q, %v", got, err)
	}
}
