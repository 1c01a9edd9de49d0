package corpus

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/flate"
	"compress/zlib"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/org/secure-build/internal/canary"
	"github.com/ulikunitz/xz"
)

// A packing is a form in which the value is not in the file's own bytes.
type packing struct {
	name, file string
	write      func(r *rand.Rand, v string) ([]byte, error)
}

// A coder packs bytes.
type coder func([]byte) ([]byte, error)

// packs applies coders to a text with the value in it, the innermost first.
func packs(coders ...coder) func(*rand.Rand, string) ([]byte, error) {
	return func(r *rand.Rand, v string) ([]byte, error) {
		b := []byte(words(r, 60) + "\npassword: " + v + "\n" + words(r, 60))
		for _, c := range coders {
			var err error
			if b, err = c(b); err != nil {
				return nil, err
			}
		}
		return b, nil
	}
}

var packed = []packing{
	{"gzip", "dump.sql.gz", packs(gz)},
	{"gzip without a suffix", "dump", packs(gz)},
	{"gzip, second member", "dump.gz", packs(gz, after(gz, "nothing here"))},
	{"gzip, behind a gzip and zeros", "dump.gz", packs(gz, headed("\x00\x00\x00"), after(gz, "nothing here"))},
	{"gzip in gzip", "dump.gz.gz", packs(gz, gz)},
	{"zstd", "dump.zst", packs(zst)},
	{"zstd, behind a frame to skip", "dump.zst", packs(zst, headed("\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"))},
	{"xz", "dump.xz", packs(xzip)},
	{"bzip2", "dump.bz2", packs(bz)},
	{"git object", "repo/.git/objects/4b/825dc642cb6eb9a060e54bf8d69288fbee4904", packs(gitObject)},
	{"tar", "backup.tar", packs(inTar("etc/app.conf"))},
	{"tar behind a tar", "backup.tar", packs(gz, inTar("etc/app.conf.gz"), after(inTar("etc/x"), "nothing here"))},
	{"tar.gz", "backup.tar.gz", packs(inTar("etc/app.conf"), gz)},
	{"tar.xz", "backup.tar.xz", packs(inTar("etc/app.conf"), xzip)},
	{"tar.zst", "backup.tar.zst", packs(inTar("etc/app.conf"), zst)},
	{"tar.bz2", "backup.tbz", packs(inTar("etc/app.conf"), bz)},
	{"jar, stored", "app.jar", packs(inZip("application.properties", zip.Store))},
	{"jar, deflated", "app.jar", packs(inZip("application.properties", zip.Deflate))},
	{"jar with sizes in its headers", "app.jar", packs(inSizedZip("application.properties"))},
	{"whl", "app-1.0-py3-none-any.whl", packs(inZip("app/settings.py", zip.Deflate))},
	{"zip in zip", "app.war", packs(inZip("app.properties", zip.Deflate), inZip("WEB-INF/lib/app.jar", zip.Deflate))},
	{"stored zip in zip", "app.war", packs(inZip("app.properties", zip.Deflate), inZip("WEB-INF/lib/app.jar", zip.Store))},
	{"tar.gz in zip", "all.zip", packs(inTar("etc/app.conf"), gz, inZip("backup.tar.gz", zip.Deflate))},
	{"gzip stored in a zip that is written to a pipe", "all.zip", packs(gz, inZip("dump.sql.gz", zip.Store))},
	{"docker save, layers as they are", "image.tar", packs(inTar("etc/app.conf"), inTar("0123/layer.tar"))},
	{"docker save, gzip", "image.tar", packs(inTar("etc/app.conf"), gz, inTar("blobs/sha256/0123"))},
	{"docker save | gzip", "image.tar.gz", packs(inTar("etc/app.conf"), inTar("0123/layer.tar"), gz)},
	{"deb, xz", "app.deb", packs(inTar("./etc/app.conf"), xzip, inAr("data.tar.xz"))},
	{"deb, zstd", "app.deb", packs(inTar("./etc/app.conf"), zst, inAr("data.tar.zst"))},
	{"deb, gzip", "app.deb", packs(inTar("./etc/app.conf"), gz, inAr("data.tar.gz"))},
	{"apk of Alpine's", "app.apk", packs(inTar("etc/app.conf"), gz, after(gz, "signature"))},
	{"base64 of gzip", "release.txt", packs(gz, coded("release: ", "\n"))},
	{"base64 twice of gzip, as Helm has it", "release.yaml", packs(gz, coded("", ""), coded("data:\n  release: ", "\n"))},
	{"base64 of gzip in rows", "mail.eml", packs(gz, func(b []byte) ([]byte, error) { return []byte("\n" + rows(b64(b), 76, "\n")), nil })},
	{"base64 in gzip", "secret.yaml.gz", packs(coded("pw: ", "\n"), gz)},
	{"zip behind a script", "app.pyz", packs(inZip("__main__.py", zip.Deflate), headed("#!/usr/bin/env python3\n"))},
}

func through(b []byte, open func(io.Writer) (io.WriteCloser, error)) ([]byte, error) {
	var out bytes.Buffer
	w, err := open(&out)
	if err != nil {
		return nil, err
	}
	if _, err = w.Write(b); err == nil {
		err = w.Close()
	}
	return out.Bytes(), err
}

func gz(b []byte) ([]byte, error) {
	return through(b, func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil })
}

func zst(b []byte) ([]byte, error) {
	return through(b, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) })
}

func xzip(b []byte) ([]byte, error) {
	return through(b, func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) })
}

func bz(b []byte) ([]byte, error) { return canary.Bzip2(b), nil }

func gitObject(b []byte) ([]byte, error) {
	b = append(fmt.Appendf(nil, "blob %d\x00", len(b)), b...)
	return through(b, func(w io.Writer) (io.WriteCloser, error) { return zlib.NewWriter(w), nil })
}

// after puts something else, packed in the same way, before.
func after(c coder, text string) coder {
	return func(b []byte) ([]byte, error) {
		first, err := c([]byte(text))
		return append(first, b...), err
	}
}

func headed(head string) coder {
	return func(b []byte) ([]byte, error) { return append([]byte(head), b...), nil }
}

func coded(before, end string) coder {
	return func(b []byte) ([]byte, error) { return []byte(before + b64(b) + end), nil }
}

func inTar(name string) coder {
	return func(b []byte) ([]byte, error) {
		var out bytes.Buffer
		w := tar.NewWriter(&out)
		for _, f := range []struct {
			name string
			data []byte
		}{{"VERSION", []byte("1.0\n")}, {name, b}, {"json", []byte("{}")}} {
			if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.name, Size: int64(len(f.data)), Mode: 0o644}); err != nil {
				return nil, err
			}
			if _, err := w.Write(f.data); err != nil {
				return nil, err
			}
		}
		err := w.Close()
		return out.Bytes(), err
	}
}

// inZip streams: sizes stand behind each file.
func inZip(name string, method uint16) coder {
	return func(b []byte) ([]byte, error) {
		var out bytes.Buffer
		w := zip.NewWriter(&out)
		for _, f := range []struct {
			name string
			data []byte
		}{{"META-INF/MANIFEST.MF", []byte("Manifest-Version: 1.0\n")}, {name, b}, {"LICENSE", []byte("none\n")}} {
			in, err := w.CreateHeader(&zip.FileHeader{Name: f.name, Method: method})
			if err != nil {
				return nil, err
			}
			if _, err := in.Write(f.data); err != nil {
				return nil, err
			}
		}
		err := w.Close()
		return out.Bytes(), err
	}
}

// inSizedZip has the sizes in the header of each file, as the programs jar and
// zip write it.
func inSizedZip(name string) coder {
	return func(b []byte) ([]byte, error) {
		deflated, err := through(b, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestCompression) })
		if err != nil {
			return nil, err
		}
		var out bytes.Buffer
		w := zip.NewWriter(&out)
		in, err := w.CreateRaw(&zip.FileHeader{
			Name: name, Method: zip.Deflate, CRC32: crc32.ChecksumIEEE(b),
			CompressedSize64: uint64(len(deflated)), UncompressedSize64: uint64(len(b)),
		})
		if err != nil {
			return nil, err
		}
		if _, err = in.Write(deflated); err == nil {
			err = w.Close()
		}
		return out.Bytes(), err
	}
}

// inAr is a Debian package (deb(5)).
func inAr(name string) coder {
	return func(b []byte) ([]byte, error) {
		out := bytes.NewBufferString("!<arch>\n")
		for _, f := range []struct {
			name string
			data []byte
		}{{"debian-binary", []byte("2.0\n")}, {name, b}} {
			fmt.Fprintf(out, "%-16s%-12d%-6d%-6d%-8o%-10d`\n", f.name, 0, 0, 0, 0o100644, len(f.data))
			out.Write(f.data)
			out.Write(make([]byte, len(f.data)%2))
		}
		return out.Bytes(), nil
	}
}
