package scan

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"

	"github.com/org/secure-build/internal/canary"
	"github.com/org/secure-build/internal/finding"
	"github.com/org/secure-build/internal/scan/nested"
)

// A sample is an entry of the self-test's layer, with the value in it.
type sample struct {
	name   string // such as "base64" or "a link"
	header tar.Header
	data   []byte
	at     place // where the value has to be found
}

// written has the value in each encoding, in a file each.
func written(value []byte) (list []sample) {
	for i, f := range canary.Deep(value) {
		name := fmt.Sprintf("canary/%d", i)
		list = append(list, sample{f.Name, tar.Header{Typeflag: tar.TypeReg, Name: name}, f.Text, place{path: name}})
	}
	return list
}

// named has the value wherever else a layer can hold one.
func named(value []byte) []sample {
	v := string(value)
	long := strings.Repeat("canary/", 20) + v // no room in a header
	xattr := map[string]string{"SCHILY.xattr.user.canary": v}
	return []sample{
		{"a name", tar.Header{Typeflag: tar.TypeReg, Name: v}, nil, place{v, finding.FieldPath}},
		{"a long name", tar.Header{Typeflag: tar.TypeReg, Name: long}, nil, place{long, finding.FieldPath}},
		{"a symbolic link", tar.Header{Typeflag: tar.TypeSymlink, Name: "canary/symbolic", Linkname: v}, nil, place{"canary/symbolic", finding.FieldLink}},
		{"a hard link", tar.Header{Typeflag: tar.TypeLink, Name: "canary/hard", Linkname: v}, nil, place{"canary/hard", finding.FieldLink}},
		{"an extended attribute", tar.Header{Typeflag: tar.TypeReg, Name: "canary/xattr", PAXRecords: xattr}, nil, place{"canary/xattr", finding.FieldHeader}},
	}
}

// packings are how a file may hold others: the inside is how the path goes on
// from that of the file. Where base64 is set, it is known by its beginning in
// base64 too.
var packings = []struct {
	format nested.Format
	inside string
	base64 bool
	pack   func([]byte) ([]byte, error)
}{
	{nested.Gzip, "!", true, func(b []byte) ([]byte, error) {
		return through(b, func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriterLevel(w, gzip.StatelessCompression) })
	}},
	{nested.Zlib, "!", true, zlibbed},
	{nested.Bzip2, "!", true, func(b []byte) ([]byte, error) { return canary.Bzip2(b), nil }},
	{nested.Xz, "!", true, func(b []byte) ([]byte, error) {
		return through(b, func(w io.Writer) (io.WriteCloser, error) {
			return xz.WriterConfig{DictCap: lzma.MinDictCap}.NewWriter(w)
		})
	}},
	{nested.Lzma, "!", false, func(b []byte) ([]byte, error) {
		return through(b, func(w io.Writer) (io.WriteCloser, error) {
			return lzma.WriterConfig{DictCap: lzma.MinDictCap}.NewWriter(w)
		})
	}},
	{nested.Zstd, "!", true, func(b []byte) ([]byte, error) {
		return through(b, func(w io.Writer) (io.WriteCloser, error) {
			return zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(zstd.MinWindowSize), zstd.WithEncoderConcurrency(1))
		})
	}},
	{nested.Tar, "!/canary", true, func(b []byte) ([]byte, error) {
		return tarred([]sample{{header: tar.Header{Typeflag: tar.TypeReg, Name: "canary"}, data: b}})
	}},
	{nested.Zip, "!/canary", true, zipped},
	{nested.Ar, "!/canary", false, func(b []byte) ([]byte, error) {
		return fmt.Appendf(nil, "!<arch>\n%-16s%-12d%-6d%-6d%-8o%-10d`\n%s\n", "canary/", 0, 0, 0, 0o100600, len(b), b), nil
	}},
	{nested.Cpio, "!/canary", false, func(b []byte) ([]byte, error) { return append(cpio("canary", b), cpio("TRAILER!!!", nil)...), nil }},
	{nested.Rpm, "!/payload!/canary", false, func(b []byte) ([]byte, error) {
		out := append([]byte("\xed\xab\xee\xdb"), make([]byte, 92)...)
		for range 2 { // its signature and its header, with nothing in them
			out = append(append(out, "\x8e\xad\xe8\x01"...), make([]byte, 12)...)
		}
		return append(append(out, cpio("canary", b)...), cpio("TRAILER!!!", nil)...), nil
	}},
	{nested.Pack, "!/blob-12", false, func(b []byte) ([]byte, error) {
		object, err := zlibbed(b)
		out := append([]byte("PACK\x00\x00\x00\x02\x00\x00\x00\x01"), 3<<4|byte(len(b)&15)|0x80, byte(len(b)>>4))
		return append(append(out, object...), make([]byte, 20)...), err
	}},
}

// packed has the value in each kind of packed file, and in base64 of these.
func packed(value []byte) (list []sample, err error) {
	text := []byte("canary: " + string(value) + "\n")
	for _, p := range packings {
		b, err := p.pack(text)
		if err != nil {
			return nil, fmt.Errorf("packing %s: %w", p.format, err)
		}
		name := "canary/in " + string(p.format)
		list = append(list, sample{string(p.format), tar.Header{Typeflag: tar.TypeReg, Name: name}, b, place{path: name + p.inside}})
		if p.base64 {
			list = append(list, sample{
				"base64 of " + string(p.format), tar.Header{Typeflag: tar.TypeReg, Name: name + " in base64"},
				base64.StdEncoding.AppendEncode([]byte("data: "), b), place{path: name + " in base64!base64" + p.inside},
			})
		}
	}
	return list, nil
}

func through(b []byte, open func(io.Writer) (io.WriteCloser, error)) ([]byte, error) {
	var out bytes.Buffer
	w, err := open(&out)
	if err == nil {
		_, err = w.Write(b)
	}
	if err == nil {
		err = w.Close()
	}
	return out.Bytes(), err
}

func zlibbed(b []byte) ([]byte, error) {
	return through(b, func(w io.Writer) (io.WriteCloser, error) { return zlib.NewWriterLevel(w, zlib.HuffmanOnly) })
}

func zipped(b []byte) ([]byte, error) {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	f, err := w.Create("canary")
	if err == nil {
		_, err = f.Write(b)
	}
	if err == nil {
		err = w.Close()
	}
	return out.Bytes(), err
}

// cpio is one entry of the newc kind.
func cpio(name string, b []byte) []byte {
	pad := func(b []byte) []byte { return append(b, make([]byte, (4-len(b)%4)%4)...) }
	h := fmt.Appendf(nil, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00", 0, 0o100600, 0, 0, 1, 0, len(b), 0, 0, 0, 0, len(name)+1, 0, name)
	return pad(append(pad(h), b...))
}

// tarred is a layer of samples.
func tarred(list []sample) ([]byte, error) {
	var out bytes.Buffer
	out.Grow(4 * tarBlock * (len(list) + 1))
	w := tar.NewWriter(&out)
	for _, s := range list {
		s.header.Size, s.header.Mode = int64(len(s.data)), 0o600
		if err := w.WriteHeader(&s.header); err != nil {
			return nil, err
		}
		if _, err := w.Write(s.data); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return out.Bytes(), err
}

// configured is a config with the value in four of its fields, in one of them
// as nobody would write it: only who reads the document finds that.
func configured(value []byte) (config []byte, list []sample, err error) {
	quoted, err := json.Marshal(string(value))
	if err != nil {
		return nil, nil, err
	}
	var odd strings.Builder
	for i, c := range value {
		if i%2 == 0 || c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			fmt.Fprintf(&odd, `\u%04x`, c)
		} else {
			odd.WriteByte(c)
		}
	}
	config = fmt.Appendf(nil, `{"config":{"Env":[%[1]s,"%[2]s"],"Labels":{"canary":%[1]s}},"history":[{"created_by":%[1]s}]}`, quoted, odd.String())
	for _, field := range []string{"config.Env[0]", "config.Env[1]", "config.Labels.canary", "history[0].created_by"} {
		list = append(list, sample{name: field, at: place{field: field}})
	}
	return config, list, nil
}
