package buildkit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/pkg/labels"
	contentlocal "github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// served is a daemon's content store.
type served struct {
	content.Store
	mu    sync.Mutex
	blobs map[string]map[string]string // labels by content
	err   error
	lists int
}

func (s *served) add(text string, label ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blobs[text] = map[string]string{}
	for _, l := range label {
		s.blobs[text][l] = "x"
	}
}

func (s *served) Walk(_ context.Context, fn content.WalkFunc, _ ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists++
	for text, l := range s.blobs {
		size := int64(len(text))
		if strings.HasPrefix(text, "huge") {
			size = followBytes
		}
		if strings.HasPrefix(text, "lie") {
			size = math.MaxInt64
		}
		if strings.HasPrefix(text, "below") {
			size = math.MinInt64 / 2
		}
		if err := fn(content.Info{Digest: digest.FromString(text), Size: size, Labels: l}); err != nil {
			return err
		}
	}
	return s.err
}

func (s *served) open(_ context.Context, d digest.Digest) io.Reader {
	s.mu.Lock()
	defer s.mu.Unlock()
	for text := range s.blobs {
		if digest.FromString(text) == d && text != "gone" {
			return strings.NewReader(text)
		}
	}
	return iotest.ErrReader(errors.New("it has gone"))
}

// await returns when the store was listed n times more.
func (s *served) await(t *testing.T, n int) {
	t.Helper()
	for want := -1; ; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		lists := s.lists
		s.mu.Unlock()
		if want < 0 {
			want = lists + n
		}
		if lists >= want {
			return
		}
	}
}

func (r *reads) take(_ context.Context, _ ocispecs.Descriptor, from io.Reader) error {
	r.read(from)
	return nil
}

func TestFollow(t *testing.T) {
	s, got := &served{blobs: map[string]map[string]string{}}, &reads{}
	s.add("there before", labels.LabelUncompressed)
	stop := follow(t.Context(), s, reading{s.open, got.take})
	s.await(t, 2)
	s.add("packed now", labels.LabelUncompressed)
	s.add("pulled now", labels.LabelUncompressed, labels.LabelDistributionSource+".registry.example.com")
	s.add("gone", labels.LabelUncompressed)
	got.await(t, 2)
	s.add("lie: so large that a sum with it is small", labels.LabelUncompressed)
	s.await(t, 2)
	s.add("below: smaller than nothing", labels.LabelUncompressed)
	s.await(t, 2)
	s.add("huge: more than what is left of the bound", labels.LabelUncompressed)
	s.await(t, 2)
	stop()
	slices.Sort(got.all)
	if want := []string{"it has gone", digest.FromString("packed now").String()}; !slices.Equal(got.all, want) {
		t.Errorf("got %q, want %q", got.all, want)
	}
}

// TestFollowNobody: a daemon that does not serve its content store is not asked
// again.
func TestFollowNobody(t *testing.T) {
	s, got := &served{blobs: map[string]map[string]string{}, err: errors.New("not implemented")}, &reads{}
	stop := follow(t.Context(), s, reading{s.open, got.take})
	s.add("packed now", labels.LabelUncompressed)
	time.Sleep(3 * followPoll)
	stop()
	if s.lists > 1 || len(got.all) > 0 {
		t.Errorf("%d lists, got %q", s.lists, got.all)
	}
}

// TestFollowABuild: a real daemon's layer is there before the export, as it is
// in the image. The second one keeps the daemon busy meanwhile.
func TestFollowABuild(t *testing.T) {
	e := private(t, t.TempDir())
	defer e.Close()
	e.root = "" // as if it was somewhere else
	store, err := contentlocal.NewStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var got reads
	stop := e.Ahead(t.Context(), Reading{Packed: got.take})
	res, err := e.Solve(t.Context(), Request{
		Context: buildContext(t, shell+"RUN head -c 1000000 /dev/urandom > /a\nRUN head -c 60000000 /dev/urandom > /b\n"), Store: store,
	}, output(io.Discard))
	stop()
	if err != nil {
		t.Fatal(err)
	}
	if l := lastLayers(t, store, res)[0]; !slices.Contains(got.all, l) {
		t.Errorf("the layer %s was not read; what was: %q", l, got.all)
	}
	if e.Blobs() != nil {
		t.Error("the folders of a daemon that is elsewhere")
	}
}

// lastLayers are the digests of the last two layers of an image.
func lastLayers(t *testing.T, store content.Store, res Result) (last [2]string) {
	t.Helper()
	text, err := content.ReadBlob(t.Context(), store, res.Root)
	if err != nil {
		t.Fatal(err)
	}
	var m ocispecs.Manifest
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&m); err != nil || len(m.Layers) < 2 {
		t.Fatal(errors.Join(err, errors.New(string(text))))
	}
	for i, l := range m.Layers[len(m.Layers)-2:] {
		last[i] = l.Digest.String()
	}
	return last
}
