package corpus_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/image"
	"github.com/org/secure-build/internal/index"
	"github.com/org/secure-build/internal/scan"
	"github.com/org/secure-build/internal/secret"
)

const savedPassword = "Zq7-horse%battery/staple"

// A saved image is one of several in an archive.
type savedImage struct {
	layers []string // the text of the one file in each
	env    string
}

// An entry is a file of an archive, in order.
type entry struct {
	name string
	data []byte
}

func tarOf(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: e.name, Size: int64(len(e.data)), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(e.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func jsonOf(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

type object = map[string]any

func (img savedImage) parts(t *testing.T) (config []byte, layers [][]byte) {
	t.Helper()
	ids := []string{}
	for i, text := range img.layers {
		l := tarOf(t, entry{fmt.Sprintf("srv/file%d", i), []byte(text)})
		layers, ids = append(layers, l), append(ids, "sha256:"+sum(l))
	}
	return jsonOf(t, object{"os": "linux", "architecture": "amd64", "config": object{"Env": []string{img.env}},
		"rootfs": object{"type": "layers", "diff_ids": ids}}), layers
}

// dockerSave is what docker save wrote before version 25: a folder for each layer.
func dockerSave(t *testing.T, images []savedImage) []byte {
	var list []object
	var entries []entry
	seen := map[string]bool{}
	put := func(name string, b []byte) string {
		if !seen[name] {
			seen[name] = true
			entries = append(entries, entry{name, b})
		}
		return name
	}
	for i, img := range images {
		config, layers := img.parts(t)
		names := []string{}
		for _, l := range layers {
			names = append(names, put(sum(l)+"/layer.tar", l))
		}
		list = append(list, object{"Config": put(sum(config)+".json", config), "RepoTags": []string{fmt.Sprintf("example.com/app:%d", i)}, "Layers": names})
	}
	put("manifest.json", jsonOf(t, list))
	return tarOf(t, entries...)
}

// ociSave is what it writes since: an OCI layout.
func ociSave(t *testing.T, images []savedImage) []byte {
	var entries []entry
	put := func(mediaType string, b []byte) object {
		if name := "blobs/sha256/" + sum(b); !slices.ContainsFunc(entries, func(e entry) bool { return e.name == name }) {
			entries = append(entries, entry{name, b})
		}
		return object{"mediaType": mediaType, "digest": "sha256:" + sum(b), "size": len(b)}
	}
	var manifests []object
	for i, img := range images {
		config, layers := img.parts(t)
		var list []object
		for _, l := range layers {
			list = append(list, put("application/vnd.oci.image.layer.v1.tar", l))
		}
		m := put("application/vnd.oci.image.manifest.v1+json", jsonOf(t, object{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
			"config": put("application/vnd.oci.image.config.v1+json", config), "layers": list}))
		m["annotations"] = object{"io.containerd.image.name": fmt.Sprintf("example.com/app:%d", i)}
		manifests = append(manifests, m)
	}
	entries = append(entries, entry{"oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)},
		entry{"index.json", jsonOf(t, object{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests})})
	return tarOf(t, entries...)
}

// TestSaveOfSeveral: if one of several images in an archive leaks, all of it is
// judged as leaked, wherever in it that one stands.
func TestSaveOfSeveral(t *testing.T) {
	var set secret.Set
	if err := set.Add(secret.New("password", "secrets.yaml#password", []byte(savedPassword))); err != nil {
		t.Fatal(err)
	}
	x := index.Compile(set)
	clean := func(n int) savedImage {
		return savedImage{[]string{"of every image", fmt.Sprint("of image ", n)}, fmt.Sprint("N=", n)}
	}
	in := func(n int, change func(*savedImage)) []savedImage {
		list := []savedImage{clean(0), clean(1), clean(2)}
		change(&list[n])
		return list
	}
	leak := func(i *savedImage) { i.layers[1] += savedPassword }
	tests := []struct {
		name   string
		images []savedImage
		want   string // path and field of the finding
	}{
		{"none", in(0, func(*savedImage) {}), ""},
		{"the first", in(0, leak), "srv/file1 "},
		{"one in the midst", in(1, leak), "srv/file1 "},
		{"the last", in(2, leak), "srv/file1 "},
		{"a config", in(1, func(i *savedImage) { i.env = "PW=" + savedPassword }), " config.Env[0]"},
		{"a layer more", in(2, func(i *savedImage) { i.layers = append(i.layers, savedPassword) }), "srv/file2 "},
	}
	for _, tt := range tests {
		for form, save := range map[string]func(*testing.T, []savedImage) []byte{"docker": dockerSave, "OCI": ociSave} {
			for _, zipped := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/gzip=%v", tt.name, form, zipped), func(t *testing.T) {
					saved := save(t, tt.images)
					if zipped {
						var out bytes.Buffer
						w := gzip.NewWriter(&out)
						_, _ = w.Write(saved)
						_ = w.Close()
						saved = out.Bytes()
					}
					r := scannedArchive(t, x, saved)
					if tt.want == "" {
						if r.Verdict != finding.Clean || len(r.Findings) > 0 {
							t.Errorf("got %s, %+v, %+v", r.Verdict, r.Findings, r.Coverage.Unread)
						}
						return
					}
					if r.Verdict != finding.Leaked || len(r.Findings) != 1 {
						t.Fatalf("got %s, %+v", r.Verdict, r.Findings)
					}
					if got := r.Findings[0].Path + " " + r.Findings[0].Field; got != tt.want {
						t.Errorf("got %q, want %q", got, tt.want)
					}
				})
			}
		}
	}
}

func scannedArchive(t *testing.T, x *index.Index, saved []byte) finding.Report {
	t.Helper()
	name := filepath.Join(t.TempDir(), "saved.tar")
	if err := os.WriteFile(name, saved, 0o600); err != nil {
		t.Fatal(err)
	}
	src, err := image.Find(t.Context(), name, t.TempDir(), authn.DefaultKeychain)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	r, err := scan.New(scan.Options{Index: x}).Report(t.Context(), scan.Descriptor{
		MediaType: src.Root.MediaType, Digest: src.Root.Digest.String(), Size: src.Root.Size,
	}, src.Open)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
