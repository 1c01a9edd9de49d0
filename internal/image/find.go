package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/org/secure-build/internal/hint"
)

// A Source is an image that exists: where it begins, and how to read a blob.
type Source struct {
	Name string // as it was asked for
	Root ocispecs.Descriptor
	Open func(digest string) (io.ReadCloser, error)
	// Documents go where the image goes and are no part of it: the index.json of a
	// layout, whose annotations name it, and the manifest.json of an archive.
	Documents []ocispecs.Descriptor

	close func() error
}

// Close removes what Find has unpacked.
func (s *Source) Close() error {
	if s.close == nil {
		return nil
	}
	return s.close()
}

// Find opens an image: an OCI layout (a folder), what docker save or an OCI
// exporter wrote (a tar archive, unpacked below dir until Close), or a
// reference to a registry, from which blobs are read as they are asked for, by
// the login that logins has for it.
func Find(ctx context.Context, image, dir string, logins authn.Keychain) (*Source, error) {
	fi, err := os.Stat(image)
	switch {
	case err == nil && fi.IsDir():
		return fromLayout(image, image)
	case err == nil:
		return fromArchive(ctx, image, dir)
	case filepath.IsAbs(image) || image[:min(2, len(image))] == "./":
		return nil, fmt.Errorf("opening the image: %w", err)
	}
	return fromRegistry(ctx, image, logins)
}

// fromLayout reads a layout.
func fromLayout(name, dir string) (*Source, error) {
	l := &Layout{dir: dir}
	index, err := readIndex(filepath.Join(dir, ocispecs.ImageIndexFile))
	if err != nil {
		return nil, hint.Wrap(fmt.Errorf("opening %s: %w", name, err), "an OCI layout has an index.json and a folder blobs")
	}
	parsed, err := parseIndex(index)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", name, err)
	}
	src, err := source(name, l.Open, documents{}, index, nil, parsed.Manifests, nil)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", name, err)
	}
	return src, nil
}

func parseIndex(text []byte) (index ocispecs.Index, err error) {
	if err := json.Unmarshal(text, &index); err != nil {
		return index, fmt.Errorf("reading its index.json: %w", err)
	}
	return index, nil
}

// source makes a Source of the images that an index.json leads to, and of more.
// If that is one then it is the root; if there are several (docker save of
// several), an index of them is: index.json, if it has all. Neither it nor the
// manifest.json beside it need be there; nil is for none.
func source(name string, open func(string) (io.ReadCloser, error), docs documents, index, saved []byte, images, more []ocispecs.Descriptor) (*Source, error) {
	src := &Source{Name: name, Open: docs.before(open)}
	if index != nil {
		src.Documents = append(src.Documents, docs.put(ocispecs.MediaTypeImageIndex, index))
	}
	if saved != nil {
		src.Documents = append(src.Documents, docs.put("application/json", saved))
	}
	all := slices.Concat(images, more)
	switch {
	case len(all) == 0:
		return nil, errors.New("there is no image in it")
	case len(all) == 1:
		src.Root = all[0]
	case len(more) == 0:
		src.Root, src.Documents = src.Documents[0], src.Documents[1:]
	default:
		joined := ocispecs.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispecs.MediaTypeImageIndex, Manifests: all}
		root, err := docs.marshal(joined.MediaType, joined)
		if err != nil {
			return nil, err
		}
		src.Root = root
	}
	return src, nil
}

// documents are what a Source has in memory, by digest.
type documents map[string][]byte

func (d documents) put(mediaType string, text []byte) ocispecs.Descriptor {
	desc := ocispecs.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(text), Size: int64(len(text))}
	d[desc.Digest.String()] = text
	return desc
}

func (d documents) marshal(mediaType string, v any) (ocispecs.Descriptor, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return ocispecs.Descriptor{}, err
	}
	return d.put(mediaType, text), nil
}

// before opens a document, or what another func has.
func (d documents) before(open func(string) (io.ReadCloser, error)) func(string) (io.ReadCloser, error) {
	return func(dgst string) (io.ReadCloser, error) {
		if text, ok := d[dgst]; ok {
			return io.NopCloser(bytes.NewReader(text)), nil
		}
		return open(dgst)
	}
}

func readIndex(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxIndexSize+1))
	if err == nil && len(b) > maxIndexSize {
		err = fmt.Errorf("%s is larger than %d bytes", filepath.Base(path), maxIndexSize)
	}
	return b, err
}

// fromRegistry resolves a reference once; from then on everything is read by
// digest.
func fromRegistry(ctx context.Context, image string, logins authn.Keychain) (*Source, error) {
	ref, err := name.ParseReference(image)
	if err != nil {
		return nil, hint.Wrap(fmt.Errorf("opening the image %q: %w", image, err), "an image is a folder, a tar archive, or a reference such as registry.example.com/team/app:1.2")
	}
	opts := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(logins)}
	desc, err := remote.Get(ref, opts...)
	if err != nil {
		return nil, hint.Wrap(fmt.Errorf("opening the image %s: %w", image, err), "there is no folder or file of that name either; docker login, if the registry wants one")
	}
	repo := ref.Context()
	open := func(dgst string) (io.ReadCloser, error) {
		layer, err := remote.Layer(repo.Digest(dgst), opts...)
		if err != nil {
			return nil, err
		}
		rc, err := layer.Compressed()
		var terr *transport.Error
		if errors.As(err, &terr) && terr.StatusCode == http.StatusNotFound { // manifests have an address of their own
			m, merr := remote.Get(repo.Digest(dgst), opts...)
			if merr != nil {
				return nil, errors.Join(err, merr)
			}
			return io.NopCloser(bytes.NewReader(m.Manifest)), nil
		}
		return rc, err
	}
	root := ocispecs.Descriptor{MediaType: string(desc.MediaType), Digest: digest.Digest(desc.Digest.String()), Size: desc.Size}
	return &Source{Name: image, Root: root, Open: open}, nil
}
