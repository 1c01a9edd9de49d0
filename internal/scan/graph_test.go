package scan

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/org/secure-build/internal/finding"
)

// TestLeakInManifest plants the password in each place of an index and of a
// manifest.
func TestLeakInManifest(t *testing.T) {
	note := object{"annotations": object{"org.note": "see " + password}}
	tests := []struct {
		name            string
		index, manifest object // more fields
		inIndex         object // more fields of the manifest's descriptor
		inManifest      object // more fields of the layer's descriptor
		want            string
	}{
		{name: "index annotation", index: note, want: `field="annotations.org.note"`},
		{name: "annotation key", index: object{"annotations": object{password: ""}}, want: `field="annotations.[masked:password]"`},
		{name: "short value", index: object{"annotations": object{"a": pin}}, want: `field="annotations.a"`},
		{name: "descriptor annotation", inIndex: note, want: `field="manifests[0].annotations.org.note"`},
		{name: "manifest annotation", manifest: note, want: `field="annotations.org.note"`},
		{name: "layer annotation", inManifest: note, want: `field="layers[0].annotations.org.note"`},
		{name: "layer URL", inManifest: object{"urls": []string{"https://h/" + password}}, want: `field="layers[0].urls[0]"`},
		{name: "artifact type", manifest: object{"artifactType": password}, want: `field="artifactType"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := blobs{}
			layer := s.put(ociLayer, tarOf(t, file("a", "b")))
			config := s.json(ociConfig, object{"os": "linux", "architecture": "amd64"})
			m := object{"config": desc(config, nil), "layers": []object{desc(layer, tt.inManifest)}}
			for k, v := range tt.manifest {
				m[k] = v
			}
			i := object{"manifests": []object{desc(s.json(ociManifest, m), tt.inIndex)}}
			for k, v := range tt.index {
				i[k] = v
			}
			rep := scanAll(t, s, s.json(ociIndex, i), true)
			if len(rep.Findings) != 1 || !strings.HasSuffix(shorts(rep), tt.want) || rep.Verdict != finding.Leaked {
				t.Errorf("got  %s\nwant %s", shorts(rep), tt.want)
			}
		})
	}
}

// twoPlatforms builds an index of two images with a layer in common, each with
// an attestation, as BuildKit writes it.
func twoPlatforms(t *testing.T, s blobs, layer Descriptor, statement string) Descriptor {
	t.Helper()
	var manifests, attestations []object
	for _, arch := range []string{"amd64", "arm64"} {
		config := s.json(ociConfig, object{"os": "linux", "architecture": arch, "history": history("COPY a /")})
		m := s.json(ociManifest, object{"config": desc(config, nil), "layers": []object{desc(layer, nil)}})
		manifests = append(manifests, desc(m, object{"platform": object{"os": "linux", "architecture": arch}}))
		a := s.json(ociManifest, object{
			"config": desc(s.json(ociConfig, object{"os": "unknown", "architecture": "unknown"}), nil),
			"layers": []object{desc(s.put(inTotoType, []byte(strings.ReplaceAll(statement, "ARCH", arch))), nil)},
		})
		attestations = append(attestations, desc(a, object{
			"platform":    object{"os": "unknown", "architecture": "unknown"},
			"annotations": object{attestedDigest: m.Digest, "vnd.docker.reference.type": "attestation-manifest"},
		}))
	}
	return s.json(ociIndex, object{"manifests": append(attestations, manifests...)})
}

func TestPlatformsAndAttestations(t *testing.T) {
	s := blobs{}
	layer := s.put(ociLayer, tarOf(t, file("pw", password)))
	root := twoPlatforms(t, s, layer, `{"predicateType":"x","predicate":{"arch":"ARCH","args":{"build-arg:PW":"`+password+`"}}}`)
	for _, fed := range []bool{true, false} {
		rep := scanAll(t, s, root, fed)
		var got []string
		for _, f := range rep.Findings {
			got = append(got, f.Platform+" "+short(f)+" "+f.Instruction)
		}
		want := []string{
			`linux/amd64 password raw layer=-1 path="" field="predicate.args.build-arg:PW" `,
			`linux/amd64 password raw layer=0 path="pw" field="" COPY a /`,
			`linux/arm64 password raw layer=-1 path="" field="predicate.args.build-arg:PW" `,
			`linux/arm64 password raw layer=0 path="pw" field="" COPY a /`,
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if p := strings.Join(rep.Image.Platforms, " "); p != "linux/amd64 linux/arm64" || len(rep.Coverage.Unread) > 0 {
			t.Errorf("got platforms %s, unread %v", p, rep.Coverage.Unread)
		}
	}
}

// TestNotClean: whatever cannot be read to its end is told, and the verdict is
// not clean (I5).
func TestNotClean(t *testing.T) {
	good := tarOf(t, file("a", strings.Repeat("content ", 1000)))
	cutZip, cutZst := gz(t, good), zst(t, good)
	cutZip, cutZst = cutZip[:len(cutZip)-20], cutZst[:len(cutZst)-9]
	badSum := gz(t, good)
	badSum[len(badSum)-5] ^= 1
	badHeader := tarOf(t, file("a", "b"), file("c", "d"))
	badHeader[1024] = 'x' // of the second file
	noGzip := gz(t, good)
	noGzip[0] = 'x'
	tests := []struct {
		name  string
		media string
		layer []byte
		want  string
	}{
		{"cut gzip", "+gzip", cutZip, "reading gzip: unexpected EOF"},
		{"cut zstd", "+zstd", cutZst, "reading zstd: unexpected EOF"},
		{"gzip with a wrong checksum", "+gzip", badSum, "reading gzip: gzip: invalid checksum"},
		{"gzip header only", "+gzip", cutZip[:5], "reading gzip: unexpected EOF"},
		{"gzip and more", "+gzip", append(gz(t, good), "tail"...), "reading gzip: other bytes after its end"},
		{"zstd and more", "+zstd", append(zst(t, good), "tail"...), "reading zstd: "},
		{"not gzip", "+gzip", noGzip, "announced as gzip, which it is not"},
		{"text for gzip", "+gzip", []byte("hello"), "announced as gzip, which it is not"},
		{"xz", "", []byte("\xfd7zXZ\x00\x00\x04"), "reading xz: unexpected EOF; it was"},
		{"random bytes", "", []byte("\x80\x81\x00\x01"), "data of an unknown kind"},
		{"cut tar", "", good[:2000], "reading tar: unexpected EOF"},
		{"broken tar", "", badHeader, "reading tar: archive/tar: invalid tar header"},
		{"encrypted", "+encrypted", good, "an encrypted layer"},
		{"JSON that is none", "+json", []byte("{"), "announced as JSON, which it is not"},
		{"deep JSON", "+json", []byte(strings.Repeat("[", 2000)), "reading JSON: nested more than 1000 deep"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := blobs{}
			root := s.manifest(object{}, s.put(ociLayer+tt.media, tt.layer))
			for _, fed := range []bool{true, false} {
				rep := scanAll(t, s, root, fed)
				if rep.Verdict != finding.Incomplete || len(rep.Coverage.Unread) == 0 {
					t.Fatalf("got %s, %v", rep.Verdict, rep.Coverage.Unread)
				}
				if u := rep.Coverage.Unread[0]; u.Blob != digestOf(tt.layer) || !strings.HasPrefix(u.Reason, tt.want) {
					t.Errorf("got %+v, want %q", u, tt.want)
				}
			}
		})
	}
}

// TestNotAtHand: blobs that are missing or are not what they should be.
func TestNotAtHand(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(s blobs, layer, config, root string)
		want  string
	}{
		{"missing layer", func(s blobs, l, _, _ string) { delete(s, l) }, "file does not exist"},
		{"missing config", func(s blobs, _, c, _ string) { delete(s, c) }, "file does not exist"},
		{"missing manifest", func(s blobs, _, _, r string) { delete(s, r) }, "file does not exist"},
		{"other layer", func(s blobs, l, _, _ string) { s[l] = tarOf(t, file("x", "y")) }, "its bytes do not have its digest"},
		{"other manifest", func(s blobs, _, _, r string) { s[r] = append(s[r], ' ') }, "its bytes do not have its digest"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, fed := range []bool{true, false} {
				s := blobs{}
				layer := s.put(ociLayer, tarOf(t, file("a", "b")))
				config := s.json(ociConfig, object{"os": "linux"})
				root := s.json(ociManifest, object{"config": desc(config, nil), "layers": []object{desc(layer, nil)}})
				tt.spoil(s, layer.Digest, config.Digest, root.Digest)
				rep := scanAll(t, s, root, fed)
				if rep.Verdict != finding.Incomplete || !strings.Contains(fmt.Sprint(rep.Coverage.Unread), tt.want) {
					t.Errorf("fed=%v: got %s, %v", fed, rep.Verdict, rep.Coverage.Unread)
				}
			}
		})
	}
}

// TestManifestSwapped: a manifest that is another one when it is read again is
// not followed, or its layers would be taken for the image's.
func TestManifestSwapped(t *testing.T) {
	s := blobs{}
	root := s.manifest(object{}, s.put(ociLayer, tarOf(t, file("a", password))))
	other := s.manifest(object{"a": 1})
	sc := New(Options{Index: testIndex()})
	w := sc.Blob(root.Digest)
	_, _ = w.Write(s[root.Digest])
	_ = w.Close()
	s[root.Digest] = s[other.Digest]
	rep, err := sc.Report(t.Context(), root, s.open)
	if err != nil || rep.Verdict != finding.Incomplete {
		t.Errorf("got %s, %v", rep.Verdict, err)
	}
}

// TestUnevenHistory: with more or fewer entries than layers no layer's
// instruction is known.
func TestUnevenHistory(t *testing.T) {
	for _, steps := range [][]string{{"COPY a /", "COPY b /"}, {"-ENV A=1"}, nil} {
		s := blobs{}
		rep := scanAll(t, s, s.manifest(object{"history": history(steps...)}, s.put(ociLayer, tarOf(t, file("a", password)))), false)
		if len(rep.Findings) != 1 || rep.Findings[0].Instruction != "" {
			t.Errorf("%v: got %+v", steps, rep.Findings)
		}
	}
}

// TestUploadThatBroke: a blob whose first upload was cut is read again, and a
// later whole one counts.
func TestUploadThatBroke(t *testing.T) {
	s := blobs{}
	layer := s.put(ociLayer, tarOf(t, file("a", password)))
	root := s.manifest(object{}, layer)
	sc := New(Options{Index: testIndex()})
	w := sc.Blob(layer.Digest)
	_, _ = w.Write(s[layer.Digest][:700])
	_ = w.Close()
	if _, err := w.Write([]byte("x")); err == nil {
		t.Error("a write after Close passed")
	}
	rep, err := sc.Report(t.Context(), root, s.open)
	if err != nil || rep.Verdict != finding.Leaked || len(rep.Coverage.Unread) > 0 {
		t.Errorf("got %s, %v, %v", rep.Verdict, rep.Coverage.Unread, err)
	}
}

// TestStrangeImages: descriptors and documents that are no image as we know it.
func TestStrangeImages(t *testing.T) {
	data := []byte("the password is " + password)
	tests := []struct {
		name    string
		root    func(s blobs) Descriptor
		verdict finding.Verdict
		want    string // in the report's unread or findings
	}{
		{"cycle", func(s blobs) Descriptor {
			own := Descriptor{MediaType: ociIndex, Digest: digestOf(nil)}
			s[own.Digest] = s[s.json(ociIndex, object{"manifests": []object{desc(own, nil)}}).Digest]
			return own
		}, finding.Incomplete, "do not have its digest"},
		{"wrong size", func(s blobs) Descriptor {
			l := s.put(ociLayer, tarOf(t, file("a", "b")))
			l.Size++
			return s.manifest(object{}, l)
		}, finding.Incomplete, "2048 bytes, where 2049 were announced"},
		{"foreign layer", func(s blobs) Descriptor {
			l := s.put("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", gz(t, tarOf(t)))
			delete(s, l.Digest)
			return s.manifest(object{}, l)
		}, finding.Incomplete, "a foreign layer, whose bytes are elsewhere"},
		{"foreign layer at hand", func(s blobs) Descriptor {
			return s.manifest(object{}, s.put("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", gz(t, tarOf(t, file("a", password)))))
		}, finding.Leaked, "password"},
		{"schema 1", func(s blobs) Descriptor {
			return s.json("application/vnd.docker.distribution.manifest.v1+json", object{"fsLayers": []object{{"blobSum": "sha256:x"}}})
		}, finding.Incomplete, "schema 1"},
		{"unknown kind", func(s blobs) Descriptor { return s.json("application/vnd.x+json", object{"a": 1}) }, finding.Incomplete, "unknown kind"},
		{"index of nothing", func(s blobs) Descriptor { return s.put(ociIndex, []byte(`{"manifests":null}`)) }, finding.Clean, ""},
		{"value across a manifest's fields", func(s blobs) Descriptor {
			return s.put(ociManifest, []byte(`{"layers":[],"n":`+account+`}`))
		}, finding.Leaked, `field="manifest"`},
		{"empty index", func(s blobs) Descriptor { return s.json(ociIndex, object{"manifests": []object{}}) }, finding.Clean, ""},
		{"unknown digest algorithm", func(s blobs) Descriptor {
			l := s.put(ociLayer, tarOf(t))
			s["md5:1"] = s[l.Digest]
			l.Digest = "md5:1"
			return s.manifest(object{}, l)
		}, finding.Incomplete, "md5:1"},
		{"value for a digest", func(s blobs) Descriptor {
			return s.manifest(object{}, Descriptor{MediaType: ociLayer, Digest: password, Size: 1})
		}, finding.Leaked, "layers[0].digest"},
		{"value for a platform", func(s blobs) Descriptor {
			c := s.json(ociConfig, object{"os": password, "architecture": "x"})
			return s.json(ociManifest, object{"config": desc(c, nil), "layers": []object{}})
		}, finding.Leaked, "[masked:password]/x"},
		{"embedded data", func(s blobs) Descriptor {
			d := s.put("text/plain", data)
			delete(s, d.Digest)
			return s.json(ociManifest, object{"blobs": []object{desc(d, object{"data": base64.StdEncoding.EncodeToString(data)})}})
		}, finding.Leaked, digestOf(data)},
		{"embedded data of another blob", func(s blobs) Descriptor {
			d := s.put("text/plain", []byte("hello"))
			return s.json(ociManifest, object{"blobs": []object{desc(d, object{"data": base64.StdEncoding.EncodeToString([]byte("x"))})}})
		}, finding.Incomplete, "the data in its descriptor"},
		{"fields of two kinds", func(s blobs) Descriptor {
			m := s.manifest(object{}, s.put(ociLayer, tarOf(t, file("a", password))))
			return s.json(ociManifest, object{"layers": []object{}, "manifests": []object{desc(m, nil)}})
		}, finding.Leaked, "path=\"a\""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := blobs{}
			rep := scanAll(t, s, tt.root(s), false)
			text := fmt.Sprintf("%v %s %v", rep.Coverage.Unread, shorts(rep), rep.Findings)
			if rep.Verdict != tt.verdict || !strings.Contains(text, tt.want) {
				t.Errorf("got %s: %s\nwant %s: %s", rep.Verdict, text, tt.verdict, tt.want)
			}
		})
	}
}

// TestBoundsOfTheWalk: images made to keep us busy.
func TestBoundsOfTheWalk(t *testing.T) {
	t.Run("deep", func(t *testing.T) {
		s := blobs{}
		d := s.manifest(object{}, s.put(ociLayer, tarOf(t, file("a", "b"))))
		for range 20 {
			d = s.json(ociIndex, object{"manifests": []object{desc(d, nil)}})
		}
		rep := scanAll(t, s, d, false)
		if rep.Verdict != finding.Incomplete || !strings.Contains(fmt.Sprint(rep.Coverage.Unread), "nested more than 8 deep") {
			t.Errorf("got %s, %v", rep.Verdict, rep.Coverage.Unread)
		}
	})
	t.Run("wide", func(t *testing.T) {
		s := blobs{}
		d := s.manifest(object{}, s.put(ociLayer, tarOf(t, file("a", "b"))))
		for range 6 { // ten to the sixth manifests in six small blobs
			var list []object
			for range 10 {
				list = append(list, desc(d, nil))
			}
			d = s.json(ociIndex, object{"manifests": list})
		}
		if n := len(follow(d, s.open, Build{}).refs); n != maxDescriptors {
			t.Errorf("got %d references", n)
		}
		rep := scanAll(t, s, d, false)
		if rep.Verdict != finding.Incomplete || !strings.Contains(fmt.Sprint(rep.Coverage.Unread), "more than 10000 descriptors") {
			t.Errorf("got %s, %v", rep.Verdict, rep.Coverage.Unread)
		}
	})
	t.Run("many layers", func(t *testing.T) {
		s := blobs{}
		var layers []Descriptor
		for i := range 5000 {
			layers = append(layers, s.put(ociLayer, tarOf(t, file("a", fmt.Sprint(i)))))
		}
		last := tarOf(t, file("a", password))
		rep := scanAll(t, s, s.manifest(object{}, append(layers, s.put(ociLayer, last))...), false)
		if want := `password raw layer=5000 path="a" field=""`; shorts(rep) != want || rep.Coverage.Blobs != 5003 {
			t.Errorf("got %s, %d blobs", shorts(rep), rep.Coverage.Blobs)
		}
	})
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := blobs{}
	root := s.manifest(object{}, s.put(ociLayer, tarOf(t)))
	rep, err := New(Options{Index: testIndex()}).Report(ctx, root, s.open)
	if !errors.Is(err, context.Canceled) || rep.Verdict == finding.Clean {
		t.Errorf("got %q, %v", rep.Verdict, err)
	}
}

// TestNothingToOpen: without a way to read the manifests nothing can be clean.
func TestNothingToOpen(t *testing.T) {
	rep, err := New(Options{Index: testIndex()}).Report(t.Context(), Descriptor{Digest: digestOf(nil)}, nil)
	if err != nil || rep.Verdict != finding.Incomplete {
		t.Errorf("got %q, %v", rep.Verdict, err)
	}
}
