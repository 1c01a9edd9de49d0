package image

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/org/secure-build/internal/hint"
)

// Media types of what docker save wrote before it wrote OCI layouts
// (https://github.com/moby/moby/blob/v27.0.0/image/tarexport).
const (
	dockerConfig = "application/vnd.docker.container.image.v1+json"
	dockerLayer  = "application/vnd.docker.image.rootfs.diff.tar"
)

// fromArchive unpacks a tar archive, gzipped or not, into a layout below dir.
// Names in it are not trusted: every file is stored by its own digest, and only
// what is named like a blob, an index or a manifest list is kept at all.
func fromArchive(ctx context.Context, file, dir string) (_ *Source, err error) {
	l, err := Temp(dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("opening %s: %w", file, err), l.Remove())
		}
	}()
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := gunzipped(f)
	if err != nil {
		return nil, err
	}
	byName, err := l.unpack(ctx, tar.NewReader(r))
	if err != nil {
		return nil, hint.Wrap(err, "an image archive is what docker save, or an exporter of type oci, writes")
	}
	if _, ok := byName[ocispecs.ImageIndexFile]; !ok {
		if err := l.fromDocker(byName); err != nil {
			return nil, hint.Wrap(err, "an image archive is what docker save, or an exporter of type oci, writes")
		}
	}
	src, err := fromLayout(file, l.dir)
	if err != nil {
		return nil, err
	}
	src.close = l.Remove
	return src, nil
}

func gunzipped(f *os.File) (io.Reader, error) {
	zr, err := gzip.NewReader(f)
	if err == nil {
		return zr, nil
	}
	_, err = f.Seek(0, io.SeekStart)
	return f, err
}

// unpack stores every regular file as a blob, and returns their digests by
// name. A link is the name of a blob that is there already.
func (l *Layout) unpack(ctx context.Context, tr *tar.Reader) (map[string]digest.Digest, error) {
	byName := map[string]digest.Digest{}
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return byName, nil
		}
		if err != nil {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		name := path.Clean(h.Name)
		switch h.Typeflag {
		case tar.TypeReg:
			d, err := l.add(tr)
			if err != nil {
				return nil, err
			}
			byName[name] = d
			if name == ocispecs.ImageIndexFile {
				if err := os.Link(l.path(d), filepath.Join(l.dir, name)); err != nil {
					return nil, err
				}
			}
		case tar.TypeSymlink: // an equal layer of an older image
			byName[name] = byName[path.Join(path.Dir(name), h.Linkname)]
		case tar.TypeLink:
			byName[name] = byName[path.Clean(h.Linkname)]
		}
	}
}

// add stores one blob under its own digest.
func (l *Layout) add(r io.Reader) (digest.Digest, error) {
	tmp, err := os.CreateTemp(l.dir, "blob-")
	if err != nil {
		return "", err
	}
	defer os.Remove(tmp.Name())
	d := digest.Canonical.Digester()
	_, err = io.Copy(io.MultiWriter(tmp, d.Hash()), r)
	if err = errors.Join(err, tmp.Close()); err != nil {
		return "", err
	}
	to := l.path(d.Digest())
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return "", err
	}
	return d.Digest(), os.Rename(tmp.Name(), to)
}

func (l *Layout) path(d digest.Digest) string {
	return filepath.Join(l.dir, ocispecs.ImageBlobsDir, d.Algorithm().String(), d.Encoded())
}

// fromDocker makes manifests and an index of manifest.json, which lists the
// config and the layers of each image by file name.
func (l *Layout) fromDocker(byName map[string]digest.Digest) error {
	d, ok := byName["manifest.json"]
	if !ok {
		return errors.New("it has neither an index.json nor a manifest.json")
	}
	b, err := readIndex(l.path(d))
	if err != nil {
		return err
	}
	var images []struct {
		Config string
		Layers []string
	}
	if err := json.Unmarshal(b, &images); err != nil {
		return fmt.Errorf("reading its manifest.json: %w", err)
	}
	index := ocispecs.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispecs.MediaTypeImageIndex}
	for _, img := range images {
		m := ocispecs.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispecs.MediaTypeImageManifest}
		if m.Config, err = l.describe(byName, img.Config, dockerConfig); err != nil {
			return err
		}
		for _, name := range img.Layers {
			layer, err := l.describe(byName, name, dockerLayer)
			if err != nil {
				return err
			}
			m.Layers = append(m.Layers, layer)
		}
		b, err := json.Marshal(m)
		if err != nil {
			return err
		}
		d, err := l.add(strings.NewReader(string(b)))
		if err != nil {
			return err
		}
		index.Manifests = append(index.Manifests, ocispecs.Descriptor{MediaType: m.MediaType, Digest: d, Size: int64(len(b))})
	}
	if b, err = json.Marshal(index); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(l.dir, ocispecs.ImageIndexFile), b, 0o600)
}

func (l *Layout) describe(byName map[string]digest.Digest, name, mediaType string) (ocispecs.Descriptor, error) {
	d, ok := byName[path.Clean(name)]
	if !ok || d == "" {
		return ocispecs.Descriptor{}, fmt.Errorf("its manifest.json names %q, which is not in it", name)
	}
	fi, err := os.Stat(l.path(d))
	if err != nil {
		return ocispecs.Descriptor{}, err
	}
	return ocispecs.Descriptor{MediaType: mediaType, Digest: d, Size: fi.Size()}, nil
}
