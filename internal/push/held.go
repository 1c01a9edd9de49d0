package push

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/org/secure-build/internal/held"
)

// What leaves is held to its digest on its way, indexes, manifests and
// configurations as well as layers: the bytes lay on a disk since they were
// scanned, and a registry that does not check what it is given would hand out
// others under the name that was called clean (I4).

// whole gives text away if it is what its digest says.
func whole(text []byte, err error, want v1.Hash) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(text); want.Algorithm != "sha256" || hex.EncodeToString(sum[:]) != want.Hex {
		return nil, held.Changed(want.String())
	}
	return text, nil
}

type index = v1.ImageIndex // embedded, its field must not bear a method's name

// heldIndex has everything from its checked bytes.
type heldIndex struct {
	index
	want v1.Hash
}

func (i heldIndex) RawManifest() ([]byte, error) {
	text, err := i.index.RawManifest()
	return whole(text, err, i.want)
}

func (i heldIndex) Digest() (v1.Hash, error) { return partial.Digest(i) }

func (i heldIndex) Size() (int64, error) { return partial.Size(i) }

func (i heldIndex) IndexManifest() (*v1.IndexManifest, error) {
	text, err := i.RawManifest()
	if err != nil {
		return nil, err
	}
	return v1.ParseIndexManifest(bytes.NewReader(text))
}

func (i heldIndex) ImageIndex(h v1.Hash) (v1.ImageIndex, error) {
	idx, err := i.index.ImageIndex(h)
	if err != nil {
		return nil, err
	}
	return heldIndex{idx, h}, nil
}

func (i heldIndex) Image(h v1.Hash) (v1.Image, error) {
	img, err := i.index.Image(h)
	if err != nil {
		return nil, err
	}
	return holdImage(img, h)
}

// heldImage is the core of an image: the library makes all else of these.
type heldImage struct {
	v1.Image
	want v1.Hash
}

func holdImage(img v1.Image, want v1.Hash) (v1.Image, error) {
	return partial.CompressedToImage(heldImage{img, want})
}

func (i heldImage) RawManifest() ([]byte, error) {
	text, err := i.Image.RawManifest()
	return whole(text, err, i.want)
}

func (i heldImage) RawConfigFile() ([]byte, error) {
	m, err := partial.Manifest(i)
	if err != nil {
		return nil, err
	}
	text, err := i.Image.RawConfigFile()
	return whole(text, err, m.Config.Digest)
}

func (i heldImage) LayerByDigest(h v1.Hash) (partial.CompressedLayer, error) {
	l, err := i.Image.LayerByDigest(h)
	if err != nil {
		return nil, err
	}
	return heldLayer{l}, nil
}

type heldLayer struct{ v1.Layer }

// Compressed is asked for again by each try of an upload.
func (l heldLayer) Compressed() (io.ReadCloser, error) {
	h, err := l.Digest()
	if err != nil {
		return nil, err
	}
	size, err := l.Size()
	if err != nil {
		return nil, err
	}
	if h.Algorithm != "sha256" {
		return nil, fmt.Errorf("reading %s: only sha256 can be held to what was scanned", h)
	}
	r, err := l.Layer.Compressed()
	if err != nil {
		return nil, err
	}
	return &holding{ReadCloser: r, want: h, sum: sha256.New(), left: size}, nil
}

// holding gives the last bytes of a blob away only if all of them have its digest.
type holding struct {
	io.ReadCloser
	want v1.Hash
	sum  hash.Hash
	left int64
	err  error
}

func (h *holding) Read(p []byte) (int, error) {
	if h.err != nil {
		return 0, h.err
	}
	n, err := h.ReadCloser.Read(p)
	h.sum.Write(p[:n])
	h.left -= int64(n)
	switch {
	case h.left < 0, h.left == 0 && hex.EncodeToString(h.sum.Sum(nil)) != h.want.Hex, h.left > 0 && err == io.EOF:
		h.err = held.Changed(h.want.String())
		return 0, h.err
	}
	return n, err
}
