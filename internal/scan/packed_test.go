package scan

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/base64"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/org/secure-build/internal/canary"
	"github.com/org/secure-build/internal/finding"
)

// Zip64 archives of three files, with the password in etc/pw, as zipfile of
// Python writes them if it is told force_zip64: into a file, with the sizes in the
// header, and into a pipe, with descriptors whose sizes take 8 bytes.
const (
	zip64Sized = "UEsDBC0AAAAIAAAAIQAmTtCS//////////8JABQAZmlyc3QudHh0AQAQAPgAAAAAAAAAJAAAAAAAAAArzs9NVShJrShRKMlILFFIzs8tKEotLk4tVihPzcnhKh6u0gBQSwMELQAAAAgAAAAhAPLaEc3//////////wYAFABldGMvcHcBABAAFAEAAAAAAABAAAAAAAAAACvOz01VKEmtKFEoyUgsUUjOzy0oSi0uTi1WKE/NyeEqHq7SBeW2UYXmuhn5RcWpqkmJJSWpRZX6xSWJBTmpXABQSwMELQAAAAgAAAAhACZO0JL//////////wgAFABsYXN0LnR4dAEAEAD4AAAAAAAAACQAAAAAAAAAK87PTVUoSa0oUSjJSCxRSM7PLShKLS5OLVYoT83J4SoertIAUEsBAi0DLQAAAAgAAAAhACZO0JIkAAAA+AAAAAkAAAAAAAAAAAAAAIABAAAAAGZpcnN0LnR4dFBLAQItAy0AAAAIAAAAIQDy2hHNQAAAABQBAAAGAAAAAAAAAAAAAACAAV8AAABldGMvcHdQSwECLQMtAAAACAAAACEAJk7QkiQAAAD4AAAACAAAAAAAAAAAAAAAgAHXAAAAbGFzdC50eHRQSwUGAAAAAAMAAwChAAAANQEAAAAA"
	zip64Piped = "UEsDBC0ACAAIAAAAIQAAAAAA//////////8JABQAZmlyc3QudHh0AQAQAAAAAAAAAAAAAAAAAAAAAAArzs9NVShJrShRKMlILFFIzs8tKEotLk4tVihPzcnhKh6u0gBQSwcIJk7QkiQAAAAAAAAA+AAAAAAAAABQSwMELQAIAAgAAAAhAAAAAAD//////////wYAFABldGMvcHcBABAAAAAAAAAAAAAAAAAAAAAAACvOz01VKEmtKFEoyUgsUUjOzy0oSi0uTi1WKE/NyeEqHq7SBeW2UYXmuhn5RcWpqkmJJSWpRZX6xSWJBTmpXABQSwcI8toRzUAAAAAAAAAAFAEAAAAAAABQSwMELQAIAAgAAAAhAAAAAAD//////////wgAFABsYXN0LnR4dAEAEAAAAAAAAAAAAAAAAAAAAAAAK87PTVUoSa0oUSjJSCxRSM7PLShKLS5OLVYoT83J4SoertIAUEsHCCZO0JIkAAAAAAAAAPgAAAAAAAAAUEsBAi0DLQAIAAgAAAAhACZO0JIkAAAA+AAAAAkAAAAAAAAAAAAAAIABAAAAAGZpcnN0LnR4dFBLAQItAy0ACAAIAAAAIQDy2hHNQAAAABQBAAAGAAAAAAAAAAAAAACAAXcAAABldGMvcHdQSwECLQMtAAgACAAAACEAJk7QkiQAAAD4AAAACAAAAAAAAAAAAAAAgAEHAQAAbGFzdC50eHRQSwUGAAAAAAMAAwChAAAAfQEAAAAA"
)

// TestZip64: entries whose sizes take 8 bytes are opened, and named, and so is
// what follows them.
func TestZip64(t *testing.T) {
	for name, text := range map[string]string{"sized": zip64Sized, "piped": zip64Piped} {
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := zip.NewReader(bytes.NewReader(b), int64(len(b))); err != nil {
			t.Fatal(err)
		}
		// With the value in the last entry: nothing is found if the ones before are
		// not passed rightly.
		later := bytes.ReplaceAll(bytes.ReplaceAll(bytes.ReplaceAll(b, []byte("etc/pw"), []byte("etc/xx")), []byte("last.txt"), []byte("etc/last")), []byte("etc/xx"), []byte("etc/pw"))
		for file64, layer := range map[string][]byte{"a.zip": b, "b.zip": later} {
			rec := New(Options{Index: testIndex()}).inspect("", bytes.NewReader(tarOf(t, file(file64, string(layer)), file("after", "x"))))
			t.Run(name, func(t *testing.T) { checkNested(t, rec, file64+"!/etc/pw", "raw") })
		}
	}
}

// git runs it in a folder, without any settings of the machine's.
func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main", "-c", "commit.gpgsign=false"}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GIT_CONFIG_NOSYSTEM=1"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %q: %v\n%s", args, err, out)
	}
}

// repository is .git as a layer has it, of a settings file that had the password
// in one of its six versions.
func repository(t *testing.T, leak int, packed bool) (list []tar.Header) {
	t.Helper()
	dir := t.TempDir()
	git(t, dir, "init", "-q")
	r := rand.New(rand.NewPCG(3, 4))
	var settings strings.Builder
	for i := range 400 {
		fmt.Fprintf(&settings, "setting_%d = %d\n", i, r.Uint64())
	}
	for version := range 6 {
		text := settings.String() + strings.Repeat(fmt.Sprintf("added_in = %d\n", version), 10*version) // git makes deltas of what is shorter
		if version == leak {
			text = strings.Replace(text, "setting_200 = ", "password = "+password+"\nsetting_200 = ", 1)
		}
		if err := os.WriteFile(filepath.Join(dir, "settings.ini"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		git(t, dir, "add", "settings.ini")
		git(t, dir, "commit", "-q", "-m", fmt.Sprint("version ", version))
	}
	if packed {
		git(t, dir, "repack", "-q", "-a", "-d", "-f")
	}
	root := os.DirFS(dir)
	err := fs.WalkDir(root, ".git", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(root, path)
		list = append(list, file("srv/"+path, string(b)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestGit: what was ever in a file of a repository is found in what git itself
// has written: in an object, in a pack in full, and in a pack as a difference
// from another version.
func TestGit(t *testing.T) {
	tests := []struct {
		name, path string // a part of it
		leak       int
		packed     bool
	}{
		{"object", "!", 2, false},
		{"pack, the latest version", ".pack!/blob-", 5, true},
		{"pack, an old version", ".pack!/delta-", 2, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			list := repository(t, tt.leak, tt.packed)
			for outer, layer := range map[string][]byte{"": tarOf(t, list...), "src.tgz!/": tarOf(t, file("src.tgz", string(gz(t, tarOf(t, list...)))))} {
				rec := New(Options{Index: testIndex()}).inspect("", bytes.NewReader(layer))
				if len(rec.hits) != 1 || !strings.HasPrefix(rec.hits[0].path, outer+"srv/.git/objects/") || !strings.Contains(rec.hits[0].path, tt.path) {
					t.Errorf("%q: got %s, want %s", outer, hitsOf(rec), tt.path)
				}
				if len(rec.unread)+len(rec.found.unread.list)+len(rec.found.remarks.list) > 0 {
					t.Errorf("%q: unread %v %v, remarks %v", outer, rec.unread, rec.found.unread, rec.found.remarks)
				}
			}
			none := repository(t, -1, tt.packed)
			if rec := New(Options{Index: testIndex()}).inspect("", bytes.NewReader(tarOf(t, none...))); len(rec.hits) > 0 {
				t.Errorf("without the value: got %s", hitsOf(rec))
			}
		})
	}
}

// bzip2Of packs as bzip2 does unless it is told a level.
func bzip2Of(b []byte) []byte {
	b = canary.Bzip2(b)
	b[3] = '9'
	return b
}

// TestBase64OfEachForm: whatever may be packed in a file may stand in a text in
// base64, in the ways in which texts have that.
func TestBase64OfEachForm(t *testing.T) {
	text := []byte(strings.Repeat("some text that compresses well\n", 40) + "pw=" + password + "\n")
	bz, err := base64.StdEncoding.DecodeString(bzipped)
	if err != nil {
		t.Fatal(err)
	}
	layer := tarOf(t, file("etc/pw", string(text)))
	tests := []struct {
		name, path string
		content    []byte
	}{
		{"gzip", "f!base64!", gz(t, text)},
		{"bzip2", "f!base64!", bz},
		{"xz", "f!base64!", xzOf(t, text)},
		{"zstd", "f!base64!", zst(t, text)},
		{"zip", "f!base64!/etc/pw", zipOf(t, zip.Deflate, "first", "nothing", "etc/pw", string(text))},
		{"zip, stored", "f!base64!/etc/pw", rawZip(t, zip.Store, "etc/pw", text, len(text))},
		{"tar", "f", layer}, // found as base64 of the value itself
		{"tar.gz", "f!base64!/etc/pw", gz(t, layer)},
		{"tar.bz2", "f!base64!/etc/pw", bzip2Of(layer)},
		{"tar.xz", "f!base64!/etc/pw", xzOf(t, layer)},
		{"tar.zst", "f!base64!/etc/pw", zst(t, layer)},
	}
	for _, tt := range tests {
		coded := b64(tt.content)
		for way, content := range map[string]string{
			"alone": coded, "in YAML": "data:\n  release: " + coded + "\nend: 1\n", "in JSON": `{"data":{"release":"` + coded + `"}}`,
			"in rows": "data: |\n" + wrap("  "+coded, 76, "\n  ") + "end\n", "in rows, CRLF": wrap(coded, 64, "\r\n"),
			"for URLs": "x=" + base64.URLEncoding.EncodeToString(tt.content), "without padding": "x=" + base64.RawStdEncoding.EncodeToString(tt.content),
		} {
			s := blobs{}
			rep := scanAll(t, s, s.manifest(object{}, s.put(ociLayer, tarOf(t, file("before", "x"), file("f", content), file("after", "x")))), true)
			there := func(f finding.Finding) bool { return f.Path == tt.path }
			if rep.Verdict != finding.Leaked || !slices.ContainsFunc(rep.Findings, there) {
				t.Errorf("%s, %s: got %s, %s, packed %v; want %q", tt.name, way, rep.Verdict, shorts(rep), rep.Coverage.Packed, tt.path)
			}
		}
	}
}
