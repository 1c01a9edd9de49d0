package push

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/org/secure-build/internal/held"
)

// What leaves is held to its digest on its way: the bytes lay on a disk since
// they were scanned, and a registry that does not check what it is given would
// hand out others under the name that was called clean (I4).

type index = v1.ImageIndex // embedded, its field must not bear a method's name

type heldIndex struct{ index }

func (i heldIndex) ImageIndex(h v1.Hash) (v1.ImageIndex, error) {
	idx, err := i.index.ImageIndex(h)
	return heldIndex{idx}, err
}

func (i heldIndex) Image(h v1.Hash) (v1.Image, error) {
	img, err := i.index.Image(h)
	return heldImage{img}, err
}

type heldImage struct{ v1.Image }

func (i heldImage) Layers() ([]v1.Layer, error) {
	layers, err := i.Image.Layers()
	for n, l := range layers {
		layers[n] = heldLayer{l}
	}
	return layers, err
}

func (i heldImage) LayerByDigest(h v1.Hash) (v1.Layer, error) {
	l, err := i.Image.LayerByDigest(h)
	return heldLayer{l}, err
}

func (i heldImage) LayerByDiffID(h v1.Hash) (v1.Layer, error) {
	l, err := i.Image.LayerByDiffID(h)
	return heldLayer{l}, err
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
