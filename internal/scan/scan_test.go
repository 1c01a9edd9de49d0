package scan

import (
	"archive/tar"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/org/secure-build/internal/finding"
)

// short writes the part of a finding that tells what was found where.
func short(f finding.Finding) string {
	return fmt.Sprintf("%s %s layer=%d path=%q field=%q", f.Secret, f.Encoding, f.Layer, f.Path, f.Field)
}

func shorts(rep finding.Report) string {
	var list []string
	for _, f := range rep.Findings {
		list = append(list, short(f))
	}
	return strings.Join(list, "\n")
}

// TestLeakInLayer plants one secret in each place of a layer.
func TestLeakInLayer(t *testing.T) {
	b64 := base64.StdEncoding.EncodeToString([]byte("user:" + password + "\n"))
	long := strings.Repeat("deep/", 30)
	tests := []struct {
		name   string
		header tar.Header
		want   string
	}{
		{"raw", file("app/.env", "A=1\nPW="+password+"\n"), `password raw layer=0 path="app/.env" field=""`},
		{"base64", file("app/auth", b64), `password base64 layer=0 path="app/auth" field=""`},
		{"hex", file("app/hex", hex.EncodeToString([]byte(password))), `password hex layer=0 path="app/hex" field=""`},
		{"key", file("id", pemKey), `key raw layer=0 path="id" field=""`},
		{"line of a key", file("id", "x MHcCAQEEIAbNnQ0vTf8b1y8OQGQd3Jb9mXaQ y"), `key line layer=0 path="id" field=""`},
		{"binary", file("bin", "\x7fELF\x00\x00"+password+"\x00"), `password raw layer=0 path="bin" field=""`},
		{"short value in a text", file("pin.txt", "pin: "+pin+"\n"), `pin raw layer=0 path="pin.txt" field=""`},
		{"short value in a binary", file("pin.bin", "\x00"+pin), ""},
		{"name", file("etc/"+password, "x"), `password raw layer=0 path="etc/[masked:password]" field="path"`},
		{"long name", file(long+password, "x"), `password raw layer=0 path="` + long + `[masked:password]" field="path"`},
		{"whiteout", file("etc/.wh."+password, ""), `password raw layer=0 path="etc/.wh.[masked:password]" field="path"`},
		{"symlink", tar.Header{Typeflag: tar.TypeSymlink, Name: "l", Linkname: "/" + password}, `password raw layer=0 path="l" field="link"`},
		{"long symlink", tar.Header{Typeflag: tar.TypeSymlink, Name: "l", Linkname: long + password}, `password raw layer=0 path="l" field="link"`},
		{"hard link", tar.Header{Typeflag: tar.TypeLink, Name: "l", Linkname: password}, `password raw layer=0 path="l" field="link"`},
		{"owner", tar.Header{Typeflag: tar.TypeReg, Name: "f", Uname: password}, `password raw layer=0 path="f" field="header"`},
		{"PAX record", tar.Header{Typeflag: tar.TypeReg, Name: "f", PAXRecords: map[string]string{"ORG.note": password}}, `password raw layer=0 path="f" field="header"`},
		{"PAX key", tar.Header{Typeflag: tar.TypeReg, Name: "f", PAXRecords: map[string]string{"ORG." + password: "1"}}, `password raw layer=0 path="f" field="header"`},
		{"xattr", tar.Header{Typeflag: tar.TypeReg, Name: "f", PAXRecords: map[string]string{"SCHILY.xattr.user.pw": password}}, `password raw layer=0 path="f" field="header"`},
		{"global header", tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": password}}, `password raw layer=0 path="GlobalHead.0.0" field="header"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			plain := tarOf(t, file("before", "nothing"), tt.header, file("after", "nothing"))
			for form, layer := range map[string][]byte{"": plain, "+gzip": gz(t, plain), "+zstd": zst(t, plain)} {
				for _, fed := range []bool{true, false} {
					s := blobs{}
					root := s.manifest(object{"history": history("COPY . /")}, s.put(ociLayer+form, layer))
					rep := scanAll(t, s, root, fed)
					if got := shorts(rep); got != tt.want {
						t.Errorf("%s, fed=%v:\n got %s\nwant %s", form, fed, got, tt.want)
					}
					want := finding.Leaked
					if tt.want == "" {
						want = finding.Clean
					}
					if rep.Verdict != want || len(rep.Coverage.Unread) > 0 {
						t.Errorf("%s, fed=%v: got %s, unread %v", form, fed, rep.Verdict, rep.Coverage.Unread)
					}
				}
			}
		})
	}
}

// TestCleanImage: none of the above is found where none of it is.
func TestCleanImage(t *testing.T) {
	s := blobs{}
	layer := tarOf(t, file("a", "hello"), file("etc/passwd", "root:x:0:0"), tar.Header{Typeflag: tar.TypeDir, Name: "d/"})
	empty := gz(t, make([]byte, 1024))
	root := s.manifest(object{"history": history("COPY a /", "-ENV A=1", "RUN true")}, s.put(ociLayer+"+gzip", gz(t, layer)), s.put(ociLayer+"+gzip", empty))
	for _, fed := range []bool{true, false} {
		rep := scanAll(t, s, root, fed)
		if rep.Verdict != finding.Clean || len(rep.Findings) != 0 {
			t.Errorf("got %s, %s, %v", rep.Verdict, shorts(rep), rep.Coverage.Unread)
		}
		wantBytes := int64(len(layer) + 1024)
		for d, b := range s {
			if d != digestOf(empty) && d != digestOf(gz(t, layer)) {
				wantBytes += int64(len(b))
			}
		}
		if rep.Coverage.Blobs != 4 || rep.Coverage.Bytes != wantBytes {
			t.Errorf("coverage: got %+v, want 4 blobs, %d bytes", rep.Coverage, wantBytes)
		}
		if got := strings.Join(rep.Image.Platforms, " "); got != "linux/amd64" || rep.Image.Digest != root.Digest {
			t.Errorf("image: got %+v", rep.Image)
		}
	}
}

// TestDeletedFile: what a later layer deletes is still in the layer before, and
// each layer has the instruction that made it.
func TestDeletedFile(t *testing.T) {
	s := blobs{}
	root := s.manifest(object{"history": history("ADD base /", "-ENV A=1", "COPY secrets /tmp/", "RUN rm -r /tmp/x")},
		s.put(ociLayer, tarOf(t, file("base", "x"))),
		s.put(ociLayer, tarOf(t, file("tmp/x/pw", "1234567890"+password))),
		s.put(ociLayer, tarOf(t, file("tmp/.wh.x", ""))))
	rep := scanAll(t, s, root, true)
	if len(rep.Findings) != 1 {
		t.Fatalf("got %s", shorts(rep))
	}
	got := rep.Findings[0]
	want := finding.Finding{
		Rule: finding.RuleKnownValue, Severity: finding.Error, Secret: "password", Origin: "secrets.yaml#password", Encoding: "raw",
		Platform: "linux/amd64", Blob: got.Blob, Layer: 1, Path: "tmp/x/pw", Offset: 10, Instruction: "COPY secrets /tmp/",
	}
	want.Sign()
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestLeakInConfig(t *testing.T) {
	tests := []struct {
		name        string
		config      object
		want        string
		instruction string
	}{
		{"env", object{"config": object{"Env": []string{"PATH=/bin", "X=y", "PW=" + password}}, "history": history("-ENV X=y PW=" + "hidden")},
			`password raw layer=-1 path="" field="config.Env[2]"`, "ENV X=y PW=hidden"},
		{"short value", object{"config": object{"Env": []string{"PIN=" + pin}}}, `pin raw layer=-1 path="" field="config.Env[0]"`, ""},
		{"short value in the author", object{"author": "me " + pin}, `pin raw layer=-1 path="" field="author"`, ""},
		{"short value in a comment", object{"comment": pin}, `pin raw layer=-1 path="" field="comment"`, ""},
		{"short value in an operating system's version", object{"os.version": pin}, `pin raw layer=-1 path="" field="os.version"`, ""},
		{"short value in a build argument", object{"predicate": object{"invocation": object{"args": object{"build-arg:PIN": pin}}}},
			`pin raw layer=-1 path="" field="predicate.invocation.args.build-arg:PIN"`, ""},
		{"label", object{"config": object{"Labels": object{"org.note": password}}, "history": history("-LABEL org.note=1")},
			`password raw layer=-1 path="" field="config.Labels.org.note"`, "LABEL org.note=1"},
		{"label's key", object{"config": object{"Labels": object{password: "x"}}}, `password raw layer=-1 path="" field="config.Labels.[masked:password]"`, ""},
		{"command", object{"config": object{"Cmd": []string{"sh", "-c", "login " + password}}, "history": history(`-CMD ["sh"]`)},
			`password raw layer=-1 path="" field="config.Cmd[2]"`, `CMD ["sh"]`},
		{"entry point", object{"config": object{"Entrypoint": []string{password}}}, `password raw layer=-1 path="" field="config.Entrypoint[0]"`, ""},
		{"health check", object{"config": object{"Healthcheck": object{"Test": []string{"CMD", password}}}}, `password raw layer=-1 path="" field="config.Healthcheck.Test[1]"`, ""},
		{"on build", object{"config": object{"OnBuild": []string{"ENV A=" + password}}}, `password raw layer=-1 path="" field="config.OnBuild[0]"`, ""},
		{"history", object{"history": history("-ENV A=1", "RUN |1 PW="+password+" /bin/sh -c true")},
			`password raw layer=-1 path="" field="history[1].created_by"`, "RUN |1 PW=[masked:password] /bin/sh -c true"},
		{"comment", object{"history": []object{{"comment": password}}}, `password raw layer=-1 path="" field="history[0].comment"`, ""},
		{"unknown field", object{"x": object{"y": []any{1, true, nil, []any{password}}}}, `password raw layer=-1 path="" field="x.y[3][0]"`, ""},
		{"key of several lines", object{"config": object{"Env": []string{"KEY=" + pemKey}}}, `key raw layer=-1 path="" field="config.Env[0]"`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := blobs{}
			rep := scanAll(t, s, s.manifest(tt.config, s.put(ociLayer, tarOf(t, file("a", "b")))), true)
			if got := shorts(rep); got != tt.want {
				t.Fatalf("got  %s\nwant %s", got, tt.want)
			}
			if got := rep.Findings[0].Instruction; got != tt.instruction {
				t.Errorf("instruction: got %q, want %q", got, tt.instruction)
			}
			if rep.Verdict != finding.Leaked {
				t.Errorf("got %s", rep.Verdict)
			}
		})
	}
}

// TestEscapedConfig: a value that the config's JSON spells with escapes that
// nobody would think of is found, since strings are searched decoded.
func TestEscapedConfig(t *testing.T) {
	var escaped strings.Builder
	for _, r := range password {
		fmt.Fprintf(&escaped, `\u%04X`, r)
	}
	s := blobs{}
	config := s.put(ociConfig, []byte(`{"os":"linux","architecture":"amd64","config":{"Env":["`+escaped.String()+`"]}}`))
	root := s.json(ociManifest, object{"config": desc(config, nil), "layers": []object{}})
	want := `password raw layer=-1 path="" field="config.Env[0]"`
	if got := shorts(scanAll(t, s, root, true)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestLeakAcrossFields: a value that is no single string of a document is found
// in the document's bytes.
func TestLeakAcrossFields(t *testing.T) {
	sc := New(Options{Index: testIndex()})
	text := `{"predicate":` + account + `}`
	rec := sc.inspect(digestOf([]byte(text)), strings.NewReader(text))
	if len(rec.hits) != 1 || rec.hits[0].field != finding.FieldConfig || rec.hits[0].offset != 13 {
		t.Errorf("got %+v", rec.hits)
	}
}
