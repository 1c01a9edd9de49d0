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

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/org/secure-build/internal/hint"
)

// A Source is an image that exists: where it begins, and how to read a blob.
type Source struct {
	Name string // as it was asked for
	Root ocispecs.Descriptor
	Open func(digest string) (io.ReadCloser, error)

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

// fromLayout reads a layout. If its index.json names one image then that is
// the root; if it names several (docker save of several), the index is.
func fromLayout(name, dir string) (*Source, error) {
	l := &Layout{dir: dir}
	index, err := readIndex(filepath.Join(dir, ocispecs.ImageIndexFile))
	if err != nil {
		return nil, hint.Wrap(fmt.Errorf("opening %s: %w", name, err), "an OCI layout has an index.json and a folder blobs")
	}
	var parsed ocispecs.Index
	if err := json.Unmarshal(index, &parsed); err != nil {
		return nil, fmt.Errorf("opening %s: reading its index.json: %w", name, err)
	}
	switch len(parsed.Manifests) {
	case 0:
		return nil, fmt.Errorf("opening %s: there is no image in it", name)
	case 1:
		return &Source{Name: name, Root: parsed.Manifests[0], Open: l.Open}, nil
	}
	root := ocispecs.Descriptor{MediaType: ocispecs.MediaTypeImageIndex, Digest: digest.FromBytes(index), Size: int64(len(index))}
	open := func(dgst string) (io.ReadCloser, error) {
		if dgst == root.Digest.String() {
			return os.Open(filepath.Join(dir, ocispecs.ImageIndexFile))
		}
		return l.Open(dgst)
	}
	return &Source{Name: name, Root: root, Open: open}, nil
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
