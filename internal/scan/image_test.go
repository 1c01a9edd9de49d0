package scan

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/index"
	"github.com/org/secure-build/internal/secret"
)

// The values that the tests plant.
const (
	password = "Zq7-horse%battery/staple" // not a token of any vendor
	pemKey   = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIAbNnQ0vTf8b1y8OQGQd3Jb9mXaQ\noAoGCCqGSM49AwEHoUQDQgAEm2YxVQ7hq5Xk\n-----END EC PRIVATE KEY-----\n"
	account  = `{"type":"service_account","number":42}`
	pin      = "k9#Xw2" // of class Short
)

const (
	ociIndex    = "application/vnd.oci.image.index.v1+json"
	ociManifest = "application/vnd.oci.image.manifest.v1+json"
	ociConfig   = "application/vnd.oci.image.config.v1+json"
	ociLayer    = "application/vnd.oci.image.layer.v1.tar"
	inTotoType  = "application/vnd.in-toto+json"
)

var testIndex = sync.OnceValue(func() *index.Index {
	var set secret.Set
	for id, value := range map[string]string{"password": password, "key": pemKey, "pin": pin, "account": account} {
		if err := set.Add(secret.New(id, "secrets.yaml#"+id, []byte(value))); err != nil {
			panic(err)
		}
	}
	return index.Compile(set)
})

// blobs is a layout in memory.
type blobs map[string][]byte

func (s blobs) put(mediaType string, b []byte) Descriptor {
	d := Descriptor{MediaType: mediaType, Digest: digestOf(b), Size: int64(len(b))}
	s[d.Digest] = b
	return d
}

func (s blobs) json(mediaType string, v any) Descriptor {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return s.put(mediaType, b)
}

func (s blobs) open(digest string) (io.ReadCloser, error) {
	b, ok := s[digest]
	if !ok {
		return nil, fmt.Errorf("reading the blob %s: %w", digest, fs.ErrNotExist)
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

// object is a JSON object.
type object = map[string]any

// desc writes a descriptor as manifests have it.
func desc(d Descriptor, more object) object {
	o := object{"mediaType": d.MediaType, "digest": d.Digest, "size": d.Size}
	for k, v := range more {
		o[k] = v
	}
	return o
}

func history(steps ...string) []object {
	list := []object{}
	for _, s := range steps {
		switch {
		case s == "":
		case s[0] == '-':
			list = append(list, object{"created_by": s[1:], "empty_layer": true})
		default:
			list = append(list, object{"created_by": s})
		}
	}
	return list
}

// manifest puts a config and a manifest with these layers.
func (s blobs) manifest(config object, layers ...Descriptor) Descriptor {
	config["os"], config["architecture"] = "linux", "amd64"
	list := []object{}
	for _, l := range layers {
		list = append(list, desc(l, nil))
	}
	return s.json(ociManifest, object{
		"schemaVersion": 2, "mediaType": ociManifest,
		"config": desc(s.json(ociConfig, config), nil), "layers": list,
	})
}

func tarOf(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		content := h.Gname // the tests' own use of a field
		h.Gname = ""
		h.Size = int64(len(content))
		if h.Mode == 0 && h.Typeflag != tar.TypeXGlobalHeader {
			h.Mode = 0o644
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func file(name, content string) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Gname: content}
}

func gz(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zst(t testing.TB, b []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(b, nil)
}

// scanAll scans an image in one of the two ways in which blobs come.
func scanAll(t testing.TB, s blobs, root Descriptor, fed bool) finding.Report {
	t.Helper()
	sc := New(Options{Index: testIndex()})
	if fed {
		for d, b := range s {
			w := sc.Blob(d)
			if _, err := w.Write(b); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	rep, err := sc.Report(t.Context(), root, s.open)
	if err != nil {
		t.Fatal(err)
	}
	checkNoValue(t, rep)
	return rep
}

// checkNoValue holds I8: a finding never holds a value, in any encoding.
func checkNoValue(t testing.TB, rep finding.Report) {
	t.Helper()
	b, err := json.Marshal(rep)
	if err != nil {
		t.Fatal(err)
	}
	testIndex().Each(b, index.Text, func(m index.Match) bool {
		t.Errorf("the report holds %s as %s: %s", m.Secret, m.Encoding, b[max(0, m.Start-80):m.Start])
		return false
	})
}
